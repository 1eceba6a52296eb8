"""What is let through to the servers: nothing once the lease has run out, and nothing new once the operator stops."""

import asyncio
from typing import NoReturn

import pytest

from durafleet.fence import Fence


class Ended(Exception):
    """In place of the end of this process."""


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


async def test_without_an_election_all_passes_for_ever(fence: Fence, clock: Clock):
    clock.now = 1e9
    fence.check()
    assert await fence.through(a_write([])) == "done"


async def test_while_the_lease_holds_writes_pass(fence: Fence, clock: Clock):
    fence.hold_until(5.0)
    clock.now = 4.999
    fence.check()
    assert await fence.through(a_write([])) == "done"


@pytest.mark.parametrize("late", [0.0, 0.001, 1e6])
async def test_once_the_lease_has_run_out_the_process_ends_before_it_writes(fence: Fence, clock: Clock, late: float):
    fence.hold_until(5.0)
    clock.now, sent = 5.0 + late, list[str]()
    write = a_write(sent)
    with pytest.raises(Ended):
        await fence.through(write)
    write.close()
    assert sent == []


async def test_a_renewal_puts_the_end_off(fence: Fence, clock: Clock):
    fence.hold_until(5.0)
    fence.hold_until(7.0)
    clock.now = 6.0
    fence.check()


async def test_a_shut_fence_cancels_whoever_wants_to_write(fence: Fence):
    fence.shut()
    sent: list[str] = []
    with pytest.raises(asyncio.CancelledError):
        await fence.through(a_write(sent))
    assert sent == []


async def test_it_is_settled_when_each_write_has_its_answer(fence: Fence):
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


def test_an_event_loop_that_wakes_up_too_late_runs_nothing_more(monkeypatch: pytest.MonkeyPatch):
    """The pause falls into the loop's wait; what was due after it must not run."""
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
