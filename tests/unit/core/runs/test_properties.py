"""What holds of the plan of an AgentRun whatever happens: generated histories of events and observations."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from durafleet.api.contract import RunPhase
from durafleet.api.lifecycle import TERMINAL, TRANSITIONS
from durafleet.api.run import AgentRunStatus, DeletionPolicy, Failure
from durafleet.api.status import ConditionType, Reason
from durafleet.core.conditions import Verdict
from durafleet.core.grace import Trouble
from durafleet.core.objects import FINALIZER, Run
from durafleet.core.runs import actions as act
from durafleet.core.runs.actions import RunPlan
from durafleet.core.runs.admission import Turn
from durafleet.core.runs.execution import Execution, ExecutionStatus, Outcome
from durafleet.core.runs.plan import plan_run
from durafleet.core.runs.world import Given, RunWorld
from tests.support.builders import NOON, TARGET, a_run, a_worker, an_execution

CLOSED = [status for status in ExecutionStatus if status not in {"Running", "Paused", "ContinuedAsNew"}]
SPEC = {"input": None, "inputFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}


@dataclass(frozen=True)
class Scene:
    """The run, Temporal and what the controller remembers, after some history."""

    run: Run
    server: Execution | None = None
    seen: Execution | None = None
    absent: bool = False
    given: Given | Verdict | None = None
    gone: bool = False
    down: bool = False
    places: bool = True
    worker: bool = True
    input_there: bool = True
    starts: int = 0
    now: datetime = NOON

    def world(self) -> RunWorld:
        away = Trouble(Verdict(Reason.TEMPORAL_UNAVAILABLE, "no answer"), self.now - timedelta(minutes=1))
        return RunWorld(
            worker=a_worker() if self.worker else None,
            target=TARGET,
            execution=self.seen,
            absent=self.absent,
            trouble=away if self.down else None,
            turn=Turn(position=1, limit=1, free=self.places or FINALIZER in self.run.finalizers),
            given=self.given,
        )

    def plan(self) -> RunPlan:
        return plan_run(self.run, self.world(), now=self.now)


def perform(scene: Scene, action: Any) -> Scene:
    """Carry out an action as the controller and the two servers would."""
    run = scene.run
    match action:
        case act.AddFinalizer():
            return replace(scene, run=replace(run, finalizers=(FINALIZER,)))
        case act.RemoveFinalizer():
            return replace(scene, run=replace(run, finalizers=()), gone=run.deleted is not None)
        case act.DeleteRun():
            return replace(scene, gone=True)
        case act.ReadInput():
            missing = Verdict(Reason.INPUT_NOT_FOUND, "it is not there")
            return replace(scene, given=Given("hello") if scene.input_there else missing)
        case act.ReadOutcome() if scene.seen is not None:
            outcome = Outcome(result='"x"', failure=Failure(type="T", message="m"))
            return replace(scene, seen=replace(scene.seen, outcome=outcome))
    return in_temporal(scene, action)


def in_temporal(scene: Scene, action: Any) -> Scene:
    server = scene.server
    again = isinstance(action, act.RetryWorkflow) and server is not None and server.run_id == action.run_id
    if again or (server is None and isinstance(action, act.StartWorkflow | act.RetryWorkflow)):
        scene = replace(scene, starts=scene.starts + 1)
        server = an_execution(start_time=scene.now, run_id=f"run-{scene.starts}")
    match action:
        case act.CancelWorkflow() if server is not None:
            server = replace(server, cancel_requested=True)
        case act.TerminateWorkflow() if server is not None and server.open:
            server = replace(server, status=ExecutionStatus.TERMINATED, close_time=scene.now)
        case act.PauseWorkflow() if server is not None and server.open:
            server = replace(server, status=ExecutionStatus.PAUSED, paused_by=("durafleet-operator@x", ""))
        case act.UnpauseWorkflow() if server is not None and server.open:
            server = replace(server, status=ExecutionStatus.RUNNING, paused_by=None)
    return replace(scene, server=server, seen=server, absent=server is None)


def settle(scene: Scene) -> Scene:
    """Do as the controller: plan and carry out until nothing is left to do."""
    for _ in range(12):
        if scene.gone:
            return scene
        plan = scene.plan()
        if not plan.actions and (plan.status is None or plan.status == scene.run.status):
            return replace(scene, given=None)
        for action in plan.actions:
            scene = perform(scene, action)
        if not plan.actions and plan.status is not None:
            check_status(scene.run, plan.status)
            scene = replace(scene, run=replace(scene.run, status=plan.status))
    raise AssertionError(f"the plan does not settle: {scene.plan()}")


def check_status(run: Run, status: AgentRunStatus) -> None:
    """Hold a status that is about to be written to the contract."""
    assert status.state is not None
    if status.state != run.status.state:
        assert (run.status.state, status.state) in TRANSITIONS
    kinds = [condition.type for condition in status.conditions]
    assert kinds[:2] == ["Succeeded", "Ready"]
    assert len(kinds) <= 3, "never Reconciling and Stalled together"
    for condition in status.conditions:
        assert condition.reason
        assert condition.message
        assert condition.observed_generation == run.generation
        before = run.status.condition(ConditionType(condition.type))
        if before is not None and before.status == condition.status:
            assert condition.last_transition_time == before.last_transition_time
    succeeded = status.condition(ConditionType.SUCCEEDED)
    assert succeeded is not None
    assert succeeded.reason == status.state
    assert (succeeded.status != "Unknown") == (status.state in TERMINAL)
    assert status.observed_generation == run.generation
    assert len(status.model_dump_json()) < 64 * 1024


def edit(scene: Scene, **spec: Any) -> Scene:
    if scene.run.deleted is not None:
        return scene
    changed = scene.run.spec.model_copy(update=spec)
    return replace(scene, run=replace(scene.run, spec=changed, generation=scene.run.generation + 1))


def edited(scene: Scene, what: str) -> Scene:
    """Do what a user may do to the AgentRun."""
    parse = type(scene.run.spec).model_validate
    match what:
        case "suspend":
            return edit(scene, suspend=True)
        case "resume":
            return edit(scene, suspend=False)
        case "cancel" | "terminate":
            return edit(scene, stop=parse({"workerRef": {"name": "w"}, "stop": what.title()}).stop)
        case "unstop":
            return edit(scene, stop=None)
        case "retry":
            token = {"token": str(scene.run.generation)}
            return edit(scene, retry=parse({"workerRef": {"name": "w"}, "retry": token}).retry)
        case "delete":
            held = FINALIZER in scene.run.finalizers
            return replace(scene, run=replace(scene.run, deleted=scene.run.deleted or scene.now), gone=not held)
        case "status wiped":
            return replace(scene, run=replace(scene.run, status=AgentRunStatus()))
        case "finalizer wiped":
            return replace(scene, run=replace(scene.run, finalizers=()), gone=scene.run.deleted is not None)
    return scene


def happened(scene: Scene, what: str) -> Scene:
    """Let something happen around the operator, or in Temporal."""
    match what:
        case "operator restarts":
            return replace(scene, seen=None, absent=False, given=None)
        case "temporal goes" | "temporal comes":
            return replace(scene, down=what == "temporal goes")
        case "worker goes" | "worker comes":
            return replace(scene, worker=what == "worker comes")
        case "no place" | "a place":
            return replace(scene, places=what == "a place")
        case "no input" | "input":
            return replace(scene, input_there=what == "input")
        case "time passes":
            return replace(scene, now=scene.now + timedelta(minutes=3))
    return scene if scene.server is None else happened_in_temporal(scene, scene.server, what)


def happened_in_temporal(scene: Scene, server: Execution, what: str) -> Scene:
    if what == "erased":
        return replace(scene, server=None, seen=None, absent=False)
    if what == "reset":
        moved = an_execution(start_time=scene.now, run_id=f"reset-{scene.now.timestamp()}")
        return replace(scene, server=moved, seen=replace(moved, described=False))
    if server.open and what in {*CLOSED}:
        server = replace(server, status=ExecutionStatus(what), close_time=scene.now)
    elif server.open and what == "paused outside":
        server = replace(server, status=ExecutionStatus.PAUSED, paused_by=("alice", ""))
    elif server.open and what == "asks":
        server = replace(server, phase=RunPhase.AWAITING_APPROVAL)
    return replace(scene, server=server, seen=replace(server, described=False, paused_by=None))


EDITS = ["suspend", "resume", "cancel", "terminate", "unstop", "retry", "delete", "status wiped", "finalizer wiped"]
EVENTS = [
    "operator restarts", "temporal goes", "temporal comes", "worker goes", "worker comes", "no place", "a place",
    "no input", "input", "time passes", "erased", "reset", "paused outside", "asks", *map(str, CLOSED),
]  # fmt: skip
STEPS = st.lists(st.sampled_from([*EDITS, *EVENTS]), max_size=14)
RUNS = st.sampled_from([{}, SPEC, {"readyWhen": "Started"}, {"idempotencyKey": "k"}, {"ttlSecondsAfterFinished": 200}])


def after(spec: dict[str, Any], steps: list[str]) -> list[Scene]:
    """Return the scenes after each step, each one settled; the start is the first."""
    scenes = [settle(Scene(a_run(spec=spec)))]
    for step in steps:
        if scenes[-1].gone:
            break
        moved = edited(scenes[-1], step) if step in EDITS else happened(scenes[-1], step)
        scenes.append(settle(replace(moved, now=moved.now + timedelta(seconds=20))))
    return scenes


@settings(max_examples=400, deadline=None)
@given(spec=RUNS, steps=STEPS)
def test_every_plan_settles_and_every_status_keeps_the_contract(spec: dict[str, Any], steps: list[str]):
    for scene in after(spec, steps):
        if not scene.gone:
            again = scene.plan()
            assert again.announcements == () or again.status == scene.run.status


@settings(max_examples=300, deadline=None)
@given(spec=RUNS, steps=STEPS)
def test_an_ended_run_stays_as_it_ended_unless_somebody_asks_for_more(spec: dict[str, Any], steps: list[str]):
    asking = {"retry", "reset", "status wiped"}
    scenes = after(spec, steps)
    for before, step, then in zip(scenes, steps, scenes[1:], strict=False):
        waiting = before.run.spec.retry is not None and before.run.status.retry_token != before.run.spec.retry.token
        if before.run.status.state in TERMINAL and step not in asking and not waiting:
            assert then.run.status.state == before.run.status.state
        if before.run.status.state == Reason.COMPLETED and step != "status wiped":
            assert then.run.status.state == Reason.COMPLETED


@settings(max_examples=300, deadline=None)
@given(spec=RUNS, steps=STEPS)
def test_an_open_workflow_always_has_a_run_that_is_held_for_it(spec: dict[str, Any], steps: list[str]):
    for scene in after(spec, steps):
        known = scene.seen is not None and scene.seen.open
        if known and not scene.gone and not scene.down and scene.run.status.state not in {*TERMINAL}:
            assert FINALIZER in scene.run.finalizers
        if scene.run.status.state in TERMINAL and not scene.down:
            waiting = scene.run.spec.retry is not None and scene.run.status.retry_token != scene.run.spec.retry.token
            assert FINALIZER not in scene.run.finalizers or waiting or scene.run.deleted


@settings(max_examples=300, deadline=None)
@given(spec=RUNS, steps=STEPS)
def test_no_state_lacks_a_way_out(spec: dict[str, Any], steps: list[str]):
    """From wherever a history has led: all is there again, nobody holds the run, its workflow ends, and so does it."""
    scene = after(spec, steps)[-1]
    for mended in ("temporal comes", "worker comes", "a place", "input"):
        scene = happened(scene, mended)
    if not scene.gone and scene.run.deleted is None:
        scene = settle(edited(edited(scene, "resume"), "unstop"))
    if not scene.gone and scene.server is not None and scene.server.status is ExecutionStatus.PAUSED:
        running = replace(scene.server, status=ExecutionStatus.RUNNING, paused_by=None)  # as the message tells
        scene = replace(scene, server=running, seen=running)
    if not scene.gone:
        scene = settle(happened(scene, "Completed"))
    if not scene.gone and scene.run.deleted is not None:
        scene = settle(replace(scene, now=scene.now + timedelta(minutes=5)))
        assert scene.gone
    assert scene.gone or scene.run.status.state in TERMINAL


@settings(max_examples=200, deadline=None)
@given(spec=RUNS, steps=STEPS, policy=st.sampled_from([*DeletionPolicy]))
def test_a_deleted_run_goes_within_its_bound(spec: dict[str, Any], steps: list[str], policy: DeletionPolicy):
    scene = after({**spec, "deletionPolicy": policy}, steps)[-1]
    if not scene.gone:
        scene = settle(edited(scene, "delete"))
    for _ in range(8):
        if not scene.gone:
            scene = settle(replace(scene, now=scene.now + timedelta(seconds=30)))
    assert scene.gone
