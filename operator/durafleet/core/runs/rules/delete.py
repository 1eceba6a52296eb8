"""Rules for an AgentRun that is being deleted: end its workflow as spec.deletionPolicy requires, within a deadline."""

from durafleet.api.lifecycle import TERMINAL
from durafleet.api.run import DeletionPolicy
from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict
from durafleet.core.objects import FINALIZER
from durafleet.core.plans import Announcement, Plan
from durafleet.core.runs.actions import CancelWorkflow, RemoveFinalizer, RunPlan, TerminateWorkflow, UnpauseWorkflow
from durafleet.core.runs.execution import ExecutionStatus
from durafleet.core.runs.identity import owner_of, workflow_id
from durafleet.core.runs.retrying import asked_to_retry, needs_describe
from durafleet.core.runs.rules.case import Case, describe
from durafleet.core.runs.status import waiting_status

CANCEL_GRACE = 60.0
"""Seconds after the deletion until a workflow that has not ended after its cancellation is terminated."""
CHECK_INTERVAL = 10.0
"""Longest time in seconds between checks of a workflow that has to end."""
DEADLINE = 120.0
"""Seconds after the deletion until the AgentRun is released, even if its workflow has not ended."""
_REASON = "the AgentRun was deleted"


def leave_to_others(case: Case) -> RunPlan | None:
    """If the AgentRun does not have the operator's finalizer: do nothing; the API server deletes the AgentRun."""
    return Plan() if FINALIZER not in case.run.finalizers else None


def release_ended(case: Case) -> RunPlan | None:
    """If the workflow has ended, does not exist, or was not started for this AgentRun: remove the finalizer."""
    return Plan(actions=(RemoveFinalizer(),)) if _is_over(case) else None


def abandon(case: Case) -> RunPlan | None:
    """If `spec.deletionPolicy` is `Abandon`: remove the finalizer; the workflow continues."""
    policy = case.run.spec.deletion_policy
    return Plan(actions=(RemoveFinalizer(),)) if policy == DeletionPolicy.ABANDON else None


def release_late(case: Case) -> RunPlan | None:
    """If the workflow has not ended after 120 s: post Warning Event `WorkflowAbandoned`, and remove the finalizer."""
    if _waited(case) < DEADLINE:
        return None
    workflow, target = workflow_id(case.run), case.world.target
    place = "" if isinstance(target, Verdict) else f" --namespace {target.namespace}"
    message = (
        f"Workflow {workflow} did not end within {DEADLINE:.0f} s of the deletion; it may still be running. "
        f"Check it with: temporal workflow describe --workflow-id {workflow}{place}"
    )
    return Plan(actions=(RemoveFinalizer(),), announcements=(Announcement("Warning", "WorkflowAbandoned", message),))


def wait_for_temporal(case: Case) -> RunPlan | None:
    """If the Temporal connection is missing or fails: report it, and retry until 120 s after the deletion."""
    target = case.world.target
    if isinstance(target, Verdict):
        why = target.message.rstrip(".")
    elif case.world.trouble is not None:
        why = "Temporal does not answer"
    else:
        return None
    message = f"{why}; the operator removes its finalizer {DEADLINE:.0f} s after the deletion in any case."
    return _wait(case, message, bound=DEADLINE)


def find(case: Case) -> RunPlan | None:
    """If the workflow was not observed, or its list entry has to be verified: call DescribeWorkflowExecution."""
    execution = case.world.execution
    return describe(case) if execution is None or needs_describe(case.run, execution) else None


def terminate(case: Case) -> RunPlan | None:
    """If `spec.deletionPolicy` is `Terminate`, or 60 s have passed since the deletion: terminate the workflow."""
    if case.run.spec.deletion_policy != DeletionPolicy.TERMINATE and _waited(case) < CANCEL_GRACE:
        return None
    execution = case.execution
    return Plan(actions=(TerminateWorkflow(case.target, execution.workflow_id, execution.first_run_id, _REASON),))


def cancel(case: Case) -> RunPlan | None:
    """If cancellation was not requested yet: request the cancellation of the workflow."""
    execution = case.execution
    if execution.cancel_requested:
        return None
    return Plan(actions=(CancelWorkflow(case.target, execution.workflow_id, execution.first_run_id, _REASON),))


def unpause(case: Case) -> RunPlan | None:
    """If the workflow is paused: unpause it; a paused workflow does not receive the cancellation request."""
    execution = case.execution
    if execution.status is not ExecutionStatus.PAUSED:
        return None
    return Plan(actions=(UnpauseWorkflow(case.target, execution.workflow_id, execution.run_id),))


def wait_for_end(case: Case) -> RunPlan | None:
    """If no rule above applies: wait until the workflow ends."""
    message = (
        "Cancellation was requested because the AgentRun was deleted; the operator terminates the workflow "
        f"{CANCEL_GRACE:.0f} s after the deletion."
    )
    return _wait(case, message, bound=CANCEL_GRACE)


def _is_over(case: Case) -> bool:
    run, execution = case.run, case.world.execution
    if execution is None:
        return case.world.absent or (run.status.state in TERMINAL and not asked_to_retry(run))
    return not (execution.open or needs_describe(run, execution)) or execution.owner != owner_of(run)


def _waited(case: Case) -> float:
    return (case.now - (case.run.deleted or case.now)).total_seconds()


def _wait(case: Case, message: str, *, bound: float) -> RunPlan:
    status = waiting_status(case.run, Verdict(Reason.CANCELLING, message), stalled=False, now=case.now)
    return Plan(status=status, requeue=min(max(bound - _waited(case), 0.5), CHECK_INTERVAL))
