"""The input of a rule, the type of a rule, and the rules that several situations share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from durafleet.core.conditions import Verdict
from durafleet.core.grace import reference_grace, trouble_stalls
from durafleet.core.objects import FINALIZER, Run, Worker
from durafleet.core.places import Target
from durafleet.core.plans import Plan
from durafleet.core.runs.actions import AddFinalizer, Describe, RunAction, RunPlan
from durafleet.core.runs.endings import rejected
from durafleet.core.runs.execution import Execution
from durafleet.core.runs.identity import workflow_id
from durafleet.core.runs.status import waiting_status
from durafleet.core.runs.world import RunWorld


@dataclass(frozen=True)
class Case:
    """One AgentRun, the observed state that its plan depends on, and the time of the decision."""

    run: Run
    world: RunWorld
    now: datetime

    @property
    def target(self) -> Target:
        """The Temporal namespace; an earlier rule waits if it is unknown."""
        assert isinstance(self.world.target, Target)
        return self.world.target

    @property
    def worker(self) -> Worker:
        """The AgentWorker; an earlier rule waits if it does not exist."""
        assert self.world.worker is not None
        return self.world.worker

    @property
    def execution(self) -> Execution:
        """The observed execution; the situation or an earlier rule ensures that there is one."""
        assert self.world.execution is not None
        return self.world.execution


Rule = Callable[[Case], RunPlan | None]
"""Returns the plan for a case, or None. docs/agentrun-plan.md quotes its docstring: "If <condition>: <decision>."."""


def wait_for_connection(case: Case) -> RunPlan | None:
    """If the TemporalConnection or the operator's default connection is missing: wait for it; `Stalled` after 60 s."""
    verdict = case.world.target
    return wait(case, verdict) if isinstance(verdict, Verdict) else None


def report_outage(case: Case) -> RunPlan | None:
    """If Temporal refused the last call or does not answer: report it, and retry; an invalid start ends the run."""
    trouble = case.world.trouble
    if trouble is None:
        return None
    if trouble.final:
        return rejected(case.run, trouble.verdict, now=case.now)
    stalled = trouble_stalls(trouble, now=case.now)
    return Plan(status=waiting_status(case.run, trouble.verdict, stalled=stalled, now=case.now))


def wait(case: Case, verdict: Verdict, *, within: float | None = None) -> RunPlan:
    """Report what is missing. Reconcile again when the run becomes `Stalled`, or after `within` seconds."""
    stalled, requeue = reference_grace(case.run.status, now=case.now)
    if within is not None:
        requeue = min(requeue, within) if requeue is not None else within
    return Plan(status=waiting_status(case.run, verdict, stalled=stalled, now=case.now), requeue=requeue)


def describe(case: Case) -> RunPlan:
    """Call DescribeWorkflowExecution for the run's workflow."""
    return Plan(actions=(Describe(case.target, workflow_id(case.run)),))


def with_finalizer(run: Run, action: RunAction) -> tuple[RunAction, ...]:
    """Return the action, preceded by our finalizer if it is missing: no workflow may exist without the finalizer."""
    return (action,) if FINALIZER in run.finalizers else (AddFinalizer(), action)
