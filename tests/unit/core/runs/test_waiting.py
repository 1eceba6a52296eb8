"""Why no worker polls for an open run, as its status reports it."""

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


def test_an_open_run_whose_fleet_can_work_gets_no_verdict():
    assert unpolled(an_open_run(), a_worker()) is None


@pytest.mark.parametrize(
    ("worker", "reason", "expected"),
    [
        (None, Reason.WORKER_NOT_FOUND, "'support' does not exist"),
        (a_worker(spec={"replicas": 0}), Reason.SCALED_TO_ZERO, "0 replicas"),
        (a_worker(spec={"taskQueue": "elsewhere"}), Reason.WAITING_FOR_POLLERS, "'elsewhere'"),
        (a_stalled_worker(), Reason.WAITING_FOR_POLLERS, "CrashLoop: no module"),
    ],
)
def test_an_open_run_reports_why_no_worker_polls_for_it(worker: Worker | None, reason: Reason, expected: str):
    verdict = unpolled(an_open_run(), worker)
    assert verdict is not None
    assert verdict.reason == reason
    assert expected in verdict.message


def test_a_run_that_has_not_started_is_not_checked_for_a_changed_task_queue():
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
    ids=["created", "deleted", "edited", "stalled", "recovered", "rollout progress", "new version only"],
)
def test_a_worker_change_enqueues_its_runs_only_if_it_can_change_what_they_report(
    before: Worker | None, after: Worker | None, *, matters: bool
):
    assert matters_to_runs(before, after) is matters
