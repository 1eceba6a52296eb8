"""What to do next for one AgentRun: the whole policy, and nothing but the policy."""

from datetime import datetime

from durafleet.api.lifecycle import TERMINAL
from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict, at_generation
from durafleet.core.grace import Trouble, reference_grace, trouble_stalls
from durafleet.core.objects import FINALIZER, Run, Worker
from durafleet.core.places import Target
from durafleet.core.plans import Plan
from durafleet.core.runs.actions import (
    AddFinalizer,
    Describe,
    ReadInput,
    ReadOutcome,
    RemoveFinalizer,
    RetryWorkflow,
    RunAction,
    RunPlan,
    StartWorkflow,
)
from durafleet.core.runs.admission import Turn
from durafleet.core.runs.controls import control
from durafleet.core.runs.deletion import plan_deletion
from durafleet.core.runs.endings import closed_status, foreign, rejected, retry_delayed, retry_ignored, vanished
from durafleet.core.runs.execution import Execution
from durafleet.core.runs.expiry import plan_expiry
from durafleet.core.runs.identity import owner_of, workflow_id
from durafleet.core.runs.retrying import asked_to_retry, is_doubtful, reopened, seems_to_go_on, went_on
from durafleet.core.runs.starting import (
    agent_missing,
    invalid_input,
    invalid_spec,
    invalid_timeouts,
    start_again,
    start_request,
)
from durafleet.core.runs.status import held_status, open_status, queued_status, waiting_status
from durafleet.core.runs.tracking import waits_for_census
from durafleet.core.runs.world import RunWorld

INPUT_RETRY = 5.0
"""Most seconds between looks for an input that is not there yet: nothing watches ConfigMaps and Secrets."""


def plan_run(run: Run, world: RunWorld, *, now: datetime) -> RunPlan:
    """Decide the next actions and the status that describes them.

    The same arguments always give the same plan; a plan whose effects are already there has
    no actions and an unchanged status.
    """
    if run.deleted is not None:
        return plan_deletion(
            run, world.target, world.execution, absent=world.absent, unreachable=world.trouble is not None, now=now
        )
    if asked_to_retry(run):
        return try_again(run, world, now=now)
    if run.status.state not in TERMINAL:
        return carry_on(run, world, now=now)
    if seems_to_go_on(run, world.execution) and isinstance(world.target, Target) and world.trouble is None:
        return Plan(actions=(Describe(world.target, workflow_id(run)),))
    if went_on(run, world.execution):
        return carry_on(reopened(run), world, now=now)
    return settle(run, now=now)


def carry_on(run: Run, world: RunWorld, *, now: datetime) -> RunPlan:
    """Bring a run that has not ended a step further."""
    if world.execution is not None:
        return follow(run, world.execution, world=world, now=now)
    if run.status.workflow is not None and world.absent:
        return vanished(run, now=now)
    started = FINALIZER in run.finalizers or run.status.workflow is not None
    if not started and (invalid := invalid_spec(run.spec)) is not None:
        return rejected(run, invalid, now=now)
    if not started and run.spec.suspend and run.spec.stop is None:
        return Plan(status=held_status(run, now=now))
    if isinstance(world.target, Verdict):
        return wait(run, world.target, now=now)
    if world.trouble is not None:
        return endure(run, world.trouble, now=now)
    if started and not world.absent:
        if world.expected and waits_for_census(run):
            return Plan()
        return Plan(actions=(Describe(world.target, workflow_id(run)),))
    return admit(run, world.worker, world=world, target=world.target, now=now)


def settle(run: Run, *, now: datetime) -> RunPlan:
    """A terminal run stays terminal; its finalizer goes, and the object itself if its time to live is over."""
    if FINALIZER in run.finalizers:
        return Plan(actions=(RemoveFinalizer(),))
    if (expiry := plan_expiry(run, now=now)) is not None and (expiry.actions or expiry.status is not None):
        return expiry
    token = run.spec.retry.token if run.spec.retry else None
    seen = {
        "observed_generation": run.generation,
        "conditions": at_generation(run.status.conditions, run.generation),
        "retry_token": token,
    }
    return Plan(
        status=run.status.model_copy(update=seen),
        announcements=retry_ignored(run, token=token),
        requeue=expiry.requeue if expiry is not None else None,
    )


def try_again(run: Run, world: RunWorld, *, now: datetime) -> RunPlan:
    """Make another attempt of a run that ended without success, as spec.retry asks."""
    ended = run.status.workflow
    if ended is None:
        return carry_on(reopened(run), world, now=now)
    if isinstance(world.target, Verdict):
        return retry_delayed(run, world.target, now=now)
    if world.trouble is not None:
        return retry_delayed(run, world.trouble.verdict, now=now)
    if went_on(run, world.execution):
        return carry_on(reopened(run), world, now=now)
    return again(run, world, target=world.target, run_id=ended.run_id or "")


def again(run: Run, world: RunWorld, *, target: Target, run_id: str) -> RunPlan:
    """Reset the workflow of a run, or start it anew where it cannot be reset."""
    assert run.spec.retry is not None  # asked_to_retry said so
    given, obstacle = _input(run, world)
    if isinstance(obstacle, ReadInput):
        return Plan(actions=(obstacle,))
    anew = None  # a reset needs neither worker nor input
    if world.worker is not None and obstacle is None:
        anew = start_again(run, world.worker, given=given, token=run.spec.retry.token)
    retry = RetryWorkflow(target, workflow_id(run), run_id, run.spec.retry.from_, anew)
    return Plan(actions=_with_finalizer(run, retry))


def admit(run: Run, worker: Worker | None, *, world: RunWorld, target: Target, now: datetime) -> RunPlan:
    """Start the workflow, or say what it waits for."""
    if run.spec.stop is not None:
        return rejected(run, _never_started(run), now=now)
    if (invalid := invalid_spec(run.spec)) is not None:
        return rejected(run, invalid, now=now)
    if run.spec.suspend:
        return Plan(status=held_status(run, now=now))
    if worker is None:
        return wait(run, worker_not_found(run.spec.worker_ref.name), now=now)
    if (missing := agent_missing(run, worker)) is not None:
        return wait(run, missing, now=now)
    if (invalid := invalid_timeouts(run, worker)) is not None:
        return rejected(run, invalid, now=now)
    given, obstacle = _input(run, world)
    if isinstance(obstacle, Verdict):
        return _refuse_or_await_input(run, obstacle, now=now)
    if obstacle is not None:
        return Plan(actions=(obstacle,))
    if world.turn is not None and not world.turn.free:
        return Plan(status=queued_status(run, world.turn, now=now), requeue=_queue_patience(world.turn))
    return Plan(actions=_with_finalizer(run, StartWorkflow(target, start_request(run, worker, given=given))))


def follow(run: Run, execution: Execution, *, world: RunWorld, now: datetime) -> RunPlan:
    """Mirror an execution that exists."""
    if execution.owner != owner_of(run):
        return foreign(run, execution, now=now)
    if isinstance(world.target, Verdict):
        return wait(run, world.target, now=now)
    if world.trouble is not None:
        return endure(run, world.trouble, now=now)
    if is_doubtful(run, execution):
        return Plan(actions=(Describe(world.target, workflow_id(run)),))
    if not execution.open:
        if execution.outcome is None:
            return Plan(actions=(ReadOutcome(world.target, execution.workflow_id, execution.run_id),))
        return closed_status(run, execution, world.target, world.worker, now=now)
    action, obstacle = control(run, execution, target=world.target, pausable=world.pausable)
    if action is not None:
        return Plan(actions=_with_finalizer(run, action))
    if FINALIZER not in run.finalizers:
        return Plan(actions=(AddFinalizer(),))
    return open_status(
        run,
        execution,
        world.target,
        world.worker,
        trouble=obstacle or world.unpolled,
        progress_due=world.progress_due,
        now=now,
    )


def wait(run: Run, verdict: Verdict, *, now: datetime, patience: float | None = None) -> RunPlan:
    """Nothing to do until a reference is there."""
    stalled, requeue = reference_grace(run.status, now=now)
    if patience is not None:
        requeue = min(requeue, patience) if requeue is not None else patience
    return Plan(status=waiting_status(run, verdict, stalled=stalled, now=now), requeue=requeue)


def endure(run: Run, trouble: Trouble, *, now: datetime) -> RunPlan:
    """Temporal refused, or does not answer."""
    if trouble.final:
        return rejected(run, trouble.verdict, now=now)
    stalled = trouble_stalls(trouble, now=now)
    return Plan(status=waiting_status(run, trouble.verdict, stalled=stalled, now=now))


def worker_not_found(name: str) -> Verdict:
    return Verdict(
        Reason.WORKER_NOT_FOUND,
        f"AgentWorker {name!r} is not in this namespace; create it, or create a run with another spec.workerRef.name.",
    )


def _never_started(run: Run) -> Verdict:
    return Verdict(Reason.CANCELLED, f"spec.stop is {run.spec.stop}: the workflow was never started.")


def _with_finalizer(run: Run, action: RunAction) -> tuple[RunAction, ...]:
    return (action,) if FINALIZER in run.finalizers else (AddFinalizer(), action)


def _input(run: Run, world: RunWorld) -> tuple[object, Verdict | ReadInput | None]:
    """Return the run's input, or what has to be done or mended to have it."""
    source = run.spec.input_from
    if source is None:
        return run.spec.input, None
    if world.given is None:
        return None, ReadInput(source)
    if isinstance(world.given, Verdict):
        return None, world.given
    return world.given.value, invalid_input(run.spec, world.given.value, where="What spec.inputFrom points at")


def _refuse_or_await_input(run: Run, verdict: Verdict, *, now: datetime) -> RunPlan:
    if verdict.reason == Reason.INVALID_SPEC:
        return rejected(run, verdict, now=now)
    return wait(run, verdict, now=now, patience=INPUT_RETRY)


def _queue_patience(turn: Turn) -> float:
    """Seconds until the position is looked at again; whoever gets a place is woken at once."""
    return float(min(15 + turn.position, 300))
