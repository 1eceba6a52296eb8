"""The plan of an AgentRun for each observed state."""

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


def messages(plan: RunPlan) -> str:
    assert plan.status is not None
    return " ".join(condition.message for condition in plan.status.conditions)


def statuses(status: AgentRunStatus | None) -> dict[str, str]:
    assert status is not None
    return {condition.type: condition.status for condition in status.conditions}


def test_a_new_run_gets_its_finalizer_before_its_workflow_is_started():
    plan = plan_run(a_run(), a_world(), now=NOON)
    assert [type(action) for action in plan.actions] == [AddFinalizer, StartWorkflow]


def test_a_start_request_carries_the_timeouts_of_the_worker_and_the_uid_of_the_run():
    worker = a_worker(spec={"timeouts": {"workflow": "2h", "activity": "90s", "heartbeat": "10s"}})
    plan = plan_run(a_run(), a_world(worker=worker), now=NOON)
    start = next(action for action in plan.actions if isinstance(action, StartWorkflow))
    assert start.request.request_id == a_run().uid
    assert start.request.execution_timeout == 7200
    assert start.request.input[0]["options"]["startToClose"] == 90
    assert start.request.input[0]["options"]["heartbeat"] == 10


def test_the_default_timeouts_are_1h_for_the_workflow_5m_for_an_activity_and_30s_for_heartbeats():
    start = next(a for a in plan_run(a_run(), a_world(), now=NOON).actions if isinstance(a, StartWorkflow))
    assert start.request.execution_timeout == 3600
    assert start.request.input[0]["options"]["startToClose"] == 300
    assert start.request.input[0]["options"]["heartbeat"] == 30


def test_a_run_with_a_workflow_type_passes_its_input_through_unchanged():
    run = a_run(spec={"agent": None, "workflowType": "OrderFollowUp", "input": {"order": 7}})
    start = next(a for a in plan_run(run, a_world(), now=NOON).actions if isinstance(a, StartWorkflow))
    assert start.request.workflow_type == "OrderFollowUp"
    assert start.request.input == ({"order": 7},)


def test_after_a_restart_a_run_with_our_finalizer_is_described_before_it_is_started():
    plan = plan_run(held(a_run()), a_world(), now=NOON)
    assert [type(action) for action in plan.actions] == [Describe]


def test_a_run_with_our_finalizer_is_started_if_temporal_does_not_know_its_workflow():
    plan = plan_run(held(a_run()), a_world(absent=True), now=NOON)
    assert [type(action) for action in plan.actions] == [StartWorkflow]


def test_a_run_applied_before_its_worker_waits_and_names_the_missing_worker():
    plan = plan_run(a_run(), a_world(worker=None), now=NOON)
    assert plan.actions == ()
    assert plan.status is not None
    waiting = plan.status.condition(ConditionType.RECONCILING)
    assert waiting is not None
    assert waiting.reason == Reason.WORKER_NOT_FOUND
    assert "'support'" in waiting.message
    assert plan.requeue is not None


def test_a_run_whose_worker_stays_missing_is_stalled_after_a_minute():
    first = plan_run(a_run(), a_world(worker=None), now=NOON).status
    assert first is not None
    later = plan_run(a_run(status=first), a_world(worker=None), now=NOON + timedelta(seconds=61))
    assert statuses(later.status) == {"Succeeded": "Unknown", "Ready": "False", "Stalled": "True"}


def test_a_stalled_run_starts_once_its_worker_exists():
    stalled = plan_run(a_run(), a_world(worker=None), now=NOON).status
    plan = plan_run(a_run(status=stalled), a_world(), now=NOON + timedelta(hours=1))
    assert [type(action) for action in plan.actions] == [AddFinalizer, StartWorkflow]


def test_an_undeclared_agent_is_reported_together_with_the_declared_agents():
    plan = plan_run(a_run(spec={"agent": "other"}), a_world(), now=NOON)
    assert plan.actions == ()
    assert "'other'" in messages(plan)
    assert "greeter" in messages(plan)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"input": ""}, "spec.input is empty"),
        ({"input": None}, "spec.input is empty"),
        ({"input": "x" * (64 * 1024)}, "over the limit"),
        ({"workflowType": "T"}, "exactly one of agent and workflowType"),
    ],
)
def test_an_invalid_spec_ends_the_run_and_the_message_names_the_problem(spec: dict[str, object], expected: str):
    plan = plan_run(a_run(spec=spec), a_world(), now=NOON)
    assert plan.actions == ()
    assert plan.status is not None
    assert plan.status.state == Reason.INVALID_SPEC
    assert expected in messages(plan)


def test_a_run_that_is_stopped_before_its_start_is_cancelled_and_never_started():
    plan = plan_run(a_run(spec={"stop": "Cancel"}), a_world(), now=NOON)
    assert plan.actions == ()
    assert plan.status is not None
    assert plan.status.state == Reason.CANCELLED
    assert statuses(plan.status)["Ready"] == "True"


def test_a_run_whose_start_is_rejected_is_terminal_and_stalled():
    trouble = Trouble(Verdict(Reason.START_REJECTED, "no such thing"), NOON, final=True)
    plan = plan_run(held(a_run()), a_world(trouble=trouble), now=NOON)
    assert plan.status is not None
    assert plan.status.state == Reason.START_REJECTED
    assert statuses(plan.status) == {"Succeeded": "False", "Ready": "False", "Stalled": "True"}


def test_a_run_is_reconciling_during_a_short_outage_of_temporal_and_stalled_during_a_long_one():
    trouble = Trouble(Verdict(Reason.TEMPORAL_UNAVAILABLE, "no answer"), NOON)
    soon = plan_run(held(a_run()), a_world(trouble=trouble), now=NOON + timedelta(seconds=10))
    assert statuses(soon.status)["Reconciling"] == "True"
    late = plan_run(held(a_run()), a_world(trouble=trouble), now=NOON + timedelta(minutes=6))
    assert statuses(late.status)["Stalled"] == "True"


def test_a_run_whose_workflow_is_running_is_reconciling_and_neither_ready_nor_failed():
    plan = plan_run(held(a_run()), a_world(execution=an_execution()), now=NOON)
    assert statuses(plan.status) == {"Succeeded": "Unknown", "Ready": "Unknown", "Reconciling": "True"}
    assert plan.status is not None
    assert plan.status.workflow is not None
    assert plan.status.workflow.run_id == "run-1"
    assert [event.reason for event in plan.announcements] == ["Running"]


def test_a_run_whose_workflow_tasks_fail_reports_the_problem():
    plan = plan_run(held(a_run()), a_world(execution=an_execution(problem="category=WorkflowTaskFailed")), now=NOON)
    assert "category=WorkflowTaskFailed" in messages(plan)
    assert "WorkflowTaskFailing" in {c.reason for c in (plan.status.conditions if plan.status else [])}


def test_the_outcome_of_a_closed_workflow_is_read_before_it_is_reported():
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
def test_each_close_status_has_its_state_and_conditions(
    closed: ExecutionStatus, stop: str | None, state: Reason, conditions: dict[str, str]
):
    execution = a_closed(closed, result='"done"', failure=Failure(type="Boom", message="it broke"))
    plan = plan_run(held(a_run(spec={"stop": stop})), a_world(execution=execution), now=NOON)
    assert plan.status is not None
    assert plan.status.state == state
    assert statuses(plan.status) == conditions


def test_the_output_of_an_agent_becomes_a_preview_with_its_size():
    result = '{"output": "Paris", "usage": {}, "turns": 1}'
    execution = a_closed(ExecutionStatus.COMPLETED, result=result)
    status = plan_run(held(a_run()), a_world(execution=execution), now=NOON).status
    assert status is not None
    assert status.result is not None
    assert (status.result.preview, status.result.size) == ("Paris", 5)


def test_a_failure_is_reported_with_its_type_and_message():
    failure = Failure(type="ModelAuthentication", message="the key is wrong")
    plan = plan_run(held(a_run()), a_world(execution=a_closed(ExecutionStatus.FAILED, failure=failure)), now=NOON)
    assert plan.status is not None
    assert plan.status.failure == failure
    assert "ModelAuthentication: the key is wrong" in messages(plan)


def test_a_cancel_request_is_sent_only_once():
    run = held(a_run(spec={"stop": "Cancel"}))
    first = plan_run(run, a_world(execution=an_execution()), now=NOON)
    assert [type(action) for action in first.actions] == [CancelWorkflow]
    then = plan_run(run, a_world(execution=an_execution(cancel_requested=True)), now=NOON)
    assert then.actions == ()
    assert "Cancelling" in {c.reason for c in (then.status.conditions if then.status else [])}


def test_a_workflow_with_a_cancel_request_can_still_be_terminated():
    run = held(a_run(spec={"stop": "Terminate"}))
    plan = plan_run(run, a_world(execution=an_execution(cancel_requested=True)), now=NOON)
    assert [type(action) for action in plan.actions] == [TerminateWorkflow]


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_a_terminal_run_stays_terminal_even_if_an_open_execution_is_observed_later(state: Reason):
    run = held(a_run(status=AgentRunStatus(state=state, observed_generation=1)))
    releasing = plan_run(run, a_world(execution=an_execution()), now=NOON)
    assert [type(action) for action in releasing.actions] == [RemoveFinalizer]
    settled = plan_run(replace(run, finalizers=()), a_world(execution=an_execution()), now=NOON)
    assert settled.actions == ()
    assert settled.status == run.status


def test_a_workflow_that_temporal_no_longer_knows_is_not_started_again():
    status = plan_run(held(a_run()), a_world(execution=an_execution()), now=NOON).status
    plan = plan_run(held(a_run(status=status)), a_world(absent=True), now=NOON)
    assert plan.actions == ()
    assert plan.status is not None
    assert plan.status.state == Reason.TERMINATED


def with_status_written(run: Run, plan: RunPlan) -> Run:
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
def test_planning_again_after_the_effects_are_in_place_changes_nothing(world: RunWorld):
    run = held(a_run()) if world.execution is not None and world.execution.open else a_run()
    run = with_status_written(run, plan_run(run, world, now=NOON))
    again = plan_run(run, world, now=NOON + timedelta(seconds=5))
    assert again.actions == ()
    assert again.status == run.status
    assert again.announcements == ()
