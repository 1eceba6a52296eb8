"""The actions that spec.stop and spec.suspend require for an open workflow."""

from durafleet.api.run import Stop
from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict
from durafleet.core.objects import Run
from durafleet.core.places import Target
from durafleet.core.runs.actions import CancelWorkflow, PauseWorkflow, RunAction, TerminateWorkflow, UnpauseWorkflow
from durafleet.core.runs.execution import Execution, ExecutionStatus

OPERATOR_IDENTITY = "durafleet-operator"
"""Prefix of the identity that the operator uses in calls to Temporal."""
_NOT_PAUSABLE = Verdict(
    Reason.SUSPEND_UNSUPPORTED,
    "spec.suspend is true, but this Temporal server cannot pause workflows, so the run continues. Enable "
    "frontend.WorkflowPauseEnabled in the server's dynamic configuration, or stop the run with spec.stop.",
)


def control(
    run: Run, execution: Execution, *, target: Target, pausable: bool
) -> tuple[RunAction | None, Verdict | None]:
    """Return the action that spec.stop or spec.suspend requires for an open execution, or why it is impossible."""
    workflow, first, latest = execution.workflow_id, execution.first_run_id, execution.run_id
    paused = execution.status is ExecutionStatus.PAUSED
    if run.spec.stop is Stop.TERMINATE:
        return TerminateWorkflow(target, workflow, first, "spec.stop is Terminate"), None
    if run.spec.stop is Stop.CANCEL:
        if not execution.cancel_requested:
            return CancelWorkflow(target, workflow, first, "spec.stop is Cancel"), None
        # A paused workflow does not receive the cancellation request.
        return (UnpauseWorkflow(target, workflow, latest), None) if paused else (None, None)
    if run.spec.suspend and not paused:
        return (PauseWorkflow(target, workflow, latest), None) if pausable else (None, _NOT_PAUSABLE)
    if paused and not run.spec.suspend and _paused_by_us(execution):
        return UnpauseWorkflow(target, workflow, latest), None
    return None, None


def _paused_by_us(execution: Execution) -> bool:
    return execution.paused_by is not None and execution.paused_by[0].startswith(OPERATOR_IDENTITY)
