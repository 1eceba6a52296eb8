"""The keyed queue: the latest request wins, one reconciliation at a time per key, failed keys are retried."""

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


async def test_a_key_that_is_enqueued_many_times_is_reconciled_once():
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


async def test_a_key_is_never_reconciled_concurrently_and_again_if_enqueued_meanwhile():
    active, most, reconciliations = 0, 0, 0
    entered, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(_: Key) -> None:
        nonlocal active, most, reconciliations
        active, reconciliations = active + 1, reconciliations + 1
        most = max(most, active)
        entered.set()
        await go_on.wait()
        active -= 1
        if reconciliations == 2:
            done.set()

    async with running(work) as queue:
        queue.mark(A)
        await asyncio.wait_for(entered.wait(), 5)
        queue.mark(A)
        queue.mark(A)
        go_on.set()
        await asyncio.wait_for(done.wait(), 5)
    assert (most, reconciliations) == (1, 2)


async def test_a_failed_key_is_retried_and_does_not_block_other_keys():
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


async def test_a_key_is_requeued_if_its_reconciliation_returns_a_delay():
    reconciliations = 0
    done = asyncio.Event()

    async def work(_: Key) -> float | None:
        nonlocal reconciliations
        reconciliations += 1
        if reconciliations == 2:
            done.set()
            return None
        return 0.01

    async with running(work) as queue:
        queue.mark(A)
        await asyncio.wait_for(done.wait(), 5)
    assert reconciliations == 2


async def test_enqueueing_a_key_for_now_overrides_its_pending_delay():
    done = asyncio.Event()

    async def work(_: Key) -> None:
        done.set()

    async with running(work) as queue:
        queue.mark(A, delay=3600)
        queue.mark(A)
        await asyncio.wait_for(done.wait(), 5)


async def test_retry_after_is_respected_even_if_the_key_is_enqueued_meanwhile():
    loop = asyncio.get_running_loop()
    reconciliations: list[float] = []
    refused, done = asyncio.Event(), asyncio.Event()

    async def work(_: Key) -> None:
        reconciliations.append(loop.time())
        if len(reconciliations) == 1:
            queue.mark(A)
            refused.set()
            raise Unavailable("too many requests", retry_after=0.6)
        done.set()

    async with running(work) as queue:
        queue.mark(A)
        await asyncio.wait_for(refused.wait(), 5)
        queue.mark(A)
        await asyncio.wait_for(done.wait(), 5)
    assert reconciliations[1] - reconciliations[0] >= 0.6


async def test_a_key_enqueued_during_its_reconciliation_keeps_its_most_urgent_priority_band():
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


async def test_a_tenant_whose_reconciliations_all_hang_does_not_block_others():
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


async def test_a_tenant_alone_uses_its_full_share_of_the_concurrency_and_no_more():
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


async def test_enqueueing_keys_creates_no_tasks():
    async def work(_: Key) -> None:
        await asyncio.Event().wait()

    async with running(work, concurrency=1) as queue:
        before = len(asyncio.all_tasks())
        for number in range(1000):
            queue.mark(("ns", str(number)))
        assert len(asyncio.all_tasks()) == before


async def test_depth_and_age_are_reported_per_priority_band():
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
def test_the_share_of_a_namespace_is_most_of_the_concurrency(concurrency: int, share: int):
    assert share_of(concurrency) == share


def test_the_backoff_grows_and_is_bounded():
    assert backoff(1) <= 0.5
    assert all(backoff(n) <= LONGEST_DELAY for n in range(1, 40))
    assert backoff(12) >= LONGEST_DELAY / 2
