"""Another attempt of a closed workflow: by a reset in its history, or by a new start.

Temporal does not deduplicate resets by their request id: two requests reset twice, and the second reset ends the
first one. So the operator describes the workflow first. If the latest execution is not the one that ended, the
workflow has already been retried.
"""

from collections.abc import AsyncIterator

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest, ResetWorkflowExecutionRequest

from durafleet.core.runs.actions import RetryWorkflow
from durafleet.core.runs.execution import Execution
from durafleet.core.runs.retrying import Step, StepKind, reset_point
from durafleet.errors import NotFound, Refused
from durafleet.temporal.connections import Link
from durafleet.temporal.executions import describe, start
from durafleet.temporal.rpc import TIMEOUT, call

_FAILED = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: "activity_task_failed_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "activity_task_timed_out_event_attributes",
}
_CHILD_FAILED = {
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: "child_workflow_execution_failed_event_attributes",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: "child_workflow_execution_timed_out_event_attributes",
}
_SCHEDULED = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: "activity_task_scheduled_event_attributes",
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: (
        "start_child_workflow_execution_initiated_event_attributes"
    ),
}


async def retry(link: Link, action: RetryWorkflow) -> Execution | None:
    """Make another attempt, unless it exists already; return the latest execution.

    Raises:
        Refused: the workflow can neither be reset nor started again.
        Unavailable: the effect is unknown; a retry is safe.
    """
    latest = await describe(link, action.workflow_id)
    if latest is not None and latest.run_id != action.run_id:
        return latest
    if latest is None or not await _reset(link, action):
        if action.start is None:
            raise Refused(
                "the workflow's history does not allow a reset, and the operator cannot start the workflow again "
                "without its AgentWorker and a valid input; create what is missing"
            )
        await start(link, action.start)
    return await describe(link, action.workflow_id)


async def _reset(link: Link, action: RetryWorkflow) -> bool:
    """Reset to the point that core chooses; tell whether the history allows it."""
    try:
        steps = [step async for step in _steps(link, action.workflow_id, action.run_id)]
        point = reset_point(steps, action.retry_from)
        if point is None:
            return False
        request = ResetWorkflowExecutionRequest(
            namespace=link.target.namespace,
            workflow_execution=WorkflowExecution(workflow_id=action.workflow_id, run_id=action.run_id),
            reason=f"spec.retry from {action.retry_from}",
            workflow_task_finish_event_id=point,
            request_id=f"retry-{action.run_id}",
            # Otherwise Temporal would apply an earlier cancellation request to the new run.
            reset_reapply_exclude_types=[ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_CANCEL_REQUEST],
            identity=link.client.identity,
        )
        await call(
            "ResetWorkflowExecution", link.client.workflow_service.reset_workflow_execution(request, timeout=TIMEOUT)
        )
    except NotFound:
        return False  # the run is past its retention period
    return True


async def _steps(link: Link, workflow_id: str, run_id: str) -> AsyncIterator[Step]:
    """Yield the relevant events of a history, page by page."""
    token = b""
    while True:
        request = GetWorkflowExecutionHistoryRequest(
            namespace=link.target.namespace,
            execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            next_page_token=token,
            skip_archival=True,
        )
        answer = await call(
            "GetWorkflowExecutionHistory",
            link.client.workflow_service.get_workflow_execution_history(request, timeout=TIMEOUT),
        )
        for event in answer.history.events:
            if (step := _step(event)) is not None:
                yield step
        token = answer.next_page_token
        if not token:
            return


def _step(event: HistoryEvent) -> Step | None:
    kind = event.event_type
    if kind == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
        return Step(id=event.event_id, kind=StepKind.TASK_COMPLETED)
    if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
        return Step(id=event.event_id, kind=StepKind.CANCEL_REQUESTED)
    if kind in _SCHEDULED:
        task = getattr(event, _SCHEDULED[kind]).workflow_task_completed_event_id
        return Step(id=event.event_id, kind=StepKind.SCHEDULED, task=task)
    if kind in _FAILED:
        return Step(id=event.event_id, kind=StepKind.FAILED, scheduled=getattr(event, _FAILED[kind]).scheduled_event_id)
    if kind in _CHILD_FAILED:
        return Step(
            id=event.event_id, kind=StepKind.FAILED, scheduled=getattr(event, _CHILD_FAILED[kind]).initiated_event_id
        )
    return None
