"""A run that nobody works on says why."""

from dataclasses import replace

import pytest

from durafleet.api.run import AgentRunStatus, WorkflowRef
from durafleet.api.status import Reason
from durafleet.api.worker import AgentWorkerStatus
from durafleet.core.conditions import Summary, Verdict
from durafleet.core.objects import Run, Worker
from durafleet.core.runs.waiting import matters_to_runs, unpolled
from tests.support.builders import NOON, a_run, a_worker


def an_open_run() -> Run:
    workflow = WorkflowRef(id="w", namespace="default", task_queue="default/support", type="AgentRun")
    return a_run(status=AgentRunStatus(workflow=workflow))


def a_stalled_worker() -> Worker:
    summary = Summary(ready="False", verdict=Verdict(Reason.CRASH_LOOP, "no module"), stalled=True)
    return a_worker(status=AgentWorkerStatus(conditions=summary.conditions([], generation=1, now=NOON)))


def test_a_fleet_at_work_leaves_nothing_to_say():
    assert unpolled(an_open_run(), a_worker()) is None


@pytest.mark.parametrize(
    ("worker", "reason", "said"),
    [
        (None, Reason.WORKER_NOT_FOUND, "'support' is gone"),
        (a_worker(spec={"replicas": 0}), Reason.SCALED_TO_ZERO, "0 replicas"),
        (a_worker(spec={"taskQueue": "elsewhere"}), Reason.WAITING_FOR_POLLERS, "'elsewhere'"),
        (a_stalled_worker(), Reason.WAITING_FOR_POLLERS, "CrashLoop: no module"),
    ],
)
def test_a_fleet_that_cannot_work_is_named_with_the_cause(worker: Worker | None, reason: Reason, said: str):
    verdict = unpolled(an_open_run(), worker)
    assert verdict is not None
    assert verdict.reason == reason
    assert said in verdict.message


def test_a_run_that_has_not_started_is_on_no_queue_yet():
    assert unpolled(replace(an_open_run(), status=AgentRunStatus()), a_worker(spec={"taskQueue": "elsewhere"})) is None


def a_worker_that_is(reason: Reason, message: str = "...") -> Worker:
    summary = Summary(ready="False", verdict=Verdict(reason, message), reconciling=True)
    return a_worker(status=AgentWorkerStatus(conditions=summary.conditions([], generation=1, now=NOON)))


@pytest.mark.parametrize(
    ("before", "after", "matters"),
    [
        (None, a_worker(), True),
        (a_worker(), None, True),
        (a_worker(), a_worker(spec={"replicas": 0}), True),
        (a_worker(), a_stalled_worker(), True),
        (a_stalled_worker(), a_worker(), True),
        (a_worker_that_is(Reason.ROLLING_OUT, "1 of 3"), a_worker_that_is(Reason.ROLLING_OUT, "2 of 3"), False),
        (a_worker(), replace(a_worker(), resource_version="6"), False),
    ],
    ids=["created", "deleted", "edited", "stalled", "mended", "rolls on", "written"],
)
def test_runs_are_looked_at_for_what_they_may_say_of_their_fleet(
    before: Worker | None, after: Worker | None, *, matters: bool
):
    assert matters_to_runs(before, after) is matters
