"""What is believed of followed executions, what is asked about, and how fast it is swept."""

from dataclasses import replace
from typing import Any

import pytest

from durafleet.api.connection import TemporalConnectionSpec
from durafleet.api.run import AgentRunStatus, WorkflowRef
from durafleet.api.status import Condition, ConditionType, Reason
from durafleet.core.conditions import Verdict
from durafleet.core.connections.plan import Check, matters_to_others, plan_connection
from durafleet.core.objects import FINALIZER, Connection, Run, format_time
from durafleet.core.pacing import SLOWEST, SWEEP_EVERY, USUAL, Pace, slowed
from durafleet.core.places import Target
from durafleet.core.runs.actions import Describe
from durafleet.core.runs.execution import ExecutionStatus, Outcome, latest
from durafleet.core.runs.plan import plan_run
from durafleet.core.runs.tracking import Close, believable, closed_by, reports_progress, unshown, waits_for_census
from durafleet.core.runs.world import RunWorld
from tests.support.builders import NOON, TARGET, a_connection, a_run, a_worker, an_execution

PLACE = ("temporal:7233", "default")


def an_open_run(*, reason: Reason = Reason.RUNNING, observed: int = 1, **changes: Any) -> Run:
    """An AgentRun whose status says that its workflow is open."""
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


# Which rows can be of a run


@pytest.mark.parametrize(
    ("target", "believed"),
    [
        (TARGET, True),
        (replace(TARGET, tenant="other", connection="own"), True),
        (replace(TARGET, address="elsewhere:7233"), False),
        (replace(TARGET, namespace="intruder"), False),
        (Verdict(Reason.CONNECTION_NOT_FOUND, "gone"), False),
    ],
)
def test_a_row_is_believed_only_from_the_temporal_namespace_of_the_run(target: Target | Verdict, *, believed: bool):
    assert believable(target, PLACE) is believed


def test_the_operators_own_connection_is_one_for_all_tenants_and_others_are_not():
    assert TARGET.way == replace(TARGET, tenant="other").way
    own = replace(TARGET, connection="own")
    assert own.way != replace(own, tenant="other").way


# What waits for the census


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
    ids=["open", "unheard of", "edited", "deleted", "stopped", "cancelling", "paused", "new", "perhaps started"],
)
def test_only_a_run_of_which_a_list_says_enough_waits_for_it(run: Run, *, waits: bool):
    assert waits_for_census(run) is waits
    plan = plan_run(run, RunWorld(worker=a_worker(), target=TARGET, expected=True), now=NOON)
    assert (plan.actions == () and plan.status is None) is waits


def test_a_run_that_nothing_will_show_is_asked_about():
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
    ids=["nothing shown", "one shown", "ended meanwhile", "went on meanwhile", "came meanwhile"],
)
def test_a_census_asks_about_what_was_open_all_the_while_and_not_shown(
    now: dict[str, str], shown: set[str], asked: list[str]
):
    def keyed(names: dict[str, str]) -> dict[tuple[str, str], str]:
        return {("default", name): run_id for name, run_id in names.items()}

    found = unshown(keyed({"a": "1", "b": ""}), keyed(now), {("default", name) for name in shown})
    assert found == [("default", name) for name in asked]


# Which close events are believed


def a_close(status: ExecutionStatus, *, goes_on: bool = False) -> Close:
    return Close(status=status, time=NOON, outcome=Outcome(result='"x"'), goes_on=goes_on)


@pytest.mark.parametrize("status", ["Completed", "Failed", "TimedOut", "Canceled"])
def test_the_close_event_of_the_recorded_run_says_all(status: str):
    closed = closed_by(an_execution(), a_close(ExecutionStatus(status)))
    assert closed is not None
    assert (closed.status, closed.close_time, closed.outcome) == (status, NOON, Outcome(result='"x"'))
    assert not closed.doubtful("run-1")
    assert closed.doubtful("another"), "it may have been left behind by a reset"
    assert closed.doubtful(None)
    assert latest(an_execution(), closed) == closed


def test_what_answered_our_own_start_is_known_before_a_status_records_it():
    ours = replace(an_execution(), answered=NOON)
    completed = replace(an_execution(), status=ExecutionStatus.COMPLETED, described=False, close_time=NOON)
    assert not latest(ours, completed).doubtful(None)
    assert latest(ours, replace(completed, run_id="run-2")).doubtful(None), "another execution is looked into"
    assert latest(ours, replace(completed, status=ExecutionStatus.TERMINATED)).doubtful(None)


@pytest.mark.parametrize(
    "close",
    [
        a_close(ExecutionStatus.TERMINATED),
        a_close(ExecutionStatus.CONTINUED_AS_NEW, goes_on=True),
        a_close(ExecutionStatus.COMPLETED, goes_on=True),
        a_close(ExecutionStatus.FAILED, goes_on=True),
    ],
    ids=["a reset terminates", "a chain", "a cron", "a retry of the workflow"],
)
def test_what_may_go_on_has_to_be_asked_about(close: Close):
    assert closed_by(an_execution(), close) is None


def test_last_words_are_asked_for_where_there_may_be_some():
    assert reports_progress(an_execution(type="AgentRun"))
    assert not reports_progress(an_execution(type="Mine"))


# Pace


def test_refusals_slow_the_sweeps_down_to_a_bound_and_successes_bring_them_back():
    pace = USUAL
    slower = [pace := pace.slower() for _ in range(6)]
    assert [each.interval for each in slower] == [2, 4, 8, 16, SLOWEST, SLOWEST]
    faster = []
    while pace != USUAL:
        pace = pace.faster()
        faster.append(pace.interval)
    assert faster == sorted(faster, reverse=True)
    assert faster[-1] == SWEEP_EVERY
    assert len(faster) > 10, "not at once, or the server refuses again"


def test_one_refusal_is_not_worth_a_word_and_two_are_until_all_is_as_usual():
    once = USUAL.slower()
    assert slowed(PLACE, once) is None
    twice = once.slower()
    verdict = slowed(PLACE, twice)
    assert verdict is not None
    assert verdict.reason == Reason.THROTTLED
    assert "every 4 s" in verdict.message
    assert "frontend.namespaceRPS.visibility" in verdict.message
    assert slowed(PLACE, twice.faster()) is not None
    assert slowed(PLACE, Pace(SWEEP_EVERY * 1.1, told=True).faster()) is None


def test_a_connection_whose_server_limits_us_can_be_used():
    plan = plan_connection(a_connection(), Check(Verdict(Reason.THROTTLED, "slowly")), now=NOON)
    assert plan.status is not None
    ready = plan.status.condition(ConditionType.READY)
    assert ready is not None
    assert (ready.status, ready.reason) == ("True", "Throttled")
    assert [condition.type for condition in plan.status.conditions] == ["Ready"]


def a_connection_that_is(reason: Reason, message: str = "...") -> Connection:
    plan = plan_connection(a_connection(), Check(Verdict(reason, message)), now=NOON)
    assert plan.status is not None
    return a_connection(status=plan.status)


@pytest.mark.parametrize(
    ("before", "after", "matters"),
    [
        (None, a_connection(), True),
        (a_connection(), None, True),
        (a_connection(), a_connection(spec=TemporalConnectionSpec(address="elsewhere:7233")), True),
        (a_connection_that_is(Reason.TEMPORAL_UNAVAILABLE), a_connection_that_is(Reason.REACHABLE), True),
        (a_connection_that_is(Reason.REACHABLE), a_connection_that_is(Reason.THROTTLED), False),
        (a_connection_that_is(Reason.THROTTLED, "4 s"), a_connection_that_is(Reason.THROTTLED, "8 s"), False),
    ],
    ids=["created", "deleted", "edited", "mended", "limited", "limited more"],
)
def test_a_namespace_is_looked_at_for_a_connection_that_can_be_used_or_no_longer(
    before: Connection | None, after: Connection | None, *, matters: bool
):
    assert matters_to_others(before, after) is matters
