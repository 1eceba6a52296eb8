"""Rules for an AgentRun whose workflow was observed: apply spec.stop and spec.suspend, and report the execution."""

from durafleet.core.objects import FINALIZER
from durafleet.core.plans import Plan
from durafleet.core.runs.actions import AddFinalizer, ReadOutcome, RunPlan
from durafleet.core.runs.controls import control
from durafleet.core.runs.endings import closed_status, foreign
from durafleet.core.runs.identity import owner_of
from durafleet.core.runs.retrying import needs_describe
from durafleet.core.runs.rules.case import Case, describe, with_finalizer
from durafleet.core.runs.status import open_status


def refuse_foreign(case: Case) -> RunPlan | None:
    """If the workflow's memo does not name this AgentRun: end the run as `StartRejected`; ignore the workflow."""
    if case.execution.owner == owner_of(case.run):
        return None
    return foreign(case.run, case.execution, now=case.now)


def verify(case: Case) -> RunPlan | None:
    """If the execution was only seen in a list, and has to be verified: call DescribeWorkflowExecution."""
    return describe(case) if needs_describe(case.run, case.execution) else None


def read_outcome(case: Case) -> RunPlan | None:
    """If the execution has closed, and its outcome is unknown: read the close event of the execution."""
    execution = case.execution
    if execution.open or execution.outcome is not None:
        return None
    return Plan(actions=(ReadOutcome(case.target, execution.workflow_id, execution.run_id),))


def close(case: Case) -> RunPlan | None:
    """If the execution has closed, and its outcome is known: end the run with the outcome."""
    if case.execution.open:
        return None
    return closed_status(case.run, case.execution, case.target, case.world.worker, now=case.now)


def carry_out_controls(case: Case) -> RunPlan | None:
    """If `spec.stop` or `spec.suspend` requires a change: cancel, terminate, pause or unpause the workflow."""
    action, _ = control(case.run, case.execution, target=case.target, pausable=case.world.pausable)
    return Plan(actions=with_finalizer(case.run, action)) if action is not None else None


def protect(case: Case) -> RunPlan | None:
    """If the AgentRun does not have the operator's finalizer: add it, so that a deletion also ends the workflow."""
    return Plan(actions=(AddFinalizer(),)) if FINALIZER not in case.run.finalizers else None


def report_open(case: Case) -> RunPlan | None:
    """If no rule above applies: report the state and the progress of the workflow, and what blocks it, if anything."""
    _, obstacle = control(case.run, case.execution, target=case.target, pausable=case.world.pausable)
    return open_status(
        case.run,
        case.execution,
        case.target,
        case.world.worker,
        trouble=obstacle or case.world.unpolled,
        progress_due=case.world.progress_due,
        now=case.now,
    )
