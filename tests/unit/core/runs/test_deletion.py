"""Deleting an AgentRun ends its workflow within a bounded time."""

from dataclasses import replace
from datetime import timedelta

from durafleet.api.run import AgentRunStatus
from durafleet.api.status import Reason
from durafleet.core.connections.targets import connection_not_found
from durafleet.core.grace import Trouble
from durafleet.core.objects import Run
from durafleet.core.runs.actions import CancelWorkflow, Describe, RemoveFinalizer, TerminateWorkflow
from durafleet.core.runs.execution import ExecutionStatus
from durafleet.core.runs.plan import RunWorld, plan_run
from tests.support.builders import NOON, TARGET, a_closed, a_run, a_worker, an_execution, held


def a_deleted(**spec: str) -> Run:
    return held(a_run(spec=spec, deleted=NOON))


def a_world(**changes: object) -> RunWorld:
    return replace(RunWorld(worker=a_worker(), target=TARGET, execution=an_execution()), **changes)  # type: ignore[arg-type]


def kinds(run: Run, world: RunWorld, *, after: float = 0.0) -> list[type]:
    return [type(action) for action in plan_run(run, world, now=NOON + timedelta(seconds=after)).actions]


def test_a_running_workflow_is_cancelled_first():
    assert kinds(a_deleted(), a_world()) == [CancelWorkflow]


def test_a_workflow_still_open_a_minute_after_its_cancellation_is_terminated():
    asked = a_world(execution=an_execution(cancel_requested=True))
    assert kinds(a_deleted(), asked, after=59) == []
    assert plan_run(a_deleted(), asked, now=NOON + timedelta(seconds=59)).requeue == 1
    assert kinds(a_deleted(), asked, after=60) == [TerminateWorkflow]


def test_deletion_policy_terminate_terminates_the_workflow_at_once():
    assert kinds(a_deleted(deletionPolicy="Terminate"), a_world()) == [TerminateWorkflow]


def test_deletion_policy_abandon_releases_the_run_and_leaves_the_workflow_alone():
    assert kinds(a_deleted(deletionPolicy="Abandon"), a_world()) == [RemoveFinalizer]


def test_a_run_whose_workflow_has_closed_is_released():
    assert kinds(a_deleted(), a_world(execution=a_closed(ExecutionStatus.CANCELED))) == [RemoveFinalizer]


def test_a_terminal_run_is_released_without_a_call_to_temporal():
    run = replace(a_deleted(), status=AgentRunStatus(state=Reason.COMPLETED))
    assert kinds(run, a_world(execution=None)) == [RemoveFinalizer]


def test_a_run_whose_workflow_temporal_does_not_know_is_released():
    assert kinds(a_deleted(), a_world(execution=None, absent=True)) == [RemoveFinalizer]


def test_a_workflow_that_started_after_temporal_reported_it_as_absent_is_cancelled():
    assert kinds(a_deleted(), a_world(absent=True)) == [CancelWorkflow]


def test_a_workflow_that_was_not_observed_yet_is_described_first():
    assert kinds(a_deleted(), a_world(execution=None)) == [Describe]


def test_while_temporal_is_unavailable_a_run_is_released_with_an_event_after_two_minutes():
    trouble = Trouble(connection_not_found("x", "y"), NOON)
    away = a_world(execution=None, trouble=trouble)
    assert kinds(a_deleted(), away, after=119) == []
    last = plan_run(a_deleted(), away, now=NOON + timedelta(seconds=120))
    assert [type(action) for action in last.actions] == [RemoveFinalizer]
    assert [event.reason for event in last.announcements] == ["WorkflowAbandoned"]


def test_while_its_connection_is_missing_a_run_is_released_after_two_minutes():
    gone = a_world(target=connection_not_found("x", "y"), execution=None)
    assert kinds(a_deleted(), gone, after=120) == [RemoveFinalizer]


def test_a_deleted_run_without_our_finalizer_gets_no_action_and_no_status():
    plan = plan_run(a_run(deleted=NOON), a_world(), now=NOON)
    assert plan.actions == ()
    assert plan.status is None
