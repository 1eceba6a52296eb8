"""Invariants of the plan of an AgentRun, checked with generated histories of user edits and events."""

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
class State:
    """The run, Temporal and the memory of the controller at one point of a history."""

    run: Run
    server: Execution | None = None
    seen: Execution | None = None
    absent: bool = False
    given: Given | Verdict | None = None
    gone: bool = False
    down: bool = False
    slots: bool = True
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
            turn=Turn(position=1, limit=1, free=self.slots or FINALIZER in self.run.finalizers),
            given=self.given,
        )

    def plan(self) -> RunPlan:
        return plan_run(self.run, self.world(), now=self.now)


def perform(state: State, action: Any) -> State:
    """Apply an action as the controller, the API server and Temporal would."""
    run = state.run
    match action:
        case act.AddFinalizer():
            return replace(state, run=replace(run, finalizers=(FINALIZER,)))
        case act.RemoveFinalizer():
            return replace(state, run=replace(run, finalizers=()), gone=run.deleted is not None)
        case act.DeleteRun():
            return replace(state, gone=True)
        case act.ReadInput():
            missing = Verdict(Reason.INPUT_NOT_FOUND, "it is not there")
            return replace(state, given=Given("hello") if state.input_there else missing)
        case act.ReadOutcome() if state.seen is not None:
            outcome = Outcome(result='"x"', failure=Failure(type="T", message="m"))
            return replace(state, seen=replace(state.seen, outcome=outcome))
    return perform_in_temporal(state, action)


def perform_in_temporal(state: State, action: Any) -> State:
    server = state.server
    again = isinstance(action, act.RetryWorkflow) and server is not None and server.run_id == action.run_id
    if again or (server is None and isinstance(action, act.StartWorkflow | act.RetryWorkflow)):
        state = replace(state, starts=state.starts + 1)
        server = an_execution(start_time=state.now, run_id=f"run-{state.starts}")
    match action:
        case act.CancelWorkflow() if server is not None:
            server = replace(server, cancel_requested=True)
        case act.TerminateWorkflow() if server is not None and server.open:
            server = replace(server, status=ExecutionStatus.TERMINATED, close_time=state.now)
        case act.PauseWorkflow() if server is not None and server.open:
            server = replace(server, status=ExecutionStatus.PAUSED, paused_by=("durafleet-operator@x", ""))
        case act.UnpauseWorkflow() if server is not None and server.open:
            server = replace(server, status=ExecutionStatus.RUNNING, paused_by=None)
    return replace(state, server=server, seen=server, absent=server is None)


def settle(state: State) -> State:
    """Plan and act like the controller until nothing is left to do."""
    for _ in range(12):
        if state.gone:
            return state
        plan = state.plan()
        if not plan.actions and (plan.status is None or plan.status == state.run.status):
            return replace(state, given=None)
        for action in plan.actions:
            state = perform(state, action)
        if not plan.actions and plan.status is not None:
            check_status(state.run, plan.status)
            state = replace(state, run=replace(state.run, status=plan.status))
    raise AssertionError(f"the plan does not settle: {state.plan()}")


def check_status(run: Run, status: AgentRunStatus) -> None:
    """Check a status that is about to be written against the contract."""
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


def edit(state: State, **spec: Any) -> State:
    if state.run.deleted is not None:
        return state
    changed = state.run.spec.model_copy(update=spec)
    return replace(state, run=replace(state.run, spec=changed, generation=state.run.generation + 1))


def apply_edit(state: State, what: str) -> State:
    """Apply an edit that a user may make to the AgentRun."""
    parse = type(state.run.spec).model_validate
    match what:
        case "suspend":
            return edit(state, suspend=True)
        case "resume":
            return edit(state, suspend=False)
        case "cancel" | "terminate":
            return edit(state, stop=parse({"workerRef": {"name": "w"}, "stop": what.title()}).stop)
        case "unstop":
            return edit(state, stop=None)
        case "retry":
            token = {"token": str(state.run.generation)}
            return edit(state, retry=parse({"workerRef": {"name": "w"}, "retry": token}).retry)
        case "delete":
            held = FINALIZER in state.run.finalizers
            return replace(state, run=replace(state.run, deleted=state.run.deleted or state.now), gone=not held)
        case "status wiped":
            return replace(state, run=replace(state.run, status=AgentRunStatus()))
        case "finalizer wiped":
            return replace(state, run=replace(state.run, finalizers=()), gone=state.run.deleted is not None)
    return state


def apply_event(state: State, what: str) -> State:
    """Apply an event in the environment of the operator or in Temporal."""
    match what:
        case "operator restarts":
            return replace(state, seen=None, absent=False, given=None)
        case "temporal unavailable" | "temporal available":
            return replace(state, down=what == "temporal unavailable")
        case "no worker" | "worker exists":
            return replace(state, worker=what == "worker exists")
        case "no slot" | "a slot":
            return replace(state, slots=what == "a slot")
        case "no input" | "input":
            return replace(state, input_there=what == "input")
        case "time passes":
            return replace(state, now=state.now + timedelta(minutes=3))
    return state if state.server is None else apply_temporal_event(state, state.server, what)


def apply_temporal_event(state: State, server: Execution, what: str) -> State:
    if what == "erased":
        return replace(state, server=None, seen=None, absent=False)
    if what == "reset":
        moved = an_execution(start_time=state.now, run_id=f"reset-{state.now.timestamp()}")
        return replace(state, server=moved, seen=replace(moved, described=False))
    if server.open and what in {*CLOSED}:
        server = replace(server, status=ExecutionStatus(what), close_time=state.now)
    elif server.open and what == "paused by a user":
        server = replace(server, status=ExecutionStatus.PAUSED, paused_by=("alice", ""))
    elif server.open and what == "waits for approval":
        server = replace(server, phase=RunPhase.AWAITING_APPROVAL)
    return replace(state, server=server, seen=replace(server, described=False, paused_by=None))


EDITS = ["suspend", "resume", "cancel", "terminate", "unstop", "retry", "delete", "status wiped", "finalizer wiped"]
EVENTS = [
    "operator restarts", "temporal unavailable", "temporal available", "no worker", "worker exists", "no slot",
    "a slot", "no input", "input", "time passes", "erased", "reset", "paused by a user", "waits for approval",
    *map(str, CLOSED),
]  # fmt: skip
STEPS = st.lists(st.sampled_from([*EDITS, *EVENTS]), max_size=14)
RUNS = st.sampled_from([{}, SPEC, {"readyWhen": "Started"}, {"idempotencyKey": "k"}, {"ttlSecondsAfterFinished": 200}])


def after(spec: dict[str, Any], steps: list[str]) -> list[State]:
    """Return the settled states: the first one of the start, then one after each step."""
    states = [settle(State(a_run(spec=spec)))]
    for step in steps:
        if states[-1].gone:
            break
        moved = apply_edit(states[-1], step) if step in EDITS else apply_event(states[-1], step)
        states.append(settle(replace(moved, now=moved.now + timedelta(seconds=20))))
    return states


@settings(max_examples=400)
@given(spec=RUNS, steps=STEPS)
def test_every_plan_settles_and_every_written_status_satisfies_the_contract(spec: dict[str, Any], steps: list[str]):
    for state in after(spec, steps):
        if not state.gone:
            again = state.plan()
            assert again.announcements == () or again.status == state.run.status


@settings(max_examples=300)
@given(spec=RUNS, steps=STEPS)
def test_a_terminal_state_changes_only_after_a_retry_a_reset_or_a_wiped_status(spec: dict[str, Any], steps: list[str]):
    asking = {"retry", "reset", "status wiped"}
    states = after(spec, steps)
    for before, step, then in zip(states, steps, states[1:], strict=False):
        waiting = before.run.spec.retry is not None and before.run.status.retry_token != before.run.spec.retry.token
        if before.run.status.state in TERMINAL and step not in asking and not waiting:
            assert then.run.status.state == before.run.status.state
        if before.run.status.state == Reason.COMPLETED and step != "status wiped":
            assert then.run.status.state == Reason.COMPLETED


@settings(max_examples=300)
@given(spec=RUNS, steps=STEPS)
def test_a_run_has_the_finalizer_while_its_workflow_is_open_and_loses_it_once_terminal(
    spec: dict[str, Any], steps: list[str]
):
    for state in after(spec, steps):
        known = state.seen is not None and state.seen.open
        if known and not state.gone and not state.down and state.run.status.state not in {*TERMINAL}:
            assert FINALIZER in state.run.finalizers
        if state.run.status.state in TERMINAL and not state.down:
            waiting = state.run.spec.retry is not None and state.run.status.retry_token != state.run.spec.retry.token
            assert FINALIZER not in state.run.finalizers or waiting or state.run.deleted


@settings(max_examples=300)
@given(spec=RUNS, steps=STEPS)
def test_every_reachable_run_can_still_end_or_be_deleted(spec: dict[str, Any], steps: list[str]):
    """After any history: all dependencies return, the run is resumed, its workflow completes; then the run ends too."""
    state = after(spec, steps)[-1]
    for recovery in ("temporal available", "worker exists", "a slot", "input"):
        state = apply_event(state, recovery)
    if not state.gone and state.run.deleted is None:
        state = settle(apply_edit(apply_edit(state, "resume"), "unstop"))
    if not state.gone and state.server is not None and state.server.status is ExecutionStatus.PAUSED:
        running = replace(state.server, status=ExecutionStatus.RUNNING, paused_by=None)  # the message shows the command
        state = replace(state, server=running, seen=running)
    if not state.gone:
        state = settle(apply_event(state, "Completed"))
    if not state.gone and state.run.deleted is not None:
        state = settle(replace(state, now=state.now + timedelta(minutes=5)))
        assert state.gone
    assert state.gone or state.run.status.state in TERMINAL


@settings(max_examples=200)
@given(spec=RUNS, steps=STEPS, policy=st.sampled_from([*DeletionPolicy]))
def test_a_deleted_run_is_gone_within_a_bounded_time(spec: dict[str, Any], steps: list[str], policy: DeletionPolicy):
    state = after({**spec, "deletionPolicy": policy}, steps)[-1]
    if not state.gone:
        state = settle(apply_edit(state, "delete"))
    for _ in range(8):
        if not state.gone:
            state = settle(replace(state, now=state.now + timedelta(seconds=30)))
    assert state.gone
