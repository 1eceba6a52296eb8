"""Retries: another attempt of a run that ended without success, and the point in the history where it begins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from durafleet.api.lifecycle import RETRYABLE
from durafleet.api.run import ATTEMPTS_KEPT, AgentRunStatus, Attempt, RetryFrom
from durafleet.api.status import ConditionType
from durafleet.core.objects import Run
from durafleet.core.runs.execution import Execution
from durafleet.core.runs.identity import owner_of
from durafleet.core.runs.results import truncate_utf8

_MESSAGE_KEPT = 512


def asked_to_retry(run: Run) -> bool:
    """Return whether spec.retry.token requests another attempt of a run that ended without success."""
    token = run.spec.retry.token if run.spec.retry else None
    return token is not None and token != run.status.retry_token and run.status.state in RETRYABLE


def needs_describe(run: Run, execution: Execution) -> bool:
    """Return whether the execution has to be verified with DescribeWorkflowExecution before the status shows it."""
    return execution.needs_describe(run.status.workflow.run_id if run.status.workflow else None)


def is_at_later_execution(run: Run, execution: Execution | None) -> bool:
    """Return whether the workflow of a run that ended without success has a later execution.

    A retry creates one. A reset of the failed workflow in Temporal itself counts as a retry, too.
    """
    return _is_another(run, execution) and execution is not None and execution.described


def may_be_at_later_execution(run: Run, execution: Execution | None) -> bool:
    """Return whether a list shows another execution of such a run: a later one, or one that a reset has replaced."""
    return _is_another(run, execution) and execution is not None and not execution.described


def _is_another(run: Run, execution: Execution | None) -> bool:
    ended = run.status.workflow
    if execution is None or ended is None or run.status.state not in RETRYABLE:
        return False
    return execution.run_id != ended.run_id and execution.owner == owner_of(run)


def reopened(run: Run) -> Run:
    """Return the run at the start of its next attempt: the attempt that ended is in status.attempts."""
    status = run.status
    succeeded = status.condition(ConditionType.SUCCEEDED)
    attempt = Attempt(
        run_id=status.workflow.run_id if status.workflow else None,
        state=str(status.state),
        start_time=status.start_time,
        completion_time=status.completion_time,
        message=truncate_utf8(succeeded.message, _MESSAGE_KEPT) if succeeded else "",
    )
    fresh = AgentRunStatus(
        observed_generation=status.observed_generation,
        conditions=status.conditions,
        workflow=status.workflow,
        attempts=[*(status.attempts or ()), attempt][-ATTEMPTS_KEPT:],
        retry_token=run.spec.retry.token if run.spec.retry else None,
    )
    return replace(run, status=fresh)


class StepKind(Enum):
    """The kinds of history events that matter for a reset."""

    TASK_COMPLETED = auto()  # a workflow task; a reset can begin here
    SCHEDULED = auto()  # an activity or child workflow
    FAILED = auto()  # an activity or child workflow, by failure or timeout
    CANCEL_REQUESTED = auto()


@dataclass(frozen=True, kw_only=True)
class Step:
    """One history event.

    Attributes:
        scheduled: for a failed step, the id of the event that scheduled it.
        task: for a scheduled step, the id of the completed workflow task that scheduled it.
    """

    id: int
    kind: StepKind
    scheduled: int = 0
    task: int = 0


def reset_point(steps: Sequence[Step], retry_from: RetryFrom) -> int | None:
    """Return the id of the completed workflow task to reset to; None if there is none.

    With LastFailure this is the task that scheduled the failed activity, so that the activity is retried, if the
    workflow ended because an activity failed. Otherwise it is the last task. Only tasks before a cancellation request
    count: a reset to a later task would be cancelled again.
    """
    cancelled = next((step.id for step in steps if step.kind is StepKind.CANCEL_REQUESTED), None)
    counted = [step for step in steps if cancelled is None or step.id < cancelled]
    tasks = [step.id for step in counted if step.kind is StepKind.TASK_COMPLETED]
    if not tasks:
        return None
    if retry_from is RetryFrom.START:
        return tasks[0]
    return _task_of_last_failure(counted, tasks) or tasks[-1]


def _task_of_last_failure(steps: Sequence[Step], tasks: Sequence[int]) -> int | None:
    since = tasks[-2] if len(tasks) > 1 else 0
    failed = [step for step in steps if step.kind is StepKind.FAILED and step.id > since]
    if not failed:
        return None
    schedulers = {step.id: step.task for step in steps if step.kind is StepKind.SCHEDULED}
    return min((task for step in failed if (task := schedulers.get(step.scheduled))), default=None)
