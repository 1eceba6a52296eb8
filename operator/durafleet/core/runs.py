"""What to do next for one AgentRun: the whole policy, and nothing but the policy."""

from dataclasses import dataclass
from datetime import datetime

from durafleet.api.run import AgentRunStatus, Stop
from durafleet.api.status import Reason
from durafleet.core.actions import (
    AddFinalizer,
    CancelWorkflow,
    Describe,
    Plan,
    ReadOutcome,
    RemoveFinalizer,
    StartWorkflow,
    TerminateWorkflow,
)
from durafleet.core.conditions import Summary, Verdict
from durafleet.core.connections import PERSON_NEEDED
from durafleet.core.deletion import plan_deletion
from durafleet.core.execution import Execution, Target
from durafleet.core.grace import reference_grace
from durafleet.core.objects import FINALIZER, Run, Worker
from durafleet.core.run_status import TERMINAL, closed_status, running_status, waiting_status, with_summary
from durafleet.core.starting import agent_missing, invalid_spec, start_request, workflow_id

TEMPORAL_GRACE = 300.0
"""Seconds without an answer from Temporal before a run that cannot start reads as stalled."""


@dataclass(frozen=True)
class Trouble:
    """Temporal refused the last call, or gave no answer since `since`."""

    verdict: Verdict
    since: datetime
    final: bool = False  # asking again will not help


@dataclass(frozen=True, kw_only=True)
class RunWorld:
    """What was observed around one AgentRun.

    Attributes:
        worker: the AgentWorker it refers to; None if it does not exist.
        target: the Temporal namespace, or why there is none.
        execution: what Temporal last said of its workflow; None if nothing.
        absent: Temporal said that it does not know the workflow.
        trouble: the last call failed.
        progress_due: enough time has passed since progress was last written.
        unpolled: Temporal has seen no poller on the task queue lately.
    """

    worker: Worker | None
    target: Target | Verdict
    execution: Execution | None = None
    absent: bool = False
    trouble: Trouble | None = None
    progress_due: bool = True
    unpolled: Verdict | None = None


RunPlan = Plan[AgentRunStatus]


def plan_run(run: Run, world: RunWorld, *, now: datetime) -> RunPlan:
    """Decide the next actions and the status that describes them.

    The same arguments always give the same plan; a plan whose effects are already there has
    no actions and an unchanged status.
    """
    if run.deleted is not None:
        return plan_deletion(
            run, world.target, world.execution, absent=world.absent, unreachable=world.trouble is not None, now=now
        )
    if run.status.state in TERMINAL:
        return settle(run)
    if world.execution is not None:
        return follow(run, world.execution, world=world, now=now)
    if run.status.workflow is not None and world.absent:
        return vanished(run, now=now)
    if (verdict := invalid_spec(run.spec)) is not None:
        return reject(run, verdict, now=now)
    if isinstance(world.target, Verdict):
        return wait(run, world.target, now=now)
    if world.trouble is not None:
        return endure(run, world.trouble, now=now)
    if (FINALIZER in run.finalizers or run.status.workflow is not None) and not world.absent:
        return Plan(actions=(Describe(world.target, workflow_id(run)),))
    return admit(run, world.worker, target=world.target, now=now)


def settle(run: Run) -> RunPlan:
    """A terminal run stays terminal; only its finalizer goes."""
    if FINALIZER in run.finalizers:
        return Plan(actions=(RemoveFinalizer(),))
    return Plan(status=run.status.model_copy(update={"observed_generation": run.generation}))


def admit(run: Run, worker: Worker | None, *, target: Target, now: datetime) -> RunPlan:
    """Start the workflow, or say what it waits for."""
    if worker is None:
        return wait(run, worker_not_found(run.spec.worker_ref.name), now=now)
    if (verdict := agent_missing(run, worker)) is not None:
        return wait(run, verdict, now=now)
    if run.spec.stop is not None:
        verdict = Verdict(Reason.CANCELLED, f"spec.stop is {run.spec.stop}: the workflow was never started.")
        return reject(run, verdict, now=now)
    request = start_request(run, worker)
    start = StartWorkflow(target, request)
    return Plan(actions=(start,) if FINALIZER in run.finalizers else (AddFinalizer(), start))


def follow(run: Run, execution: Execution, *, world: RunWorld, now: datetime) -> RunPlan:
    """Mirror an execution that exists."""
    if isinstance(world.target, Verdict):
        return wait(run, world.target, now=now)
    if world.trouble is not None:
        return endure(run, world.trouble, now=now)
    if not execution.open:
        if execution.outcome is None:
            return Plan(actions=(ReadOutcome(world.target, execution.workflow_id, execution.run_id),))
        return closed_status(run, execution, world.target, world.worker, now=now)
    if run.spec.stop is not None and (action := stop(run, execution, target=world.target)) is not None:
        return Plan(actions=(action,))
    return running_status(
        run,
        execution,
        world.target,
        world.worker,
        unpolled=world.unpolled,
        progress_due=world.progress_due,
        now=now,
    )


def stop(run: Run, execution: Execution, *, target: Target) -> CancelWorkflow | TerminateWorkflow | None:
    """Ask the workflow to end as spec.stop says, once; Terminate may follow Cancel."""
    if run.spec.stop == Stop.TERMINATE:
        return TerminateWorkflow(target, execution.workflow_id, execution.first_run_id, "spec.stop is Terminate")
    if execution.cancel_requested:
        return None
    return CancelWorkflow(target, execution.workflow_id, execution.first_run_id, "spec.stop is Cancel")


def wait(run: Run, verdict: Verdict, *, now: datetime) -> RunPlan:
    """Nothing to do until a reference is there."""
    stalled, requeue = reference_grace(run.status, now=now)
    return Plan(status=waiting_status(run, verdict, stalled=stalled, now=now), requeue=requeue)


def endure(run: Run, trouble: Trouble, *, now: datetime) -> RunPlan:
    """Temporal refused, or does not answer."""
    if trouble.final:
        return reject(run, trouble.verdict, now=now)
    waited = (now - trouble.since).total_seconds()
    stalled = trouble.verdict.reason in PERSON_NEEDED or waited >= TEMPORAL_GRACE
    status = waiting_status(run, trouble.verdict, stalled=stalled, now=now)
    return Plan(status=status)


def reject(run: Run, verdict: Verdict, *, now: datetime) -> RunPlan:
    """End a run that never had a workflow."""
    by_spec = verdict.reason == Reason.CANCELLED
    summary = Summary(succeeded="False", ready="True" if by_spec else "False", verdict=verdict, stalled=not by_spec)
    return Plan(status=with_summary(run, summary, state=verdict.reason, now=now))


def vanished(run: Run, *, now: datetime) -> RunPlan:
    """The workflow was started, and Temporal no longer knows it."""
    verdict = Verdict(
        Reason.TERMINATED,
        "Temporal no longer knows this run's workflow: it was deleted, or its retention ended before the operator "
        "read how it closed. Create a new AgentRun to run it again.",
    )
    return reject(run, verdict, now=now)


def worker_not_found(name: str) -> Verdict:
    return Verdict(
        Reason.WORKER_NOT_FOUND,
        f"AgentWorker {name!r} is not in this namespace; create it, or create a run with another spec.workerRef.name.",
    )
