"""Sweeps of a lane without servers: which connection they use, what they ask and how often, whom they tell."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from durafleet.controllers.tracking import sweeps
from durafleet.controllers.tracking.lane import Lane
from durafleet.controllers.tracking.sweeps import Sweeper
from durafleet.core.places import Place
from durafleet.errors import Throttled, Unavailable
from tests.support.builders import NOON, TARGET
from tests.support.lanes import OTHER, OWN, FakeOwner, FakePool, a_lane


@pytest.fixture
def owner() -> FakeOwner:
    return FakeOwner()


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
