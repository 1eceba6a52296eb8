"""The keyed queue: what Kopf's event handlers feed and the controllers drain.

A key is in it once, however often it is marked (latest wins); one key is never worked on twice at
the same time; a key marked while it is worked on is worked on again afterwards. Failures come
back later and later, with jitter, so that an outage is not met by a herd.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from durafleet.errors import Conflict, Unavailable

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=tuple[str, str])
Work = Callable[[K], Awaitable[float | None]]
"""Works on a key; returns after how many seconds to look again, None to wait for the next mark."""

DEPTH = Gauge("durafleet_queue_depth", "Keys that wait for a controller.", ["queue"])
AGE = Histogram("durafleet_queue_seconds", "Time a key waited.", ["queue"], buckets=(0.01, 0.05, 0.2, 1, 5, 20, 60))
FAILURES = Counter("durafleet_reconcile_errors_total", "Reconciliations that failed and come back.", ["queue", "kind"])

FIRST_DELAY, LONGEST_DELAY = 0.5, 60.0


def backoff(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row: doubling, half of it random."""
    ceiling = min(FIRST_DELAY * 2 ** (failures - 1), LONGEST_DELAY)
    return float(ceiling) * (0.5 + random.random() / 2)  # noqa: S311 - jitter, not a secret


class KeyedQueue(Generic[K]):
    """A queue of keys with delays, per-key order and bounded concurrency."""

    def __init__(self, name: str, work: Work[K], *, concurrency: int) -> None:
        self.name = name
        self._work = work
        self._concurrency = concurrency
        self._ready: deque[K] = deque()
        self._since: dict[K, float] = {}  # keys in _ready, and when they came
        self._active: set[K] = set()
        self._again: set[K] = set()  # marked while active
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}  # when a server that asked for time may be asked again
        self._wakeup = asyncio.Condition()
        self.last_progress = time.monotonic()

    def mark(self, key: K, *, delay: float = 0.0) -> None:
        """Ask for work on a key, now or after `delay` seconds; the earliest request wins.

        A failure's wait is cut short by this, because what was marked may mend it; a server that
        said when to come again is not asked before.
        """
        loop = asyncio.get_running_loop()
        delay = max(delay, self._not_before.get(key, 0.0) - loop.time())
        if delay > 0:
            timer = self._timers.get(key)
            if key in self._since or (timer is not None and timer.when() <= loop.time() + delay):
                return
            self._cancel_timer(key)
            self._timers[key] = loop.call_later(delay, self.mark, key)
            return
        self._cancel_timer(key)
        if key in self._active:
            self._again.add(key)
        elif key not in self._since:
            self._since[key] = time.monotonic()
            self._ready.append(key)
            DEPTH.labels(self.name).set(len(self._ready))
            loop.create_task(self._notify())  # noqa: RUF006 - ends at once

    def forget(self, key: K) -> None:
        """Drop what is scheduled for a key that no longer exists."""
        self._cancel_timer(key)
        self._failures.pop(key, None)
        self._not_before.pop(key, None)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._worker())

    @property
    def depth(self) -> int:
        return len(self._ready)

    async def _notify(self) -> None:
        async with self._wakeup:
            self._wakeup.notify()

    async def _worker(self) -> None:
        while True:
            async with self._wakeup:
                await self._wakeup.wait_for(lambda: bool(self._ready))
                key = self._ready.popleft()
            AGE.labels(self.name).observe(time.monotonic() - self._since.pop(key))
            DEPTH.labels(self.name).set(len(self._ready))
            self._active.add(key)
            try:
                await self._attempt(key)
            finally:
                self._active.discard(key)
                self.last_progress = time.monotonic()
            if key in self._again:
                self._again.discard(key)
                self.mark(key)

    async def _attempt(self, key: K) -> None:
        try:
            delay = await self._work(key)
        except Exception as error:  # a bug in one key's plan must not stop the others
            self._retry(key, error)
            return
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        if delay is not None:
            self._active.discard(key)  # a later look must not read as "marked while active"
            self.mark(key, delay=max(delay, 0.001))

    def _retry(self, key: K, error: Exception) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        FAILURES.labels(self.name, type(error).__name__).inc()
        delay = backoff(failures)
        if isinstance(error, Conflict):  # ordinary: the newer object is on its way
            delay = min(delay, 1.0)
        elif isinstance(error, Unavailable):
            if error.retry_after is not None:
                delay = max(delay, error.retry_after)
                self._not_before[key] = asyncio.get_running_loop().time() + delay
            logger.warning("%s %s/%s: %s; again in %.1f s", self.name, *key, error, delay)
        else:
            logger.error("%s %s/%s failed; again in %.1f s", self.name, *key, delay, exc_info=error)
        self._active.discard(key)
        self.mark(key, delay=delay)

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            with contextlib.suppress(RuntimeError):
                timer.cancel()
