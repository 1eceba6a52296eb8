"""Lanes without servers: which connection they use, and what long-polls they allow themselves."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

import pytest

from durafleet.controllers import fast_lane, sweeps
from durafleet.controllers.fast_lane import FastLane
from durafleet.controllers.lane import Followed, Lane
from durafleet.controllers.sweeps import Sweeper
from durafleet.core.execution import Execution, ExecutionStatus, Outcome, Place, Target
from durafleet.core.objects import Key
from durafleet.core.tracking import Close
from durafleet.errors import Throttled, Unavailable
from tests.support.builders import NOON, TARGET, an_execution

OWN = replace(TARGET, tenant="red", connection="own")
OTHER = replace(TARGET, tenant="blue", connection="own")


@dataclass
class FakeLink:
    target: Target
    attributes: frozenset[str] = frozenset({"x"})


@dataclass
class FakePool:
    """Links of which some are broken."""

    broken: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def ready(self, target: Target) -> FakeLink:
        self.asked.append(target.tenant)
        if target.tenant in self.broken:
            raise Unavailable("this one does not answer")
        return FakeLink(target)


@dataclass
class FakeOwner:
    seen: list[Execution] = field(default_factory=list)
    refreshed: list[Key] = field(default_factory=list)
    looked_at: list[Key] = field(default_factory=list)
    backlog: int = 0

    def observe_execution(self, execution: Execution, _place: Place) -> Key | None:
        self.seen.append(execution)
        return None

    def refresh(self, key: Key) -> None:
        self.refreshed.append(key)

    def look_again(self, key: Key) -> None:
        self.looked_at.append(key)


@pytest.fixture
def owner() -> FakeOwner:
    return FakeOwner()


def a_lane(owner: FakeOwner, pool: FakePool, *runs: tuple[str, Target]) -> Lane:
    lane = Lane(TARGET, owner=owner, pool=cast("Any", pool))
    for name, target in runs:
        lane.watch((target.tenant, name), target, Followed(an_execution(), 1))
    return lane


class SweptEnough(BaseException):
    """Ends a sweeper."""


@pytest.fixture
def queries() -> list[str]:
    """What the sweeps asked for."""
    return []


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, queries: list[str]) -> Callable[..., Any]:
    """Sweep a lane so many times without waiting; `answer` is what lists give."""

    async def run(lane: Lane, *, times: int, answer: Exception | None = None, now: datetime = NOON) -> list[Place]:
        told: list[Place] = []
        left = times

        async def no_wait(_self: Sweeper, _delay: float) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise SweptEnough

        async def listing(_link: Any, query: str) -> Any:
            queries.append(query)
            if answer is not None:
                raise answer
            for execution in ():
                yield execution

        monkeypatch.setattr(Sweeper, "_until_due", no_wait)
        monkeypatch.setattr(sweeps, "listing", listing)
        with pytest.raises(SweptEnough):
            await Sweeper(lane, now=lambda: now, paced=told.append).run()
        return told

    return run


async def test_one_tenants_broken_connection_does_not_blind_the_others(owner: FakeOwner, sweep: Callable[..., Any]):
    pool = FakePool(broken={"red"})
    lane = a_lane(owner, pool, ("a", OWN), ("b", OTHER))
    await sweep(lane, times=2)
    assert lane.answers
    assert pool.asked[0] == "red"
    assert pool.asked[-1] == "blue"


async def test_the_operators_own_connection_is_used_first(owner: FakeOwner, sweep: Callable[..., Any]):
    pool = FakePool()
    await sweep(a_lane(owner, pool, ("a", OWN), ("b", TARGET)), times=1)
    assert set(pool.asked) == {""}


async def test_a_connection_is_used_no_more_once_its_last_run_is_gone(owner: FakeOwner, sweep: Callable[..., Any]):
    pool = FakePool()
    lane = a_lane(owner, pool, ("a", OWN), ("b", OTHER))
    lane.leave(("red", "a"))
    await sweep(lane, times=1)
    assert set(pool.asked) == {"blue"}


async def test_what_the_limit_has_changed_is_told_once_it_matters_and_once_it_is_over(
    owner: FakeOwner, sweep: Callable[..., Any]
):
    lane = a_lane(owner, FakePool(), ("a", OWN))
    assert await sweep(lane, times=1, answer=Throttled("too often")) == []
    assert await sweep(lane, times=1, answer=Throttled("too often")) == [TARGET.place]
    assert lane.pace.interval == 4
    assert await sweep(lane, times=20) == [TARGET.place]
    assert lane.pace.interval == 1


async def test_while_nothing_is_open_each_sweep_looks_for_what_somebody_has_reset(
    owner: FakeOwner, queries: list[str], sweep: Callable[..., Any]
):
    lane = a_lane(owner, FakePool())
    lane.watch_ended(("red", "ended"), OWN)
    await sweep(lane, times=3)
    assert sum(query.startswith("CloseTime") for query in queries) == 3
    assert sum(query.startswith("StartTime") for query in queries) == 3


async def test_while_runs_are_open_not_each_sweep_asks_by_close_time(
    owner: FakeOwner, queries: list[str], sweep: Callable[..., Any]
):
    lane = a_lane(owner, FakePool(), ("open", OWN))
    await sweep(lane, times=6)
    assert sum(query.startswith("CloseTime") for query in queries) == 2


async def test_what_is_expected_hears_of_an_outage_and_not_of_its_end(owner: FakeOwner, sweep: Callable[..., Any]):
    lane = a_lane(owner, FakePool(), ("open", OWN))
    lane.expect(("red", "expected"), OWN)
    late = NOON.replace(hour=13)
    sweeper_clock = iter([NOON, *[late] * 10])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sweeper, "_sweep", _silent)
        patch.setattr(Sweeper, "_until_due", _end)
        with pytest.raises(SweptEnough):
            await Sweeper(lane, now=lambda: next(sweeper_clock), paced=lambda _: None).run()
    assert sorted(owner.looked_at) == [("red", "expected"), ("red", "open")]
    assert lane.outage is not None
    owner.looked_at.clear()
    await sweep(lane, times=1)
    assert owner.looked_at == [("red", "open")]
    assert lane.outage is None


async def _silent(_self: Sweeper) -> None:
    raise Unavailable("silence")


async def _end(_self: Sweeper, _delay: float) -> None:
    raise SweptEnough


# Long-polls


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Execution], Any]], None]:
    """Let long-polls be answered by a function of the execution."""

    def answer(by: Callable[[Execution], Any]) -> None:
        async def wait_for_close(_link: Any, execution: Execution) -> Close | None:
            return cast("Close | None", await by(execution))

        monkeypatch.setattr(fast_lane, "wait_for_close", wait_for_close)

    return answer


@dataclass
class Polling:
    """Long-polls that hang until they are ended, and whom they are for.

    Attributes:
        begun: in the order in which they were begun.
    """

    begun: list[Key] = field(default_factory=list)
    ends: dict[Key, asyncio.Event] = field(default_factory=dict)

    async def hang(self, execution: Execution) -> Close:
        key = (execution.workflow_id, execution.run_id)
        self.begun.append(key)
        self.ends[key] = asyncio.Event()
        await self.ends[key].wait()
        return Close(status=ExecutionStatus.COMPLETED, time=NOON, outcome=Outcome())

    def follow(self, lane: Lane, polls: FastLane, *keys: Key) -> None:
        """Follow executions whose ids are the names of the runs, so that it shows whose turn it is."""
        for tenant, name in keys:
            target = replace(OWN, tenant=tenant)
            lane.watch((tenant, name), target, Followed(an_execution(workflow_id=tenant, run_id=name, type="Mine"), 1))
            polls.follow((tenant, name), target, anew=False)

    async def end(self, *keys: Key) -> None:
        for key in keys:
            self.ends[key].set()
        await settled()


async def settled() -> None:
    """Let all that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


def reds(*numbers: int) -> list[Key]:
    return [("red", f"r{number}") for number in numbers]


async def test_no_more_runs_are_polled_than_the_bound_and_no_tenant_has_all(
    owner: FakeOwner, polled: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fast_lane, "LONG_POLLS", 3)
    polling, lane = Polling(), a_lane(owner, FakePool())
    polled(polling.hang)
    polls = FastLane(lane, cast("Any", FakePool()))
    polling.follow(lane, polls, *reds(0, 1, 2, 3))
    await settled()
    assert polling.begun == reds(0, 1)
    polling.follow(lane, polls, ("blue", "one"), ("blue", "two"))
    await settled()
    assert polling.begun == [*reds(0, 1), ("blue", "one")]


async def test_who_waits_longest_is_polled_next(
    owner: FakeOwner, polled: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fast_lane, "LONG_POLLS", 3)
    polling, lane = Polling(), a_lane(owner, FakePool())
    polled(polling.hang)
    polls = FastLane(lane, cast("Any", FakePool()))
    polling.follow(lane, polls, *reds(0, 1, 2, 3, 4, 5))
    await settled()
    await polling.end(*reds(1))
    assert polling.begun == reds(0, 1, 2)
    polls.leave(("red", "r3"))
    polls.leave(("red", "r0"))
    await settled()
    assert polling.begun == reds(0, 1, 2, 4)


async def test_who_is_young_no_more_when_its_turn_comes_is_left_to_the_sweep(
    owner: FakeOwner, polled: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fast_lane, "LONG_POLLS", 1)
    polling, lane = Polling(), a_lane(owner, FakePool())
    polled(polling.hang)
    polls = FastLane(lane, cast("Any", FakePool()))
    polling.follow(lane, polls, *reds(0))
    monkeypatch.setattr(fast_lane, "YOUNG", 0.0)
    polling.follow(lane, polls, *reds(1))
    await settled()
    await polling.end(*reds(0))
    assert polling.begun == reds(0)


async def test_who_waits_for_a_long_poll_gives_way_too_where_the_server_refuses_them(
    owner: FakeOwner, polled: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fast_lane, "LONG_POLLS", 1)
    asked: list[str] = []

    async def refuse(execution: Execution) -> None:
        asked.append(execution.run_id)
        raise Throttled("too many")

    lane = a_lane(owner, FakePool())
    polled(refuse)
    polls = FastLane(lane, cast("Any", FakePool()))
    Polling().follow(lane, polls, *reds(0, 1, 2, 3))
    await settled()
    assert asked == ["r0"]
    Polling().follow(lane, polls, *reds(4))
    await settled()
    assert asked == ["r0", "r4"]


async def _polled_once(lane: Lane, execution: Execution) -> None:
    key = ("red", "a")
    lane.watch(key, OWN, Followed(execution, 1))
    polls = FastLane(lane, cast("Any", FakePool()))
    polls.follow(key, OWN, anew=False)
    await settled()


async def test_a_long_poll_that_the_server_refuses_gives_way_to_the_sweep(
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
async def test_a_close_event_is_taken_or_asked_about(
    owner: FakeOwner, polled: Callable[..., None], status: ExecutionStatus, seen: list[str], refreshed: list[Key]
):
    async def close(_: Execution) -> Close:
        return Close(status=status, time=NOON, outcome=Outcome())

    polled(close)
    await _polled_once(a_lane(owner, FakePool()), an_execution(type="Mine"))
    assert [each.status for each in owner.seen] == seen
    assert owner.refreshed == refreshed
