"""Changes in a Temporal namespace: a few visibility queries, independent of the number of runs.

Visibility lags behind (p99 about a second), so each query overlaps the previous one.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest

from durafleet.api.contract import WORKFLOW_ID_PREFIX, SearchAttribute
from durafleet.core.runs.execution import Execution, ExecutionStatus
from durafleet.temporal.connections import Link
from durafleet.temporal.executions import PROBLEMS, read_info
from durafleet.temporal.rpc import TIMEOUT, call

PAGE = 1000
OVERLAP = timedelta(seconds=5)
OURS = f'WorkflowId STARTS_WITH "{WORKFLOW_ID_PREFIX}"'


def progressed_since(moment: datetime) -> str:
    """Query for runs that reported progress since then. It is indexed and costs the same with 10,000 open runs."""
    return f'{SearchAttribute.UPDATED} > "{_literal(moment)}"'


def closed_since(moment: datetime) -> str:
    """Query for runs that closed since then, for any reason."""
    return f'CloseTime > "{_literal(moment)}" AND {OURS}'


def started_since(moment: datetime) -> str:
    """Query for runs whose latest execution began since then. Only this query shows a reset at once."""
    return f'StartTime > "{_literal(moment)}" AND {OURS}'


def open_now() -> str:
    """Query for all open runs."""
    return f"ExecutionStatus IN ('Running', 'Paused') AND {OURS}"


def troubled() -> str:
    """Query for open runs whose workflow tasks keep failing."""
    return f"{PROBLEMS} IS NOT NULL AND ExecutionStatus = 'Running' AND {OURS}"


async def listing(link: Link, query: str) -> AsyncIterator[Execution]:
    """Yield every execution that a visibility query finds, except those that continued as new.

    Raises:
        Unavailable, Denied, NamespaceNotFound: like `rpc.call`.
        Refused: the query names an attribute that the namespace does not have.
    """
    token = b""
    while True:
        rows, token = await page(link, query, token=token)
        for execution in rows:
            yield execution
        if not token:
            return


async def page(link: Link, query: str, *, token: bytes, size: int = PAGE) -> tuple[list[Execution], bytes]:
    """Return a page of such a list and the token of the next page, empty after the last. Raises like `listing`."""
    request = ListWorkflowExecutionsRequest(
        namespace=link.target.namespace, page_size=size, next_page_token=token, query=query
    )
    answer = await call(
        "ListWorkflowExecutions", link.client.workflow_service.list_workflow_executions(request, timeout=TIMEOUT)
    )
    ours = (info for info in answer.executions if info.execution.workflow_id.startswith(WORKFLOW_ID_PREFIX))
    rows = [execution for execution in map(read_info, ours) if execution.status is not ExecutionStatus.CONTINUED_AS_NEW]
    return rows, answer.next_page_token


def _literal(moment: datetime) -> str:
    return (moment - OVERLAP).astimezone(UTC).isoformat()
