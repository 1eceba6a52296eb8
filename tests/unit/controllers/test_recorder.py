"""Events: posted beside the work, few at a time, and dropped rather than in the way."""

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
    """An API server that takes Events, or does not."""

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


async def test_events_are_posted_few_at_a_time_and_each_once():
    kube = Kube()
    events = a_recorder(kube)
    for number in range(20):
        events.record(RUNS, a_run(name=f"run-{number}"), SAID)
    await events.drain(within=5)
    assert Counter(kube.posted).most_common(1)[0][1] == 1
    assert len(kube.posted) == 20
    assert kube.most <= AT_ONCE


async def test_recording_waits_for_nobody():
    kube = Kube()
    kube.gate.clear()
    events = a_recorder(kube)
    events.record(RUNS, a_run(), SAID)
    await asyncio.sleep(0)
    assert kube.posted == []
    kube.gate.set()
    await events.drain(within=5)
    assert len(kube.posted) == 1


async def test_what_does_not_fit_is_dropped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recorder, "LONGEST_LINE", 3)
    kube = Kube()
    events = a_recorder(kube)
    for number in range(10):
        events.record(RUNS, a_run(name=f"run-{number}"), SAID)
    await events.drain(within=5)
    assert len(kube.posted) == 3


async def test_an_event_that_was_posted_already_and_one_that_is_refused_are_not_tried_again():
    kube = Kube(Conflict("there already"), Refused("the namespace is terminating"))
    events = a_recorder(kube)
    events.record(RUNS, a_run(), SAID)
    events.record(RUNS, a_run(name="other"), SAID)
    await events.drain(within=5)
    assert (kube.asked, kube.posted) == (2, [])


async def test_a_server_that_does_not_answer_is_asked_again_and_not_for_ever():
    away = [Unavailable("away", retry_after=0.001) for _ in range(TRIES)]
    kube = Kube(*away)
    events = a_recorder(kube)
    events.record(RUNS, a_run(), SAID)
    await events.drain(within=5)
    assert (kube.asked, kube.posted) == (TRIES, [])


async def test_a_stop_waits_for_a_bounded_time_only():
    kube = Kube()
    kube.gate.clear()
    events = a_recorder(kube)
    events.record(RUNS, a_run(), SAID)
    await asyncio.wait_for(events.drain(within=0.05), 5)
    assert kube.posted == []


async def test_an_event_that_must_be_posted_first_holds_nothing_up_where_it_never_will_be():
    kube = Kube(Denied("the namespace is being terminated"))
    await a_recorder(kube).post(RUNS, a_run(), SAID)
    assert kube.asked == 1


async def test_an_event_that_must_be_posted_first_is_waited_for_where_it_may_yet_be():
    with pytest.raises(Unavailable):
        await a_recorder(Kube(Unavailable("away"))).post(RUNS, a_run(), SAID)
