"""Which observed executions are trusted, and which need a DescribeWorkflowExecution."""

from dataclasses import replace
from typing import Any

import pytest

from durafleet.api.run import AgentRunStatus, WorkflowRef
from durafleet.api.status import Condition, ConditionType, Reason
from durafleet.core.conditions import Verdict
from durafleet.core.objects import FINALIZER, Run, format_time
from durafleet.core.places import Target
from durafleet.core.runs.actions import Describe
from durafleet.core.runs.execution import ExecutionStatus, Outcome, latest
from durafleet.core.runs.plan import plan_run
from durafleet.core.runs.tracking import Close, closed_by, is_trusted, reports_progress, unshown, waits_for_census
from durafleet.core.runs.world import RunWorld
from tests.support.builders import NOON, TARGET, a_run, a_worker, an_execution

PLACE = ("temporal:7233", "default")


def an_open_run(*, reason: Reason = Reason.RUNNING, observed: int = 1, **changes: Any) -> Run:
    """Return an AgentRun whose status reports an open workflow."""
    ready = Condition(
        type=ConditionType.READY,
        status="Unknown",
        observed_generation=observed,
        last_transition_time=format_time(NOON),
        reason=reason,
        message="...",
    )
    workflow = WorkflowRef(id="w", run_id="run-1", namespace="default", task_queue="default/support", type="AgentRun")
    status = AgentRunStatus(observed_generation=observed, conditions=[ready], state=Reason.RUNNING, workflow=workflow)
    return a_run(**{"status": status, "finalizers": (FINALIZER,), **changes})


# Which visibility rows can belong to a run


@pytest.mark.parametrize(
    ("target", "trusted"),
    [
        (TARGET, True),
        (replace(TARGET, tenant="other", connection="own"), True),
        (replace(TARGET, address="elsewhere:7233"), False),
        (replace(TARGET, namespace="intruder"), False),
        (Verdict(Reason.CONNECTION_NOT_FOUND, "gone"), False),
    ],
)
def test_a_row_is_trusted_only_if_it_comes_from_the_temporal_namespace_of_the_run(
    target: Target | Verdict, *, trusted: bool
):
    assert is_trusted(target, PLACE) is trusted


# Which runs wait for the census, the full list of open executions


@pytest.mark.parametrize(
    ("run", "waits"),
    [
        (an_open_run(), True),
        (an_open_run(reason=Reason.TEMPORAL_UNAVAILABLE), True),
        (an_open_run(generation=2), False),
        (an_open_run(deleted=NOON), False),
        (an_open_run(spec={"stop": "Cancel"}), False),
        (an_open_run(reason=Reason.CANCELLING), False),
        (an_open_run(reason=Reason.SUSPENDED), False),
        (a_run(), False),
        (a_run(finalizers=(FINALIZER,)), False),
    ],
    ids=["open", "outage", "edited", "deleted", "stopped", "cancelling", "suspended", "new", "perhaps started"],
)
def test_a_run_waits_for_the_census_only_if_a_list_shows_all_that_its_status_needs(run: Run, *, waits: bool):
    assert waits_for_census(run) is waits
    plan = plan_run(run, RunWorld(worker=a_worker(), target=TARGET, expected=True), now=NOON)
    assert (plan.actions == () and plan.status is None) is waits


def test_a_run_that_the_census_will_not_show_is_described():
    plan = plan_run(an_open_run(), RunWorld(worker=a_worker(), target=TARGET, expected=False), now=NOON)
    assert [type(action) for action in plan.actions] == [Describe]


@pytest.mark.parametrize(
    ("now", "shown", "asked"),
    [
        ({"a": "1", "b": ""}, set(), ["a", "b"]),
        ({"a": "1", "b": ""}, {"a"}, ["b"]),
        ({"a": "1"}, {"a"}, []),
        ({"a": "2"}, set(), []),
        ({"a": "1", "late": "3"}, set(), ["a"]),
    ],
    ids=["none listed", "one listed", "ended meanwhile", "next execution meanwhile", "created meanwhile"],
)
def test_a_census_returns_the_unlisted_runs_that_were_open_from_its_start_to_its_end(
    now: dict[str, str], shown: set[str], asked: list[str]
):
    def keyed(names: dict[str, str]) -> dict[tuple[str, str], str]:
        return {("default", name): run_id for name, run_id in names.items()}

    found = unshown(keyed({"a": "1", "b": ""}), keyed(now), {("default", name) for name in shown})
    assert found == [("default", name) for name in asked]


# Which close events are trusted


def a_close(status: ExecutionStatus, *, goes_on: bool = False) -> Close:
    return Close(status=status, time=NOON, outcome=Outcome(result='"x"'), goes_on=goes_on)


@pytest.mark.parametrize("status", ["Completed", "Failed", "TimedOut", "Canceled"])
def test_a_final_close_event_of_the_recorded_execution_is_trusted(status: str):
    closed = closed_by(an_execution(), a_close(ExecutionStatus(status)))
    assert closed is not None
    assert (closed.status, closed.close_time, closed.outcome) == (status, NOON, Outcome(result='"x"'))
    assert not closed.needs_describe("run-1")
    assert closed.needs_describe("another"), "it may have been left behind by a reset"
    assert closed.needs_describe(None)
    assert latest(an_execution(), closed) == closed


def test_an_execution_that_answered_our_start_is_trusted_before_the_status_records_it():
    ours = replace(an_execution(), answered=NOON)
    completed = replace(an_execution(), status=ExecutionStatus.COMPLETED, described=False, close_time=NOON)
    assert not latest(ours, completed).needs_describe(None)
    assert latest(ours, replace(completed, run_id="run-2")).needs_describe(None), "another execution has to be verified"
    assert latest(ours, replace(completed, status=ExecutionStatus.TERMINATED)).needs_describe(None)


@pytest.mark.parametrize(
    "close",
    [
        a_close(ExecutionStatus.TERMINATED),
        a_close(ExecutionStatus.CONTINUED_AS_NEW, goes_on=True),
        a_close(ExecutionStatus.COMPLETED, goes_on=True),
        a_close(ExecutionStatus.FAILED, goes_on=True),
    ],
    ids=["terminated by a reset", "continued as new", "cron schedule", "workflow retry"],
)
def test_a_close_event_after_which_the_workflow_may_continue_is_not_trusted(close: Close):
    assert closed_by(an_execution(), close) is None


def test_an_agent_workflow_reports_progress_and_a_custom_workflow_does_not():
    assert reports_progress(an_execution(type="AgentRun"))
    assert not reports_progress(an_execution(type="Mine"))
