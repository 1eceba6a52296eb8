"""Long-polls of a lane (the tracker's unit for one Temporal namespace): limit, order, and use of the responses."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from durafleet.controllers.tracking import fast_lane
from durafleet.controllers.tracking.fast_lane import FastLane
from durafleet.controllers.tracking.lane import Followed, Lane
from durafleet.core.objects import Key
from durafleet.core.runs.execution import Execution, ExecutionStatus, Outcome
from durafleet.core.runs.tracking import Close
from durafleet.errors import Throttled
from tests.support.builders import NOON, an_execution
from tests.support.lanes import OWN, FakeOwner, FakePool, a_lane


@pytest.fixture
def owner() -> FakeOwner:
    return FakeOwner()


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Execution], Any]], None]:
    """Answer long-polls with a function of the execution."""

    def answer(by: Callable[[Execution], Any]) -> None:
        async def wait_for_close(_link: Any, execution: Execution) -> Close | None:
            return cast("Close | None", await by(execution))

        monkeypatch.setattr(fast_lane, "wait_for_close", wait_for_close)

    return answer


@dataclass
class Polling:
    """A lane and its long-polls.

    Attributes:
        begun: the keys of the long-polls, in the order in which these began.
    """

    lane: Lane
    polls: FastLane
    begun: list[Key] = field(default_factory=list)
    ends: dict[Key, asyncio.Event] = field(default_factory=dict)

    async def hang(self, execution: Execution) -> Close:
        """Answer a long-poll only after `end` is called for its key."""
        key = (execution.workflow_id, execution.run_id)
        self.begun.append(key)
        self.ends[key] = asyncio.Event()
        await self.ends[key].wait()
        return Close(status=ExecutionStatus.COMPLETED, time=NOON, outcome=Outcome())

    async def refuse(self, execution: Execution) -> None:
        """Refuse a long-poll because there are too many."""
        self.begun.append((execution.workflow_id, execution.run_id))
        raise Throttled("too many")

    async def follow(self, *keys: Key) -> None:
        """Follow executions whose ids are the names of the runs, so that `begun` shows the order."""
        for tenant, name in keys:
            target = replace(OWN, tenant=tenant)
            execution = an_execution(workflow_id=tenant, run_id=name, type="Mine")
            self.lane.watch((tenant, name), target, Followed(execution, 1))
            self.polls.follow((tenant, name), target, anew=False)
        await settled()

    async def end(self, *keys: Key) -> None:
        for key in keys:
            self.ends[key].set()
        await settled()

    async def leave(self, *keys: Key) -> None:
        for key in keys:
            self.polls.leave(key)
        await settled()


async def settled() -> None:
    """Let every task run until it blocks."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def polling(owner: FakeOwner, polled: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Polling]:
    """Make a lane with a limit of long-polls; each of them blocks."""

    def make(at_most: int) -> Polling:
        monkeypatch.setattr(fast_lane, "LONG_POLLS", at_most)
        lane = a_lane(owner, FakePool())
        made = Polling(lane, FastLane(lane, cast("Any", FakePool())))
        polled(made.hang)
        return made

    return make


def reds(*numbers: int) -> list[Key]:
    return [("red", f"r{number}") for number in numbers]


async def test_long_polls_are_limited_and_no_tenant_gets_all_of_them(polling: Callable[[int], Polling]):
    three = polling(3)
    await three.follow(*reds(0, 1, 2, 3))
    assert three.begun == reds(0, 1)
    await three.follow(("blue", "one"), ("blue", "two"))
    assert three.begun == [*reds(0, 1), ("blue", "one")]


async def test_the_next_free_long_poll_goes_to_the_run_that_has_waited_longest(polling: Callable[[int], Polling]):
    three = polling(3)
    await three.follow(*reds(0, 1, 2, 3, 4, 5))
    await three.end(*reds(1))
    assert three.begun == reds(0, 1, 2)
    await three.leave(*reds(3, 0))
    assert three.begun == reds(0, 1, 2, 4)


async def test_a_run_that_waited_too_long_for_a_long_poll_is_left_to_the_sweep(
    polling: Callable[[int], Polling], monkeypatch: pytest.MonkeyPatch
):
    one = polling(1)
    await one.follow(*reds(0))
    monkeypatch.setattr(fast_lane, "YOUNG", 0.0)
    await one.follow(*reds(1))
    await one.end(*reds(0))
    assert one.begun == reds(0)


async def test_a_refused_long_poll_also_drops_the_runs_that_wait_for_a_long_poll(
    polling: Callable[[int], Polling], polled: Callable[..., None]
):
    one = polling(1)
    polled(one.refuse)
    await one.follow(*reds(0, 1, 2, 3))
    assert one.begun == reds(0)
    await one.follow(*reds(4))
    assert one.begun == reds(0, 4)


async def _polled_once(lane: Lane, execution: Execution) -> None:
    key = ("red", "a")
    lane.watch(key, OWN, Followed(execution, 1))
    polls = FastLane(lane, cast("Any", FakePool()))
    polls.follow(key, OWN, anew=False)
    await settled()


async def test_a_refused_long_poll_is_not_retried_and_the_run_is_left_to_the_sweep(
    owner: FakeOwner, polled: Callable[..., None]
):
    asked = 0

    async def refuse(_: Execution) -> None:
        nonlocal asked
        asked += 1
        raise Throttled("too many")

    polled(refuse)
    await _polled_once(a_lane(owner, FakePool()), an_execution(type="Mine"))
    assert asked == 1
    assert owner.seen == []
    assert owner.refreshed == []


@pytest.mark.parametrize(
    ("status", "seen", "refreshed"),
    [(ExecutionStatus.COMPLETED, ["Completed"], []), (ExecutionStatus.TERMINATED, [], [("red", "a")])],
)
async def test_a_completed_close_event_is_used_and_a_terminated_one_causes_a_refresh(
    owner: FakeOwner, polled: Callable[..., None], status: ExecutionStatus, seen: list[str], refreshed: list[Key]
):
    async def close(_: Execution) -> Close:
        return Close(status=status, time=NOON, outcome=Outcome())

    polled(close)
    await _polled_once(a_lane(owner, FakePool()), an_execution(type="Mine"))
    assert [each.status for each in owner.seen] == seen
    assert owner.refreshed == refreshed
