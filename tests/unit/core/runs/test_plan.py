"""What becomes of an AgentRun in every situation."""

from dataclasses import replace
from datetime import timedelta

import pytest

from durafleet.api.lifecycle import TERMINAL
from durafleet.api.run import AgentRunStatus, Failure
from durafleet.api.status import ConditionType, Reason
from durafleet.core.conditions import Verdict
from durafleet.core.grace import Trouble
from durafleet.core.objects import Run
from durafleet.core.runs.actions import (
    AddFinalizer,
    CancelWorkflow,
    Describe,
    ReadOutcome,
    RemoveFinalizer,
    RunPlan,
    StartWorkflow,
    TerminateWorkflow,
)
from durafleet.core.runs.execution import ExecutionStatus
from durafleet.core.runs.plan import plan_run
from durafleet.core.runs.world import RunWorld
from tests.support.builders import NOON, TARGET, a_closed, a_run, a_worker, an_execution, held


def a_world(**changes: object) -> RunWorld:
    return replace(RunWorld(worker=a_worker(), target=TARGET), **changes)  # type: ignore[arg-type]


def words(plan: RunPlan) -> str:
    assert plan.status is not None
    return " ".join(condition.message for condition in plan.status.conditions)


def truths(status: AgentRunStatus | None) -> dict[str, str]:
    assert status is not None
    return {condition.type: condition.status for condition in status.conditions}


def test_a_new_run_gets_its_finalizer_before_its_workflow():
    plan = plan_run(a_run(), a_world(), now=NOON)
    assert [type(action) for action in plan.actions] == [AddFinalizer, StartWorkflow]


def test_a_start_carries_the_workers_timeouts_and_the_runs_uid():
    worker = a_worker(spec={"timeouts": {"workflow": "2h", "activity": "90s", "heartbeat": "10s"}})
    plan = plan_run(a_run(), a_world(worker=worker), now=NOON)
    start = next(action for action in plan.actions if isinstance(action, StartWorkflow))
    assert start.request.request_id == a_run().uid
    assert start.request.execution_timeout == 7200
    assert start.request.input[0]["options"]["startToClose"] == 90
    assert start.request.input[0]["options"]["heartbeat"] == 10


def test_a_run_that_says_nothing_gets_an_hour_five_minutes_and_thirty_seconds():
    start = next(a for a in plan_run(a_run(), a_world(), now=NOON).actions if isinstance(a, StartWorkflow))
    assert start.request.execution_timeout == 3600
    assert start.request.input[0]["options"]["startToClose"] == 300
    assert start.request.input[0]["options"]["heartbeat"] == 30


def test_a_run_of_a_workflow_type_passes_its_input_through():
    run = a_run(spec={"agent": None, "workflowType": "OrderFollowUp", "input": {"order": 7}})
    start = next(a for a in plan_run(run, a_world(), now=NOON).actions if isinstance(a, StartWorkflow))
    assert start.request.workflow_type == "OrderFollowUp"
    assert start.request.input == ({"order": 7},)


def test_after_a_restart_a_held_run_is_asked_about_before_it_is_started():
    plan = plan_run(held(a_run()), a_world(), now=NOON)
    assert [type(action) for action in plan.actions] == [Describe]


def test_a_held_run_that_temporal_does_not_know_is_started():
    plan = plan_run(held(a_run()), a_world(absent=True), now=NOON)
    assert [type(action) for action in plan.actions] == [StartWorkflow]


def test_a_run_applied_before_its_worker_waits_and_says_for_what():
    plan = plan_run(a_run(), a_world(worker=None), now=NOON)
    assert plan.actions == ()
    assert plan.status is not None
    waiting = plan.status.condition(ConditionType.RECONCILING)
    assert waiting is not None
    assert waiting.reason == Reason.WORKER_NOT_FOUND
    assert "'support'" in waiting.message
    assert plan.requeue is not None


def test_a_reference_that_stays_missing_reads_as_stalled_after_a_minute():
    first = plan_run(a_run(), a_world(worker=None), now=NOON).status
    assert first is not None
    later = plan_run(a_run(status=first), a_world(worker=None), now=NOON + timedelta(seconds=61))
    assert truths(later.status) == {"Succeeded": "Unknown", "Ready": "False", "Stalled": "True"}


def test_a_stalled_run_starts_when_its_worker_comes():
    stalled = plan_run(a_run(), a_world(worker=None), now=NOON).status
    plan = plan_run(a_run(status=stalled), a_world(), now=NOON + timedelta(hours=1))
    assert [type(action) for action in plan.actions] == [AddFinalizer, StartWorkflow]


def test_an_undeclared_agent_is_named_with_the_declared_ones():
    plan = plan_run(a_run(spec={"agent": "other"}), a_world(), now=NOON)
    assert plan.actions == ()
    assert "'other'" in words(plan)
    assert "greeter" in words(plan)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"input": ""}, "spec.input is empty"),
        ({"input": None}, "spec.input is empty"),
        ({"input": "x" * (64 * 1024)}, "over the limit"),
        ({"workflowType": "T"}, "exactly one of agent and workflowType"),
    ],
)
def test_a_spec_that_cannot_work_ends_the_run_and_names_the_field(spec: dict[str, object], said: str):
    plan = plan_run(a_run(spec=spec), a_world(), now=NOON)
    assert plan.actions == ()
    assert plan.status is not None
    assert plan.status.state == Reason.INVALID_SPEC
    assert said in words(plan)


def test_stop_before_the_start_means_that_it_never_starts():
    plan = plan_run(a_run(spec={"stop": "Cancel"}), a_world(), now=NOON)
    assert plan.actions == ()
    assert plan.status is not None
    assert plan.status.state == Reason.CANCELLED
    assert truths(plan.status)["Ready"] == "True"


def test_a_refused_start_is_terminal_and_says_why():
    trouble = Trouble(Verdict(Reason.START_REJECTED, "no such thing"), NOON, final=True)
    plan = plan_run(held(a_run()), a_world(trouble=trouble), now=NOON)
    assert plan.status is not None
    assert plan.status.state == Reason.START_REJECTED
    assert truths(plan.status) == {"Succeeded": "False", "Ready": "False", "Stalled": "True"}


def test_temporal_away_for_a_while_reads_as_progress_and_then_as_stalled():
    trouble = Trouble(Verdict(Reason.TEMPORAL_UNAVAILABLE, "no answer"), NOON)
    soon = plan_run(held(a_run()), a_world(trouble=trouble), now=NOON + timedelta(seconds=10))
    assert truths(soon.status)["Reconciling"] == "True"
    late = plan_run(held(a_run()), a_world(trouble=trouble), now=NOON + timedelta(minutes=6))
    assert truths(late.status)["Stalled"] == "True"


def test_a_running_workflow_is_reconciling_and_neither_ready_nor_failed():
    plan = plan_run(held(a_run()), a_world(execution=an_execution()), now=NOON)
    assert truths(plan.status) == {"Succeeded": "Unknown", "Ready": "Unknown", "Reconciling": "True"}
    assert plan.status is not None
    assert plan.status.workflow is not None
    assert plan.status.workflow.run_id == "run-1"
    assert [event.reason for event in plan.announcements] == ["Running"]


def test_a_workflow_whose_tasks_fail_says_so():
    plan = plan_run(held(a_run()), a_world(execution=an_execution(problem="category=WorkflowTaskFailed")), now=NOON)
    assert "category=WorkflowTaskFailed" in words(plan)
    assert "WorkflowTaskFailing" in {c.reason for c in (plan.status.conditions if plan.status else [])}


def test_a_closed_workflow_is_read_before_it_is_reported():
    execution = replace(a_closed(ExecutionStatus.COMPLETED), outcome=None)
    plan = plan_run(held(a_run()), a_world(execution=execution), now=NOON)
    assert [type(action) for action in plan.actions] == [ReadOutcome]


CLOSED = [
    (ExecutionStatus.COMPLETED, None, Reason.COMPLETED, {"Succeeded": "True", "Ready": "True"}),
    (ExecutionStatus.FAILED, None, Reason.WORKFLOW_FAILED, {"Succeeded": "False", "Ready": "False", "Stalled": "True"}),
    (ExecutionStatus.TIMED_OUT, None, Reason.TIMED_OUT, {"Succeeded": "False", "Ready": "False", "Stalled": "True"}),
    (ExecutionStatus.CANCELED, None, Reason.CANCELLED, {"Succeeded": "False", "Ready": "False", "Stalled": "True"}),
    (ExecutionStatus.CANCELED, "Cancel", Reason.CANCELLED, {"Succeeded": "False", "Ready": "True"}),
    (ExecutionStatus.TERMINATED, None, Reason.TERMINATED, {"Succeeded": "False", "Ready": "False", "Stalled": "True"}),
    (ExecutionStatus.TERMINATED, "Terminate", Reason.TERMINATED, {"Succeeded": "False", "Ready": "True"}),
]


@pytest.mark.parametrize(("closed", "stop", "state", "conditions"), CLOSED)
def test_each_way_to_close_has_its_state_and_conditions(
    closed: ExecutionStatus, stop: str | None, state: Reason, conditions: dict[str, str]
):
    execution = a_closed(closed, result='"done"', failure=Failure(type="Boom", message="it broke"))
    plan = plan_run(held(a_run(spec={"stop": stop})), a_world(execution=execution), now=NOON)
    assert plan.status is not None
    assert plan.status.state == state
    assert truths(plan.status) == conditions


def test_an_answer_becomes_a_preview_with_its_size():
    result = '{"output": "Paris", "usage": {}, "turns": 1}'
    execution = a_closed(ExecutionStatus.COMPLETED, result=result)
    status = plan_run(held(a_run()), a_world(execution=execution), now=NOON).status
    assert status is not None
    assert status.result is not None
    assert (status.result.preview, status.result.size) == ("Paris", 5)


def test_a_failure_is_reported_with_its_type_and_words():
    failure = Failure(type="ModelAuthentication", message="the key is wrong")
    plan = plan_run(held(a_run()), a_world(execution=a_closed(ExecutionStatus.FAILED, failure=failure)), now=NOON)
    assert plan.status is not None
    assert plan.status.failure == failure
    assert "ModelAuthentication: the key is wrong" in words(plan)


def test_cancel_is_sent_once():
    run = held(a_run(spec={"stop": "Cancel"}))
    first = plan_run(run, a_world(execution=an_execution()), now=NOON)
    assert [type(action) for action in first.actions] == [CancelWorkflow]
    then = plan_run(run, a_world(execution=an_execution(cancel_requested=True)), now=NOON)
    assert then.actions == ()
    assert "Cancelling" in {c.reason for c in (then.status.conditions if then.status else [])}


def test_terminate_may_follow_cancel():
    run = held(a_run(spec={"stop": "Terminate"}))
    plan = plan_run(run, a_world(execution=an_execution(cancel_requested=True)), now=NOON)
    assert [type(action) for action in plan.actions] == [TerminateWorkflow]


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_a_terminal_run_stays_terminal_whatever_is_seen_later(state: Reason):
    run = held(a_run(status=AgentRunStatus(state=state, observed_generation=1)))
    letting_go = plan_run(run, a_world(execution=an_execution()), now=NOON)
    assert [type(action) for action in letting_go.actions] == [RemoveFinalizer]
    settled = plan_run(replace(run, finalizers=()), a_world(execution=an_execution()), now=NOON)
    assert settled.actions == ()
    assert settled.status == run.status


def test_a_vanished_workflow_is_not_started_again():
    status = plan_run(held(a_run()), a_world(execution=an_execution()), now=NOON).status
    plan = plan_run(held(a_run(status=status)), a_world(absent=True), now=NOON)
    assert plan.actions == ()
    assert plan.status is not None
    assert plan.status.state == Reason.TERMINATED


def carried_out(run: Run, plan: RunPlan) -> Run:
    return replace(run, status=plan.status) if plan.status is not None else run


@pytest.mark.parametrize(
    "world",
    [
        a_world(worker=None),
        a_world(execution=an_execution()),
        a_world(execution=a_closed(ExecutionStatus.COMPLETED, result='"x"')),
        a_world(execution=a_closed(ExecutionStatus.FAILED, failure=Failure(type="T", message="m"))),
    ],
)
def test_a_plan_whose_effects_are_there_has_nothing_left_to_do(world: RunWorld):
    run = held(a_run()) if world.execution is not None and world.execution.open else a_run()
    run = carried_out(run, plan_run(run, world, now=NOON))
    again = plan_run(run, world, now=NOON + timedelta(seconds=5))
    assert again.actions == ()
    assert again.status == run.status
    assert again.announcements == ()
