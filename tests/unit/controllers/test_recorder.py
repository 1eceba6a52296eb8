"""Events: posted in the background, a few at a time, and dropped rather than allowed to delay reconciliation."""

import asyncio
from collections import Counter
from typing import Any, cast

import pytest

from durafleet.controllers import recorder
from durafleet.controllers.recorder import AT_ONCE, TRIES, Recorder
from durafleet.core.plans import Announcement
from durafleet.errors import Conflict, Denied, DurafleetError, Refused, Unavailable
from durafleet.kube.client import KubeClient
from durafleet.kube.resources import RUNS
from tests.support.builders import NOON, a_run

SAID = Announcement("Normal", "Completed", "The workflow completed.")


class Kube:
    """An API server that raises the given errors first, and then accepts Events."""

    def __init__(self, *errors: DurafleetError) -> None:
        self.errors = list(errors)
        self.asked = 0
        self.posted: list[str] = []
        self.active = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def request(self, _method: str, _path: str, *, body: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            await self.gate.wait()
        finally:
            self.active -= 1
        if self.errors:
            raise self.errors.pop(0)
        self.posted.append(body["metadata"]["name"])
        return body


def a_recorder(kube: Kube) -> Recorder:
    return Recorder(cast("KubeClient", kube), now=lambda: NOON)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "BUSY_PAUSE", 0.0)


async def test_each_event_is_posted_once_with_bounded_concurrency():
    kube = Kube()
    events = a_recorder(kube)
    for number in range(20):
        events.record(RUNS, a_run(name=f"run-{number}"), SAID)
    await events.drain(within=5)
    assert Counter(kube.posted).most_common(1)[0][1] == 1
    assert len(kube.posted) == 20
    assert kube.most <= AT_ONCE


async def test_recording_an_event_does_not_wait_for_the_api_server():
    kube = Kube()
    kube.gate.clear()
    events = a_recorder(kube)
    events.record(RUNS, a_run(), SAID)
    await asyncio.sleep(0)
    assert kube.posted == []
    kube.gate.set()
    await events.drain(within=5)
    assert len(kube.posted) == 1


async def test_events_over_the_limit_of_the_queue_are_dropped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recorder, "LONGEST_LINE", 3)
    kube = Kube()
    events = a_recorder(kube)
    for number in range(10):
        events.record(RUNS, a_run(name=f"run-{number}"), SAID)
    await events.drain(within=5)
    assert len(kube.posted) == 3


async def test_an_event_that_already_exists_or_is_refused_is_not_retried():
    kube = Kube(Conflict("there already"), Refused("the namespace is terminating"))
    events = a_recorder(kube)
    events.record(RUNS, a_run(), SAID)
    events.record(RUNS, a_run(name="other"), SAID)
    await events.drain(within=5)
    assert (kube.asked, kube.posted) == (2, [])


async def test_an_event_is_retried_a_limited_number_of_times_while_the_server_is_unavailable():
    away = [Unavailable("away", retry_after=0.001) for _ in range(TRIES)]
    kube = Kube(*away)
    events = a_recorder(kube)
    events.record(RUNS, a_run(), SAID)
    await events.drain(within=5)
    assert (kube.asked, kube.posted) == (TRIES, [])


async def test_shutdown_waits_for_events_only_for_a_bounded_time():
    kube = Kube()
    kube.gate.clear()
    events = a_recorder(kube)
    events.record(RUNS, a_run(), SAID)
    await asyncio.wait_for(events.drain(within=0.05), 5)
    assert kube.posted == []


async def test_posting_a_required_event_does_not_fail_if_the_api_server_denies_it():
    kube = Kube(Denied("the namespace is being terminated"))
    await a_recorder(kube).post(RUNS, a_run(), SAID)
    assert kube.asked == 1


async def test_posting_a_required_event_fails_if_the_api_server_is_unavailable():
    with pytest.raises(Unavailable):
        await a_recorder(Kube(Unavailable("away"))).post(RUNS, a_run(), SAID)
