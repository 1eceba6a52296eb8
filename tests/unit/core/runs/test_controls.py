"""What a user controls about a run: concurrency limit, suspend, retry, idempotency key, input, time to live."""

from dataclasses import replace
from datetime import timedelta

import pytest

from durafleet.api.contract import RunPhase
from durafleet.api.lifecycle import RETRYABLE
from durafleet.api.run import AgentRunStatus, Failure, RetryFrom
from durafleet.api.status import ConditionType, Reason
from durafleet.core.conditions import Verdict
from durafleet.core.grace import Trouble
from durafleet.core.objects import Run
from durafleet.core.runs.actions import (
    AddFinalizer,
    CancelWorkflow,
    DeleteRun,
    Describe,
    PauseWorkflow,
    ReadInput,
    ReadOutcome,
    RetryWorkflow,
    RunPlan,
    StartWorkflow,
    TerminateWorkflow,
    UnpauseWorkflow,
)
from durafleet.core.runs.admission import Turn
from durafleet.core.runs.execution import ExecutionStatus
from durafleet.core.runs.plan import plan_run
from durafleet.core.runs.world import Given, RunWorld
from tests.support.builders import NOON, TARGET, a_closed, a_run, a_worker, an_execution, held

LATER = NOON + timedelta(hours=1)
PAUSED = {"status": ExecutionStatus.PAUSED, "paused_by": ("durafleet-operator@pod", "spec.suspend is true")}


def a_world(**changes: object) -> RunWorld:
    return replace(RunWorld(worker=a_worker(), target=TARGET), **changes)  # type: ignore[arg-type]


def kinds(plan: RunPlan) -> list[type]:
    return [type(action) for action in plan.actions]


def reported(plan: RunPlan) -> tuple[str | None, str, str]:
    """Return the state, and the status and reason of Ready."""
    assert plan.status is not None
    ready = plan.status.condition(ConditionType.READY)
    assert ready is not None
    return plan.status.state, ready.status, ready.reason


def messages(plan: RunPlan) -> str:
    assert plan.status is not None
    return " ".join(condition.message for condition in plan.status.conditions)


def ended(state: ExecutionStatus = ExecutionStatus.FAILED, **spec: object) -> Run:
    """Return a run whose workflow has closed and whose status reports it."""
    run = held(a_run(spec=spec))
    failure = Failure(type="Boom", message="it broke")
    plan = plan_run(run, a_world(execution=a_closed(state, failure=failure)), now=NOON)
    return replace(run, status=plan.status, finalizers=())


# Queued


def test_a_run_over_the_concurrency_limit_is_queued_and_reports_its_position():
    plan = plan_run(a_run(), a_world(turn=Turn(position=3, limit=2, free=False)), now=NOON)
    assert kinds(plan) == []
    assert reported(plan) == ("Queued", "Unknown", "Queued")
    assert plan.status is not None
    assert plan.status.queue_position == 3
    assert "2 open runs" in messages(plan)
    assert plan.requeue is not None


def test_the_queue_position_is_written_again_only_when_it_has_halved():
    first = plan_run(a_run(), a_world(turn=Turn(position=8, limit=2, free=False)), now=NOON).status
    run = a_run(status=first)
    closer = plan_run(run, a_world(turn=Turn(position=5, limit=2, free=False)), now=LATER)
    assert closer.status == first
    close = plan_run(run, a_world(turn=Turn(position=4, limit=2, free=False)), now=LATER)
    assert close.status is not None
    assert close.status.queue_position == 4


def test_a_queued_run_starts_when_a_slot_is_free():
    queued = plan_run(a_run(), a_world(turn=Turn(position=1, limit=1, free=False)), now=NOON).status
    world = a_world(turn=Turn(position=1, limit=1, free=True))
    assert kinds(plan_run(a_run(status=queued), world, now=LATER)) == [AddFinalizer, StartWorkflow]


# Suspended


def test_a_suspended_run_is_not_started_and_is_ready():
    plan = plan_run(a_run(spec={"suspend": True}), a_world(), now=NOON)
    assert kinds(plan) == []
    assert reported(plan) == ("Suspended", "True", "Suspended")


def test_a_suspended_run_is_ready_even_if_its_worker_does_not_exist():
    plan = plan_run(a_run(spec={"suspend": True}), a_world(worker=None), now=NOON)
    assert reported(plan) == ("Suspended", "True", "Suspended")


def test_suspending_a_run_pauses_its_running_workflow():
    run = held(a_run(spec={"suspend": True}))
    assert kinds(plan_run(run, a_world(execution=an_execution()), now=NOON)) == [PauseWorkflow]
    paused = plan_run(run, a_world(execution=an_execution(**PAUSED)), now=NOON)
    assert reported(paused) == ("Suspended", "True", "Suspended")


def test_a_run_on_a_server_that_cannot_pause_keeps_running_and_names_the_server_setting():
    run = held(a_run(spec={"suspend": True}))
    plan = plan_run(run, a_world(execution=an_execution(), pausable=False), now=NOON)
    assert reported(plan) == ("Running", "Unknown", "SuspendUnsupported")
    assert "frontend.WorkflowPauseEnabled" in messages(plan)


def test_resuming_a_run_unpauses_a_workflow_that_the_operator_paused():
    plan = plan_run(held(a_run()), a_world(execution=an_execution(**PAUSED)), now=NOON)
    assert kinds(plan) == [UnpauseWorkflow]


def test_a_workflow_that_a_user_paused_stays_paused_and_the_message_shows_the_unpause_command():
    execution = an_execution(status=ExecutionStatus.PAUSED, paused_by=("alice", "looking into it"))
    plan = plan_run(held(a_run()), a_world(execution=execution), now=NOON)
    assert kinds(plan) == []
    assert reported(plan) == ("Suspended", "Unknown", "Suspended")
    assert "alice (looking into it)" in messages(plan)
    assert "temporal workflow unpause" in messages(plan)


def test_a_paused_workflow_is_cancelled_and_then_unpaused_so_that_it_can_react():
    run = held(a_run(spec={"suspend": True, "stop": "Cancel"}))
    assert kinds(plan_run(run, a_world(execution=an_execution(**PAUSED)), now=NOON)) == [CancelWorkflow]
    asked = an_execution(**PAUSED, cancel_requested=True)
    assert kinds(plan_run(run, a_world(execution=asked), now=NOON)) == [UnpauseWorkflow]


def test_a_paused_workflow_is_terminated_without_being_unpaused():
    run = held(a_run(spec={"suspend": True, "stop": "Terminate"}))
    assert kinds(plan_run(run, a_world(execution=an_execution(**PAUSED)), now=NOON)) == [TerminateWorkflow]


# Waiting for an approval, readyWhen: Started


def test_a_run_whose_workflow_waits_for_an_approval_reports_it():
    plan = plan_run(held(a_run()), a_world(execution=an_execution(phase=RunPhase.AWAITING_APPROVAL)), now=NOON)
    assert reported(plan) == ("AwaitingApproval", "Unknown", "AwaitingApproval")


def test_a_run_with_ready_when_started_is_ready_as_soon_as_its_workflow_runs():
    plan = plan_run(held(a_run(spec={"readyWhen": "Started"})), a_world(execution=an_execution()), now=NOON)
    assert reported(plan) == ("Running", "True", "Running")
    assert plan.status is not None
    assert plan.status.condition(ConditionType.RECONCILING) is None


def test_a_run_with_ready_when_started_is_not_ready_while_its_workflow_tasks_fail():
    run = held(a_run(spec={"readyWhen": "Started"}))
    plan = plan_run(run, a_world(execution=an_execution(problem="no such workflow")), now=NOON)
    assert reported(plan) == ("Running", "Unknown", "WorkflowTaskFailing")


# Retry


@pytest.mark.parametrize("state", [ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.TERMINATED])
def test_a_changed_retry_token_starts_another_attempt_of_an_ended_run(state: ExecutionStatus):
    run = ended(state, retry={"token": "1"})
    again = replace(run, generation=2, spec=a_run(spec={"retry": {"token": "2"}}).spec)
    plan = plan_run(again, a_world(execution=a_closed(state)), now=LATER)
    assert kinds(plan) == [AddFinalizer, RetryWorkflow]
    retry = plan.actions[-1]
    assert isinstance(retry, RetryWorkflow)
    assert retry.run_id == "run-1"
    assert retry.retry_from is RetryFrom.LAST_FAILURE
    assert retry.start is not None
    assert retry.start.request_id.endswith("/2")
    assert retry.start.again


def test_the_retry_token_that_a_run_was_created_with_starts_no_attempt():
    run = ended(retry={"token": "1"})
    assert kinds(plan_run(run, a_world(), now=LATER)) == []


def test_the_status_follows_the_next_attempt_and_records_the_previous_one():
    run = held(replace(ended(), spec=a_run(spec={"retry": {"token": "1"}}).spec))
    execution = an_execution(run_id="run-2", start_time=LATER)
    plan = plan_run(run, a_world(execution=execution), now=LATER)
    assert reported(plan) == ("Running", "Unknown", "Running")
    assert plan.status is not None
    assert [(a.run_id, a.state) for a in plan.status.attempts or ()] == [("run-1", "WorkflowFailed")]
    assert plan.status.retry_token == "1"
    assert (plan.status.failure, plan.status.completion_time) == (None, None)
    assert plan.status.workflow is not None
    assert plan.status.workflow.run_id == "run-2"


def test_a_stale_visibility_row_is_not_taken_for_the_next_attempt():
    run = held(replace(ended(), spec=a_run(spec={"retry": {"token": "1"}}).spec))
    left_behind = an_execution(run_id="run-0", status=ExecutionStatus.FAILED, described=False)
    assert kinds(plan_run(run, a_world(execution=left_behind), now=LATER)) == [RetryWorkflow]


def test_the_status_follows_a_workflow_that_a_user_reset_in_temporal():
    plan = plan_run(held(ended()), a_world(execution=an_execution(run_id="run-2", start_time=LATER)), now=LATER)
    assert reported(plan)[0] == "Running"


def test_a_retry_of_a_completed_run_is_ignored_with_an_event():
    run = held(a_run())
    completed = plan_run(run, a_world(execution=a_closed(ExecutionStatus.COMPLETED, result='"x"')), now=NOON).status
    asked = a_run(spec={"retry": {"token": "1"}}, status=completed, generation=2)
    plan = plan_run(asked, a_world(), now=LATER)
    assert kinds(plan) == []
    assert plan.status is not None
    assert plan.status.state == Reason.COMPLETED
    assert [event.reason for event in plan.announcements] == ["RetryIgnored"]


def test_a_retry_of_an_open_run_is_ignored_with_an_event():
    status = plan_run(held(a_run()), a_world(execution=an_execution()), now=NOON).status
    run = held(a_run(spec={"retry": {"token": "1"}}, status=status, generation=2))
    plan = plan_run(run, a_world(execution=an_execution()), now=LATER)
    assert kinds(plan) == []
    assert [event.reason for event in plan.announcements] == ["RetryIgnored"]
    failed = plan_run(replace(run, status=plan.status), a_world(execution=a_closed(ExecutionStatus.FAILED)), now=LATER)
    settled = replace(run, status=failed.status, finalizers=())
    assert kinds(plan_run(settled, a_world(), now=LATER)) == [], "the token was seen while the run was open"


def test_a_retry_during_an_outage_of_temporal_waits_with_a_reason_and_keeps_the_state():
    run = replace(ended(), spec=a_run(spec={"retry": {"token": "1"}}).spec)
    trouble = Trouble(Verdict(Reason.TEMPORAL_UNAVAILABLE, "no answer"), NOON)
    plan = plan_run(run, a_world(trouble=trouble), now=LATER)
    assert reported(plan) == ("WorkflowFailed", "False", "TemporalUnavailable")
    assert "spec.retry waits" in messages(plan)
    assert plan.status is not None
    assert plan.status.retry_token is None
    assert plan.requeue is not None


def test_a_run_whose_start_was_rejected_is_started_again_by_a_retry():
    refused = Trouble(Verdict(Reason.START_REJECTED, "no such thing"), NOON, final=True)
    status = plan_run(held(a_run()), a_world(trouble=refused), now=NOON).status
    run = a_run(spec={"retry": {"token": "1"}}, status=status, generation=2)
    assert kinds(plan_run(run, a_world(), now=LATER)) == [AddFinalizer, StartWorkflow]


def test_only_the_last_ten_attempts_are_kept():
    run, world = ended(), a_world()
    for number in range(2, 15):
        execution = an_execution(run_id=f"run-{number}", start_time=NOON + timedelta(minutes=number))
        status = plan_run(held(run), replace(world, execution=execution), now=LATER).status
        closed = replace(
            execution, status=ExecutionStatus.FAILED, close_time=LATER, outcome=a_closed(ExecutionStatus.FAILED).outcome
        )
        status = plan_run(held(replace(run, status=status)), replace(world, execution=closed), now=LATER).status
        run = replace(run, status=status)
    assert len(run.status.attempts or ()) == 10
    assert (run.status.attempts or ())[-1].run_id == "run-13"


# Idempotency keys, foreign workflows


def test_an_idempotency_key_replaces_the_uid_in_the_workflow_id_and_the_request_id():
    plan = plan_run(a_run(spec={"idempotencyKey": "order-7"}), a_world(), now=NOON)
    start = plan.actions[-1]
    assert isinstance(start, StartWorkflow)
    assert start.request.workflow_id == "agent-run/default/hello/order-7"
    assert start.request.request_id == "order-7"


def test_a_run_whose_workflow_id_is_taken_by_a_foreign_workflow_is_rejected():
    run = held(a_run(spec={"idempotencyKey": "taken"}))
    plan = plan_run(run, a_world(execution=an_execution(owner=None, type="Payroll")), now=NOON)
    assert reported(plan) == ("StartRejected", "False", "StartRejected")
    assert "'Payroll'" in messages(plan)
    assert "idempotencyKey" in messages(plan)


# Input from a ConfigMap

FROM = {"input": None, "inputFrom": {"configMapKeyRef": {"name": "prompts", "key": "hello"}}}


def test_an_input_from_a_config_map_is_read_before_the_start():
    run = a_run(spec=FROM)
    assert kinds(plan_run(run, a_world(), now=NOON)) == [ReadInput]
    start = plan_run(run, a_world(given=Given("Hello there")), now=NOON).actions[-1]
    assert isinstance(start, StartWorkflow)
    assert start.request.input[0]["input"] == "Hello there"


def test_a_run_waits_for_a_missing_input_config_map():
    missing = Verdict(Reason.INPUT_NOT_FOUND, "ConfigMap 'prompts' is not in this namespace")
    plan = plan_run(a_run(spec=FROM), a_world(given=missing), now=NOON)
    assert reported(plan) == ("Pending", "Unknown", "InputNotFound")
    assert plan.requeue is not None


@pytest.mark.parametrize(("text", "expected"), [("", "is empty"), ("x" * 65536, "over the limit")])
def test_an_input_from_a_config_map_that_is_empty_or_too_large_is_refused(text: str, expected: str):
    plan = plan_run(a_run(spec=FROM), a_world(given=Given(text)), now=NOON)
    assert reported(plan)[0] == "InvalidSpec"
    assert expected in messages(plan)


# Overrides


def test_the_settings_of_a_run_override_those_of_its_worker():
    run = a_run(spec={"timeouts": {"workflow": "2h"}, "limits": {"turns": 5}, "priority": 1})
    worker = a_worker(spec={"timeouts": {"activity": "7m"}, "limits": {"turns": 9, "tokens": 100}, "priority": 4})
    start = plan_run(run, a_world(worker=worker), now=NOON).actions[-1]
    assert isinstance(start, StartWorkflow)
    assert (start.request.execution_timeout, start.request.priority) == (7200, 1)
    assert start.request.input[0]["options"]["startToClose"] == 420
    assert start.request.input[0]["limits"] == {"turns": 5, "tokens": 100}


def test_a_timeout_that_conflicts_with_one_of_the_worker_is_refused_with_both_values():
    plan = plan_run(a_run(spec={"timeouts": {"heartbeat": "10m"}}), a_world(), now=NOON)
    assert reported(plan)[0] == "InvalidSpec"
    assert "heartbeat (10m) must be shorter than activity (5m)" in messages(plan)


# Time to live


def test_a_finished_run_is_deleted_when_its_time_to_live_expires():
    run = ended(ttlSecondsAfterFinished=120)
    waiting = plan_run(run, a_world(), now=NOON + timedelta(seconds=100))
    assert kinds(waiting) == []
    assert waiting.requeue == pytest.approx(80)  # it closed a minute after noon
    assert kinds(plan_run(run, a_world(), now=NOON + timedelta(seconds=180))) == [DeleteRun]


def test_a_finished_run_with_a_time_to_live_of_zero_is_deleted_at_once():
    assert kinds(plan_run(ended(ttlSecondsAfterFinished=0), a_world(), now=LATER)) == [DeleteRun]


def test_a_run_tracked_by_a_gitops_tool_is_compacted_and_never_deleted():
    run = replace(ended(ttlSecondsAfterFinished=0), tracked=True)
    plan = plan_run(run, a_world(), now=LATER)
    assert kinds(plan) == []
    assert plan.status is not None
    assert plan.status.compacted
    assert plan.status.state == Reason.WORKFLOW_FAILED
    assert [c.type for c in plan.status.conditions] == [c.type for c in run.status.conditions]
    assert plan_run(replace(run, status=plan.status), a_world(), now=LATER).status == plan.status


# Visibility rows that have to be verified with DescribeWorkflowExecution


def test_a_row_of_another_execution_of_an_ended_run_is_verified_with_describe():
    execution = an_execution(run_id="run-0", status=ExecutionStatus.FAILED, described=False)
    assert kinds(plan_run(ended(), a_world(execution=execution), now=LATER)) == [Describe]


def test_a_closed_row_of_an_execution_that_the_status_does_not_name_is_verified_with_describe():
    running = held(a_run(status=plan_run(held(a_run()), a_world(execution=an_execution()), now=NOON).status))
    left_behind = an_execution(run_id="run-0", status=ExecutionStatus.FAILED, described=False)
    assert kinds(plan_run(running, a_world(execution=left_behind), now=LATER)) == [Describe]
    its_own = an_execution(status=ExecutionStatus.FAILED, described=False)
    assert kinds(plan_run(running, a_world(execution=its_own), now=LATER)) == [ReadOutcome]


def test_a_terminated_row_may_come_from_a_reset_and_is_verified_with_describe():
    execution = an_execution(status=ExecutionStatus.TERMINATED, described=False)
    assert kinds(plan_run(held(a_run()), a_world(execution=execution), now=NOON)) == [Describe]


@pytest.mark.parametrize("state", sorted(RETRYABLE))
def test_an_ended_run_does_not_change_while_its_workflow_stays_closed(state: Reason):
    run = a_run(status=replace_state(ended().status, state))
    plan = plan_run(run, a_world(execution=a_closed(ExecutionStatus.FAILED)), now=LATER)
    assert kinds(plan) == []
    assert plan.status == run.status


def replace_state(status: AgentRunStatus, state: Reason) -> AgentRunStatus:
    return status.model_copy(update={"state": state})
