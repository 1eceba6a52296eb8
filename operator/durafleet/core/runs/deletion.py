"""Letting an AgentRun go: its workflow is ended as the policy says, and the wait for that is bounded."""

from datetime import datetime

from durafleet.api.lifecycle import TERMINAL
from durafleet.api.run import DeletionPolicy
from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict
from durafleet.core.objects import FINALIZER, Run
from durafleet.core.places import Target
from durafleet.core.plans import Announcement, Plan
from durafleet.core.runs.actions import (
    CancelWorkflow,
    Describe,
    RemoveFinalizer,
    RunPlan,
    TerminateWorkflow,
    UnpauseWorkflow,
)
from durafleet.core.runs.execution import Execution, ExecutionStatus
from durafleet.core.runs.identity import owner_of, workflow_id
from durafleet.core.runs.retrying import asked_to_retry, is_doubtful
from durafleet.core.runs.status import waiting_status

CANCEL_GRACE = 60.0
"""Seconds after the deletion that a cancelled workflow has to end by itself; then it is terminated."""
LOOK_AGAIN = 10.0
"""Most seconds between looks at a workflow that is to end."""
DEADLINE = 120.0
"""Seconds after the deletion when the AgentRun goes whatever Temporal says."""


def plan_deletion(
    run: Run, target: Target | Verdict, execution: Execution | None, *, absent: bool, unreachable: bool, now: datetime
) -> RunPlan:
    """Decide the next step of a deletion. Without our finalizer there is none."""
    if FINALIZER not in run.finalizers:
        return Plan()
    ended = (absent and execution is None) or _over(run, execution)
    if ended or run.spec.deletion_policy == DeletionPolicy.ABANDON:
        return Plan(actions=(RemoveFinalizer(),))
    waited = (now - (run.deleted or now)).total_seconds()
    if waited >= DEADLINE:
        return _let_go(run)
    if isinstance(target, Verdict) or unreachable:
        return _wait(run, f"{_why(target)}; the AgentRun goes anyway", bound=DEADLINE, waited=waited, now=now)
    if execution is None or is_doubtful(run, execution):
        return Plan(actions=(Describe(target, workflow_id(run)),))
    return _end(run, execution, target, waited=waited, now=now)


def _over(run: Run, execution: Execution | None) -> bool:
    """Whether there is nothing to end: it has ended, or what has this workflow id is not ours to end."""
    if execution is None:
        return run.status.state in TERMINAL and not asked_to_retry(run)
    return not (execution.open or is_doubtful(run, execution)) or execution.owner != owner_of(run)


def _end(run: Run, execution: Execution, target: Target, *, waited: float, now: datetime) -> RunPlan:
    terminate = run.spec.deletion_policy == DeletionPolicy.TERMINATE or waited >= CANCEL_GRACE
    if terminate:
        action = TerminateWorkflow(target, execution.workflow_id, execution.first_run_id, "the AgentRun was deleted")
        return Plan(actions=(action,))
    if not execution.cancel_requested:
        cancel = CancelWorkflow(target, execution.workflow_id, execution.first_run_id, "the AgentRun was deleted")
        return Plan(actions=(cancel,))
    if execution.status is ExecutionStatus.PAUSED:  # it would never get to hear of the cancellation
        return Plan(actions=(UnpauseWorkflow(target, execution.workflow_id, execution.run_id),))
    return _wait(run, "The workflow was asked to cancel; it is terminated", bound=CANCEL_GRACE, waited=waited, now=now)


def _wait(run: Run, words: str, *, bound: float, waited: float, now: datetime) -> RunPlan:
    verdict = Verdict(Reason.CANCELLING, f"{words} {bound:.0f} s after its deletion.")
    status = waiting_status(run, verdict, stalled=False, now=now)
    return Plan(status=status, requeue=min(max(bound - waited, 0.5), LOOK_AGAIN))


def _why(target: Target | Verdict) -> str:
    return target.message.rstrip(".") if isinstance(target, Verdict) else "Temporal does not answer"


def _let_go(run: Run) -> RunPlan:
    message = (
        f"Temporal did not end workflow {workflow_id(run)} within {DEADLINE:.0f} s; it may still be running. "
        "Check it with: temporal workflow describe --workflow-id " + workflow_id(run)
    )
    return Plan(actions=(RemoveFinalizer(),), announcements=(Announcement("Warning", "WorkflowAbandoned", message),))
