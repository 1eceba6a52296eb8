"""The policy is total: a rule decides for every AgentRun and every observed state."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from durafleet.api.lifecycle import TERMINAL
from durafleet.api.run import AgentRunSpec, DeletionPolicy, Stop, WorkflowRef
from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict
from durafleet.core.grace import Trouble
from durafleet.core.objects import FINALIZER, Run
from durafleet.core.runs.admission import Turn
from durafleet.core.runs.execution import Execution, ExecutionStatus, Outcome
from durafleet.core.runs.identity import workflow_id
from durafleet.core.runs.plan import SITUATIONS, plan_run
from durafleet.core.runs.world import Given, RunWorld
from tests.support.builders import NOON, TARGET, a_run, a_worker, an_execution

MISSING = Verdict(Reason.CONNECTION_NOT_FOUND, "no connection")
REFUSED = Verdict(Reason.START_REJECTED, "refused")
STATES = [None, Reason.PENDING, Reason.QUEUED, Reason.RUNNING, Reason.SUSPENDED, *sorted(TERMINAL)]
CLOSED = {ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELED, ExecutionStatus.TERMINATED}


@st.composite
def runs(draw: st.DrawFn) -> Run:
    spec = {
        "workerRef": {"name": "support"},
        "agent": draw(st.sampled_from(["greeter", "greeter", "unknown", None])),
        "input": draw(st.sampled_from(["hello", "", None])),
        "inputFrom": draw(st.sampled_from([None, {"configMapKeyRef": {"name": "texts", "key": "prompt"}}])),
        "suspend": draw(st.booleans()),
        "stop": draw(st.sampled_from([None, None, *Stop])),
        "retry": draw(st.sampled_from([None, {"token": "2"}])),
        "ttlSecondsAfterFinished": draw(st.sampled_from([None, 0, 100])),
        "deletionPolicy": draw(st.sampled_from(DeletionPolicy)),
    }
    run = a_run(
        finalizers=draw(st.sampled_from([(), (FINALIZER,)])),
        deleted=draw(st.sampled_from([None, None, NOON])),
        tracked=draw(st.booleans()),
    )
    run_id = draw(st.sampled_from([None, "run-0", "run-1"]))
    status = run.status.model_copy(
        update={
            "state": draw(st.sampled_from(STATES)),
            "retry_token": draw(st.sampled_from([None, "2"])),
            "workflow": None if run_id is None else a_ref(run, run_id),
        }
    )
    return replace(run, spec=AgentRunSpec.model_validate(spec), status=status)


def a_ref(run: Run, run_id: str) -> WorkflowRef:
    return WorkflowRef(id=workflow_id(run), run_id=run_id, namespace="default", task_queue="queue", type="AgentRun")


@st.composite
def executions(draw: st.DrawFn) -> Execution | None:
    status = draw(st.sampled_from([None, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED, *sorted(CLOSED)]))
    if status is None:
        return None
    return an_execution(
        status=status,
        run_id=draw(st.sampled_from(["run-0", "run-1"])),
        owner=draw(st.sampled_from(["default/hello", "default/hello", None])),
        described=draw(st.booleans()),
        cancel_requested=draw(st.booleans()),
        outcome=draw(st.sampled_from([None, Outcome(result="1")])),
    )


@st.composite
def worlds(draw: st.DrawFn) -> RunWorld:
    return RunWorld(
        worker=draw(st.sampled_from([None, a_worker()])),
        target=draw(st.sampled_from([TARGET, TARGET, MISSING])),
        execution=draw(executions()),
        absent=draw(st.booleans()),
        trouble=draw(st.sampled_from([None, None, Trouble(MISSING, NOON), Trouble(REFUSED, NOON, final=True)])),
        turn=draw(st.sampled_from([None, Turn(position=1, limit=1, free=False), Turn(position=1, limit=1, free=True)])),
        given=draw(st.sampled_from([None, Given("hello"), Given(""), Verdict(Reason.INPUT_NOT_FOUND, "no input")])),
        expected=draw(st.booleans()),
        pausable=draw(st.booleans()),
    )


@settings(max_examples=1500)
@given(run=runs(), world=worlds(), seconds=st.sampled_from([1, 61, 121]))
def test_every_combination_of_a_run_and_its_observations_has_a_plan(run: Run, world: RunWorld, seconds: int):
    now = NOON + timedelta(seconds=seconds)
    plan = plan_run(run, world, now=now)
    assert plan == plan_run(run, world, now=now)
    if plan.status is not None and not plan.actions:
        truths = [condition.type for condition in plan.status.conditions]
        assert len(truths) == len(set(truths))


def test_each_situation_has_a_unique_name():
    names = [situation.name for situation in SITUATIONS]
    assert len(names) == len(set(names))
