"""The keyed queue: latest wins, one at a time per key, failures come back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import Gauge

from durafleet.controllers.queue.fairness import Band, share_of
from durafleet.controllers.queue.keyed import DEPTH, LONGEST_DELAY, OLDEST, KeyedQueue, backoff
from durafleet.errors import Conflict, Unavailable

Key = tuple[str, str]
A, B = ("ns", "a"), ("ns", "b")


@asynccontextmanager
async def running(
    work: Callable[[Key], Awaitable[float | None]], *, concurrency: int = 4
) -> AsyncIterator[KeyedQueue[Key]]:
    queue: KeyedQueue[Key] = KeyedQueue("test", work, concurrency=concurrency)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_marked_many_times_is_worked_on_once():
    seen: list[Key] = []
    done = asyncio.Event()

    async def work(key: Key) -> None:
        seen.append(key)
        if key == B:
            done.set()

    async with running(work, concurrency=1) as queue:
        for _ in range(20):
            queue.mark(A)
        queue.mark(B)
        await asyncio.wait_for(done.wait(), 5)
    assert seen == [A, B]


async def test_a_key_is_never_worked_on_twice_at_once_and_is_worked_on_again_after_a_mark():
    active, most, visits = 0, 0, 0
    entered, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(_: Key) -> None:
        nonlocal active, most, visits
        active, visits = active + 1, visits + 1
        most = max(most, active)
        entered.set()
        await go_on.wait()
        active -= 1
        if visits == 2:
            done.set()

    async with running(work) as queue:
        queue.mark(A)
        await asyncio.wait_for(entered.wait(), 5)
        queue.mark(A)
        queue.mark(A)
        go_on.set()
        await asyncio.wait_for(done.wait(), 5)
    assert (most, visits) == (1, 2)


async def test_a_failure_comes_back_and_does_not_stop_others():
    attempts: list[Key] = []
    done = asyncio.Event()

    async def work(key: Key) -> None:
        attempts.append(key)
        if key == A and attempts.count(A) < 3:
            raise Conflict("somebody was faster")
        if key == A:
            done.set()

    async with running(work) as queue:
        queue.mark(A)
        queue.mark(B)
        await asyncio.wait_for(done.wait(), 10)
    assert attempts.count(A) == 3
    assert attempts.count(B) == 1


async def test_work_that_asks_for_another_look_gets_it():
    visits = 0
    done = asyncio.Event()

    async def work(_: Key) -> float | None:
        nonlocal visits
        visits += 1
        if visits == 2:
            done.set()
            return None
        return 0.01

    async with running(work) as queue:
        queue.mark(A)
        await asyncio.wait_for(done.wait(), 5)
    assert visits == 2


async def test_a_mark_now_overtakes_a_mark_for_later():
    done = asyncio.Event()

    async def work(_: Key) -> None:
        done.set()

    async with running(work) as queue:
        queue.mark(A, delay=3600)
        queue.mark(A)
        await asyncio.wait_for(done.wait(), 5)


async def test_a_server_that_asks_for_time_gets_it_whatever_is_marked_meanwhile():
    loop = asyncio.get_running_loop()
    visits: list[float] = []
    refused, done = asyncio.Event(), asyncio.Event()

    async def work(_: Key) -> None:
        visits.append(loop.time())
        if len(visits) == 1:
            queue.mark(A)
            refused.set()
            raise Unavailable("too many requests", retry_after=0.6)
        done.set()

    async with running(work) as queue:
        queue.mark(A)
        await asyncio.wait_for(refused.wait(), 5)
        queue.mark(A)
        await asyncio.wait_for(done.wait(), 5)
    assert visits[1] - visits[0] >= 0.6


async def test_a_key_marked_while_it_is_worked_on_keeps_the_more_urgent_of_its_marks():
    seen: list[Key] = []
    entered, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(key: Key) -> None:
        seen.append(key)
        entered.set()
        await go_on.wait()
        if len(seen) == 3:
            done.set()

    async with running(work, concurrency=1) as queue:
        queue.mark(A)
        await asyncio.wait_for(entered.wait(), 5)
        queue.mark(B, band=Band.LATER)
        queue.mark(A, band=Band.FIRST)
        queue.mark(A, band=Band.LATER)
        go_on.set()
        await asyncio.wait_for(done.wait(), 5)
    assert seen == [A, A, B]


async def test_a_tenant_whose_every_visit_hangs_leaves_room_for_others():
    done = asyncio.Event()

    async def work(key: Key) -> None:
        if key[0] == "hanging":
            await asyncio.Event().wait()
        done.set()

    async with running(work) as queue:
        for number in range(20):
            queue.mark(("hanging", str(number)))
        await asyncio.sleep(0)
        queue.mark(("other", "one"))
        await asyncio.wait_for(done.wait(), 5)


async def test_a_tenant_alone_is_worked_through_within_its_share():
    most, active, left = 0, 0, 40
    done = asyncio.Event()

    async def work(_: Key) -> None:
        nonlocal most, active, left
        active, left = active + 1, left - 1
        most = max(most, active)
        await asyncio.sleep(0)
        active -= 1
        if not left:
            done.set()

    async with running(work, concurrency=16) as queue:
        for number in range(40):
            queue.mark(("ns", str(number)))
        await asyncio.wait_for(done.wait(), 5)
    assert most == share_of(16)


async def test_marks_make_no_tasks():
    async def work(_: Key) -> None:
        await asyncio.Event().wait()

    async with running(work, concurrency=1) as queue:
        before = len(asyncio.all_tasks())
        for number in range(1000):
            queue.mark(("ns", str(number)))
        assert len(asyncio.all_tasks()) == before


async def test_depth_and_age_are_told_by_band():
    async def work(_: Key) -> None:
        await asyncio.Event().wait()

    queue: KeyedQueue[Key] = KeyedQueue("told", work, concurrency=1)
    queue.mark(A)
    queue.mark(B, band=Band.LATER)
    queue.mark(("ns", "c"), band=Band.LATER)
    assert [_value(DEPTH, band) for band in ("first", "later")] == [1, 2]
    assert all(_value(OLDEST, band) > 0 for band in ("first", "later"))


def _value(gauge: Gauge, band: str) -> float:
    samples = [each for metric in gauge.collect() for each in metric.samples]
    return next(each.value for each in samples if each.labels == {"queue": "told", "band": band})


@pytest.mark.parametrize(("concurrency", "share"), [(1, 1), (2, 1), (4, 3), (16, 14), (64, 56)])
def test_a_namespaces_share_is_nearly_all(concurrency: int, share: int):
    assert share_of(concurrency) == share


def test_the_wait_grows_and_is_bounded():
    assert backoff(1) <= 0.5
    assert all(backoff(n) <= LONGEST_DELAY for n in range(1, 40))
    assert backoff(12) >= LONGEST_DELAY / 2
