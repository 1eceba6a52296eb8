"""The keyed queue, which Kopf's event handlers fill and the controllers drain.

A key is queued once, however often it is enqueued (latest wins). A key is never reconciled twice at the same time.
A key that is enqueued while it is reconciled is reconciled again afterwards. `fairness` decides the order. Failures
are retried with exponential backoff and jitter, so that the retries after an outage are spread.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from durafleet.controllers.queue.fairness import Band, Taken, Waiting, share_of
from durafleet.errors import Conflict, Unavailable

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=tuple[str, str])
Work = Callable[[K], Awaitable[float | None]]
"""Reconciles a key; returns after how many seconds to requeue it, or None to wait for the next `mark`."""

DEPTH = Gauge("durafleet_queue_depth", "Keys that wait for a controller.", ["queue", "band"])
OLDEST = Gauge("durafleet_queue_oldest_seconds", "Time that the oldest key has waited.", ["queue", "band"])
AGE = Histogram(
    "durafleet_queue_seconds",
    "Time that a key waited.",
    ["queue", "band"],
    buckets=(0.01, 0.05, 0.2, 1, 2, 5, 20, 60, 300),
)
FAILURES = Counter("durafleet_reconcile_errors_total", "Failed reconciliations, which are retried.", ["queue", "kind"])

FIRST_DELAY, LONGEST_DELAY = 0.5, 60.0


def backoff(failures: int) -> float:
    """Return the seconds to wait after this many failures in a row: doubled each time, half of it random."""
    ceiling = min(FIRST_DELAY * 2 ** (failures - 1), LONGEST_DELAY)
    return float(ceiling) * (0.5 + random.random() / 2)  # noqa: S311 - jitter, not a secret


class KeyedQueue(Generic[K]):
    """A queue of keys with delays, per-key order, bounded concurrency and fairness between namespaces."""

    def __init__(self, name: str, work: Work[K], *, concurrency: int) -> None:
        self.name = name
        self._work = work
        self._concurrency = concurrency
        self._waiting: Waiting[K] = Waiting(share=share_of(concurrency))
        self._idle: deque[asyncio.Future[None]] = deque()  # workers with nothing to do
        self._active: set[K] = set()
        self._again: dict[K, Band] = {}  # enqueued while active
        self._timers: dict[K, tuple[asyncio.TimerHandle, Band]] = {}
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}  # when a server that asked for a pause may be called again
        self.last_progress = time.monotonic()
        for band in Band:
            DEPTH.labels(name, band.label).set_function(partial(self.depth_of, band))
            OLDEST.labels(name, band.label).set_function(partial(self.oldest, band))

    def mark(self, key: K, *, delay: float = 0.0, band: Band = Band.FIRST) -> None:
        """Enqueue a key, now or after `delay` seconds. The earliest request and the more urgent band win.

        This ends the backoff after a failure, because the change may fix it. But a server that asked for a pause is
        not called earlier.
        """
        now = asyncio.get_running_loop().time()
        delay = max(delay, self._not_before.get(key, now) - now)
        if delay > 0:
            self._schedule(key, now + delay, band)
            return
        band = min(band, self._unschedule(key))
        if key in self._active:
            self._again[key] = min(band, self._again.get(key, band))
            return
        self._waiting.add(key, band, now=time.monotonic())
        self._wake_one()

    def forget(self, key: K) -> None:
        """Drop the timer and the failures of a key that no longer exists."""
        self._unschedule(key)
        self._failures.pop(key, None)
        self._not_before.pop(key, None)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._worker())

    @property
    def depth(self) -> int:
        """Number of waiting keys."""
        return len(self._waiting)

    @property
    def load(self) -> int:
        """Number of waiting and active keys."""
        return len(self._waiting) + len(self._active)

    def depth_of(self, band: Band) -> int:
        """Return the number of waiting keys in a band."""
        return self._waiting.depth(band)

    def oldest(self, band: Band) -> float:
        """Return for how many seconds the oldest key of a band has waited."""
        since = self._waiting.oldest(band)
        return time.monotonic() - since if since is not None else 0.0

    async def _worker(self) -> None:
        while True:
            taken = await self._next()
            AGE.labels(self.name, taken.band.label).observe(time.monotonic() - taken.since)
            self._active.add(taken.key)
            try:
                await self._attempt(taken.key, taken.band)
            finally:
                self._active.discard(taken.key)
                self._waiting.done(taken.key)
                self.last_progress = time.monotonic()
            if (band := self._again.pop(taken.key, None)) is not None:
                self.mark(taken.key, band=band)
            self._wake_one()  # a namespace that had used up its share may continue

    async def _next(self) -> Taken[K]:
        while (taken := self._waiting.take()) is None:
            idle = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle
        return taken

    def _wake_one(self) -> None:
        while self._idle and len(self._waiting):
            idle = self._idle.popleft()
            if not idle.done():  # its worker was cancelled
                idle.set_result(None)
                return

    async def _attempt(self, key: K, band: Band) -> None:
        try:
            delay = await self._work(key)
        except Exception as error:  # a bug in one key's plan must not stop the others
            self._retry(key, band, error)
            return
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        if delay is not None:
            self._active.discard(key)  # a requeue must not count as "enqueued while active"
            self.mark(key, delay=max(delay, 0.001), band=Band.LATER)

    def _retry(self, key: K, band: Band, error: Exception) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        FAILURES.labels(self.name, type(error).__name__).inc()
        delay = backoff(failures)
        if isinstance(error, Conflict):  # expected: the newer object is on its way
            delay = min(delay, 1.0)
        elif isinstance(error, Unavailable):
            if error.retry_after is not None:
                delay = max(delay, error.retry_after)
                self._not_before[key] = asyncio.get_running_loop().time() + delay
            logger.warning("%s %s/%s: %s; retrying in %.1f s", self.name, *key, error, delay)
        else:
            logger.error("%s %s/%s failed; retrying in %.1f s", self.name, *key, delay, exc_info=error)
        self._active.discard(key)
        self.mark(key, delay=delay, band=band)

    def _schedule(self, key: K, when: float, band: Band) -> None:
        if key in self._waiting:
            return
        timer, promised = self._timers.get(key, (None, band))
        band = min(band, promised)
        if timer is not None:
            timer.cancel()
            when = min(when, timer.when())
        handle = asyncio.get_running_loop().call_at(when, self._due, key)
        self._timers[key] = handle, band

    def _due(self, key: K) -> None:
        _, band = self._timers.pop(key)
        self.mark(key, band=band)

    def _unschedule(self, key: K) -> Band:
        """Cancel a key's timer; return the band that it was scheduled for."""
        timer, band = self._timers.pop(key, (None, Band.LATER))
        if timer is not None:
            timer.cancel()
        return band
