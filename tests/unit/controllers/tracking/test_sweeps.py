"""Sweeps (periodic visibility queries) of a lane: their connection, queries and interval, and what they enqueue."""

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
    """Raised to end a sweeper."""


@pytest.fixture
def queries() -> list[str]:
    """Return the list that the sweeps add their queries to."""
    return []


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, queries: list[str]) -> Callable[..., Any]:
    """Sweep a lane `times` times without waiting; each query raises `answer` if it is given."""

    async def run(lane: Lane, *, times: int, answer: Exception | None = None, now: datetime = NOON) -> list[Place]:
        reported: list[Place] = []
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
            await Sweeper(lane, now=lambda: now, paced=reported.append).run()
        return reported

    return run


async def test_a_broken_connection_of_one_tenant_does_not_stop_the_sweeps_of_others(
    owner: FakeOwner, sweep: Callable[..., Any]
):
    pool = FakePool(broken={"red"})
    lane = a_lane(owner, pool, ("a", OWN), ("b", OTHER))
    await sweep(lane, times=2)
    assert lane.answers
    assert pool.asked[0] == "red"
    assert pool.asked[-1] == "blue"


async def test_sweeps_prefer_the_connection_of_the_operator(owner: FakeOwner, sweep: Callable[..., Any]):
    pool = FakePool()
    await sweep(a_lane(owner, pool, ("a", OWN), ("b", TARGET)), times=1)
    assert set(pool.asked) == {""}


async def test_a_connection_is_no_longer_used_once_its_last_run_is_gone(owner: FakeOwner, sweep: Callable[..., Any]):
    pool = FakePool()
    lane = a_lane(owner, pool, ("a", OWN), ("b", OTHER))
    lane.leave(("red", "a"))
    await sweep(lane, times=1)
    assert set(pool.asked) == {"blue"}


async def test_a_throttled_interval_is_reported_at_the_second_refusal_and_once_it_is_back_to_normal(
    owner: FakeOwner, sweep: Callable[..., Any]
):
    lane = a_lane(owner, FakePool(), ("a", OWN))
    assert await sweep(lane, times=1, answer=Throttled("too often")) == []
    assert await sweep(lane, times=1, answer=Throttled("too often")) == [TARGET.place]
    assert lane.pace.interval == 4
    assert await sweep(lane, times=20) == [TARGET.place]
    assert lane.pace.interval == 1


async def test_without_open_runs_every_sweep_queries_for_workflows_that_were_reset(
    owner: FakeOwner, queries: list[str], sweep: Callable[..., Any]
):
    lane = a_lane(owner, FakePool())
    lane.watch_ended(("red", "ended"), OWN)
    await sweep(lane, times=3)
    assert sum(query.startswith("CloseTime") for query in queries) == 3
    assert sum(query.startswith("StartTime") for query in queries) == 3


async def test_with_open_runs_only_every_third_sweep_queries_by_close_time(
    owner: FakeOwner, queries: list[str], sweep: Callable[..., Any]
):
    lane = a_lane(owner, FakePool(), ("open", OWN))
    await sweep(lane, times=6)
    assert sum(query.startswith("CloseTime") for query in queries) == 2


async def test_an_expected_run_is_enqueued_at_an_outage_but_not_at_its_end(owner: FakeOwner, sweep: Callable[..., Any]):
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
