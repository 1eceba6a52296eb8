"""Another attempt of a run that ended without success, and where in its history it begins."""

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
    """Tell whether spec.retry.token asks for another attempt of a run that has ended."""
    token = run.spec.retry.token if run.spec.retry else None
    return token is not None and token != run.status.retry_token and run.status.state in RETRYABLE


def is_doubtful(run: Run, execution: Execution) -> bool:
    """Tell whether Temporal has to be asked before this is believed of the run's workflow."""
    return execution.doubtful(run.status.workflow.run_id if run.status.workflow else None)


def went_on(run: Run, execution: Execution | None) -> bool:
    """Tell whether the workflow of a run that ended without success is at a later execution.

    That is what a retry does; and who resets a failed workflow in Temporal itself means the same.
    """
    return _is_another(run, execution) and execution is not None and execution.described


def seems_to_go_on(run: Run, execution: Execution | None) -> bool:
    """Tell whether a list showed another execution of such a run: a later one, or one that was left behind."""
    return _is_another(run, execution) and execution is not None and not execution.described


def _is_another(run: Run, execution: Execution | None) -> bool:
    ended = run.status.workflow
    if execution is None or ended is None or run.status.state not in RETRYABLE:
        return False
    return execution.run_id != ended.run_id and execution.owner == owner_of(run)


def reopened(run: Run) -> Run:
    """Return the run as the next attempt finds it: the one that ended stands in the list of attempts."""
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
    """What of a history matters for a reset."""

    TASK_COMPLETED = auto()  # a workflow task: where a reset can begin
    SCHEDULED = auto()  # an activity or child workflow
    FAILED = auto()  # an activity or child workflow, by failure or timeout
    CANCEL_REQUESTED = auto()


@dataclass(frozen=True, kw_only=True)
class Step:
    """One event of a history.

    Attributes:
        scheduled: of a failed step, the id of the event that scheduled it.
        task: of a scheduled step, the id of the completed workflow task that did it.
    """

    id: int
    kind: StepKind
    scheduled: int = 0
    task: int = 0


def reset_point(steps: Sequence[Step], retry_from: RetryFrom) -> int | None:
    """Return the id of the completed workflow task to reset to; None if there is none.

    From the last failure: if the workflow ended because an activity failed, the task that scheduled
    it, so that it is tried again; else the last task there was. A request to cancel ends what
    counts: a reset to a later task would be cancelled again.
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
