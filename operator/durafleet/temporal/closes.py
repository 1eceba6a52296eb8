"""The close event of an execution: read once, or awaited with a long-poll."""

from dataclasses import replace
from datetime import UTC

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, HistoryEventFilterType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryReverseRequest,
)

from durafleet.api.run import Failure
from durafleet.core.runs.execution import Execution, ExecutionStatus, Outcome
from durafleet.core.runs.tracking import Close
from durafleet.temporal.connections import LONG_POLL, Link
from durafleet.temporal.executions import describe
from durafleet.temporal.failures import read_failure, started_event
from durafleet.temporal.payloads import first_text
from durafleet.temporal.rpc import TIMEOUT, call

_NEAR_THE_END = 64
"""Last events of a history that are searched for the last attempt of a failed activity."""
_CLOSES = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: ExecutionStatus.COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: ExecutionStatus.FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: ExecutionStatus.TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: ExecutionStatus.CANCELED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: ExecutionStatus.TERMINATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: ExecutionStatus.CONTINUED_AS_NEW,
}


async def read_outcome(link: Link, workflow_id: str, run_id: str) -> Outcome:
    """Read the outcome of a closed execution. Raises like `rpc.call`."""
    event = await _close_event(link, workflow_id, run_id, wait=False)
    return Outcome() if event is None else await _outcome(link, workflow_id, run_id, event=event)


async def wait_for_close(link: Link, execution: Execution) -> Close | None:
    """Wait until an execution closes; return how, or None if the long-poll ended first. Raises like `rpc.call`."""
    event = await _close_event(link, execution.workflow_id, execution.run_id, wait=True)
    if event is None:
        return None
    return Close(
        status=_CLOSES[event.event_type],
        time=event.event_time.ToDatetime(tzinfo=UTC),
        outcome=await _outcome(link, execution.workflow_id, execution.run_id, event=event),
        goes_on=goes_on(event),
    )


async def with_last_words(link: Link, closed: Execution) -> Execution | None:
    """Return a closed execution with its last progress, or None if another one follows. Raises like `rpc.call`."""
    latest = await describe(link, closed.workflow_id)
    if latest is None or latest.open or latest.run_id != closed.run_id:
        return None
    return replace(latest, outcome=closed.outcome)


def goes_on(event: HistoryEvent) -> bool:
    """Tell whether the event names a following execution."""
    for name in ("completed", "failed", "timed_out", "continued_as_new"):
        if getattr(event, f"workflow_execution_{name}_event_attributes").new_execution_run_id:
            return True
    return False


def read_close(event: HistoryEvent) -> Outcome:
    """Return the result or the failure in a close event."""
    match event.event_type:
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            return Outcome(result=first_text(event.workflow_execution_completed_event_attributes.result))
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            return Outcome(failure=read_failure(event.workflow_execution_failed_event_attributes.failure))
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
            terminated = event.workflow_execution_terminated_event_attributes
            words = f"{terminated.reason or 'no reason given'} (by {terminated.identity or 'unknown'})"
            return Outcome(failure=Failure(type="Terminated", message=words))
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
            words = "The workflow exceeded its execution timeout."
            return Outcome(failure=Failure(type="WorkflowTimeout", message=words, retryable=True, timeout="Workflow"))
        case _:
            return Outcome()


async def _close_event(link: Link, workflow_id: str, run_id: str, *, wait: bool) -> HistoryEvent | None:
    request = GetWorkflowExecutionHistoryRequest(
        namespace=link.target.namespace,
        execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
        wait_new_event=wait,
        history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
        skip_archival=True,
    )
    answer = await call(
        "PollWorkflowExecutionHistory" if wait else "GetWorkflowExecutionHistory",
        link.client.workflow_service.get_workflow_execution_history(request, timeout=LONG_POLL if wait else TIMEOUT),
    )
    return answer.history.events[-1] if answer.history.events else None


async def _outcome(link: Link, workflow_id: str, run_id: str, *, event: HistoryEvent) -> Outcome:
    """Read an outcome from its event, and add the attempt of a failed activity, which the event does not contain."""
    outcome = read_close(event)
    started = started_event(event.workflow_execution_failed_event_attributes.failure)
    if outcome.failure is None or not started:
        return outcome
    attempt = await _attempt(link, workflow_id, run_id, started_event_id=started)
    return replace(outcome, failure=outcome.failure.model_copy(update={"attempt": attempt}))


async def _attempt(link: Link, workflow_id: str, run_id: str, *, started_event_id: int) -> int | None:
    """Read the attempt number of an activity's last start, which is near the end of the history, if it exists."""
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=link.target.namespace,
        execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
        maximum_page_size=_NEAR_THE_END,
    )
    answer = await call(
        "GetWorkflowExecutionHistoryReverse",
        link.client.workflow_service.get_workflow_execution_history_reverse(request, timeout=TIMEOUT),
    )
    found = (event for event in answer.history.events if event.event_id == started_event_id)
    attempts = (event.activity_task_started_event_attributes.attempt for event in found)
    return next((attempt for attempt in attempts if attempt), None)
