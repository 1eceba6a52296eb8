"""The fence: no write after the Lease has expired, and no new write once the operator stops."""

import asyncio
from typing import NoReturn

import pytest

from durafleet.fence import Fence


class Ended(Exception):
    """Raised instead of ending this process."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def die(why: str) -> NoReturn:
    raise Ended(why)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fence(clock: Clock) -> Fence:
    return Fence(clock=clock, die=die)


async def a_write(sent: list[str]) -> str:
    sent.append("a write")
    return "done"


async def test_without_leader_election_writes_are_always_allowed(fence: Fence, clock: Clock):
    clock.now = 1e9
    fence.check()
    assert await fence.through(a_write([])) == "done"


async def test_writes_are_allowed_while_the_lease_is_valid(fence: Fence, clock: Clock):
    fence.hold_until(5.0)
    clock.now = 4.999
    fence.check()
    assert await fence.through(a_write([])) == "done"


@pytest.mark.parametrize("late", [0.0, 0.001, 1e6])
async def test_the_process_ends_before_it_writes_once_the_lease_has_expired(fence: Fence, clock: Clock, late: float):
    fence.hold_until(5.0)
    clock.now, sent = 5.0 + late, list[str]()
    write = a_write(sent)
    with pytest.raises(Ended):
        await fence.through(write)
    write.close()
    assert sent == []


async def test_a_renewal_extends_the_time_in_which_writes_are_allowed(fence: Fence, clock: Clock):
    fence.hold_until(5.0)
    fence.hold_until(7.0)
    clock.now = 6.0
    fence.check()


async def test_a_shut_fence_cancels_new_writes(fence: Fence):
    fence.shut()
    sent: list[str] = []
    with pytest.raises(asyncio.CancelledError):
        await fence.through(a_write(sent))
    assert sent == []


async def test_a_fence_is_settled_when_every_write_has_its_response(fence: Fence):
    answers = [asyncio.Event(), asyncio.Event()]
    writes = [asyncio.create_task(fence.through(answer.wait())) for answer in answers]
    await asyncio.sleep(0)
    fence.shut()
    settled = asyncio.create_task(fence.settled())
    for answer, write in zip(answers, writes, strict=True):
        assert not settled.done()
        answer.set()
        await write
    await settled


def test_an_event_loop_that_wakes_up_after_the_lease_has_expired_runs_no_more_callbacks(
    monkeypatch: pytest.MonkeyPatch,
):
    """The process is paused while the loop waits; a callback that is due afterwards must not run."""
    clock, ran = Clock(), list[str]()
    fence = Fence(clock=clock, die=die)
    monkeypatch.setattr("durafleet.fence.FENCE", fence)
    from durafleet.fence import guarded_loop  # noqa: PLC0415

    fence.hold_until(5.0)
    loop = guarded_loop()

    def run() -> None:
        ran.append("a callback")
        loop.stop()

    def fall_asleep() -> None:
        clock.now = 100.0
        loop.call_soon(run)

    loop.call_soon(fall_asleep)
    with pytest.raises(Ended):
        loop.run_forever()
    loop.close()
    assert ran == []
