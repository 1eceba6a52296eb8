"""An AgentRun whose workflow was observed: its status mirrors the execution, and its controls are carried out."""

from durafleet.core.objects import FINALIZER
from durafleet.core.plans import Plan
from durafleet.core.runs.actions import AddFinalizer, ReadOutcome, RunPlan
from durafleet.core.runs.controls import control
from durafleet.core.runs.endings import closed_status, foreign
from durafleet.core.runs.identity import owner_of
from durafleet.core.runs.retrying import is_doubtful
from durafleet.core.runs.rules.case import Case, describe, with_finalizer
from durafleet.core.runs.status import open_status


def refuse_foreign(case: Case) -> RunPlan | None:
    """If the workflow's memo does not name this AgentRun: end the run as `StartRejected`, and leave the workflow."""
    if case.execution.owner == owner_of(case.run):
        return None
    return foreign(case.run, case.execution, now=case.now)


def verify(case: Case) -> RunPlan | None:
    """If only a list showed the execution, and a reset may have left it behind: describe it."""
    return describe(case) if is_doubtful(case.run, case.execution) else None


def read_outcome(case: Case) -> RunPlan | None:
    """If the execution has closed and its outcome is unknown: read its close event."""
    execution = case.execution
    if execution.open or execution.outcome is not None:
        return None
    return Plan(actions=(ReadOutcome(case.target, execution.workflow_id, execution.run_id),))


def close(case: Case) -> RunPlan | None:
    """If the execution has closed: write the outcome."""
    if case.execution.open:
        return None
    return closed_status(case.run, case.execution, case.target, case.world.worker, now=case.now)


def carry_out_controls(case: Case) -> RunPlan | None:
    """If `spec.stop` or `spec.suspend` asks for it: cancel, terminate, pause or unpause the workflow."""
    action, _ = control(case.run, case.execution, target=case.target, pausable=case.world.pausable)
    return Plan(actions=with_finalizer(case.run, action)) if action is not None else None


def protect(case: Case) -> RunPlan | None:
    """If our finalizer is missing: add it, so that a deletion ends the workflow."""
    return Plan(actions=(AddFinalizer(),)) if FINALIZER not in case.run.finalizers else None


def report_open(case: Case) -> RunPlan | None:
    """If nothing else applies: write the state of the open execution, its progress, and what keeps it from working."""
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
