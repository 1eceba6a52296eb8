"""The sweeps of a lane: a few periodic visibility queries, independent of the number of open runs."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime

from prometheus_client import Gauge

from durafleet.controllers.tracking.lane import Lane
from durafleet.controllers.world import verdict_of
from durafleet.core.grace import TEMPORAL_GRACE, Trouble
from durafleet.core.objects import Key
from durafleet.core.places import Place
from durafleet.errors import DurafleetError, Refused, Throttled, Unavailable
from durafleet.temporal.sweep import closed_since, listing, progressed_since, started_since, troubled

logger = logging.getLogger(__name__)

IDLE_SWEEP_EVERY = 10.0
"""Seconds between sweeps while nothing is open. Only a workflow that somebody resets can appear then."""
CLOSED_EVERY = 3
"""Sweeps between queries by close time, which find workflows that ended without a report by their worker.

After a query that found something, the next sweep queries again, because more runs have closed than the long-polls
cover. While nothing is open, each sweep queries: such sweeps are rare, and only they show a reset.
"""
TROUBLED_EVERY = 15
LONGEST_BACKOFF = 30.0

LAG = Gauge("durafleet_sweep_age_seconds", "Time since the last complete sweep.", ["temporal_namespace"])
INTERVAL = Gauge(
    "durafleet_sweep_interval_seconds",
    "Time between sweeps; more than a second if the server limits the rate of requests.",
    ["temporal_namespace"],
)


class Sweeper:
    """Sweeps a lane.

    Args:
        paced: called when the server's limit has changed the pace so much that the status has to report it.
    """

    def __init__(self, lane: Lane, *, now: Callable[[], datetime], paced: Callable[[Place], None]) -> None:
        self._lane = lane
        self._now = now
        self._paced = paced
        self._count = 0
        self._failures = 0
        self._last = self._progressed = self._closed = now()  # the end of the time that the last queries covered
        self._closing = False  # the last query by close time found something
        self._troubled: frozenset[Key] = frozenset()

    async def run(self) -> None:
        """Sweep until the lane is empty."""
        while not self._lane.empty:
            try:
                await self._sweep()
            except Exception as error:  # a response that cannot be read must not end the sweeps
                delay = self._failed(error)
            else:
                delay = self._succeeded()
            LAG.labels(self._lane.place[1]).set((self._now() - self._last).total_seconds())
            INTERVAL.labels(self._lane.place[1]).set(self._lane.pace.interval)
            await self._until_due(delay)

    async def _sweep(self) -> None:
        started = self._now()
        if (await self._lane.link()).attributes:  # otherwise the query by close time covers it
            await self._look(progressed_since(self._progressed))
        self._progressed = started
        if self._closing or self._lane.idle or self._count % CLOSED_EVERY == 0:
            if self._lane.ended:
                await self._look(started_since(self._closed))
            followed = set(self._lane.open)
            self._closing = not followed.isdisjoint(await self._look(closed_since(self._closed)))
            self._closed = started
        if self._count % TROUBLED_EVERY == 0:
            await self._look_for_trouble()
        self._count += 1

    async def _look(self, query: str) -> set[Key]:
        seen: set[Key] = set()
        async for execution in listing(await self._lane.link(), query):
            key = self._lane.see(execution)
            if key is not None:
                seen.add(key)
        return seen

    async def _look_for_trouble(self) -> None:
        try:
            seen = await self._look(troubled())
        except Unavailable:
            raise
        except Refused:
            return  # an older server without that attribute
        for key in self._troubled - seen:
            self._lane.owner.refresh(key)
        self._troubled = frozenset(seen)

    def _succeeded(self) -> float:
        self._last, self._failures = self._now(), 0
        self._lane.answers = True
        self._lane.note_outage(None)
        before = self._lane.pace
        self._lane.pace = before.faster()
        if before.told and not self._lane.pace.told:
            logger.info("Temporal namespace %s is swept at the usual interval again", self._lane.place[1])
            self._paced(self._lane.place)
        return self._lane.pace.interval

    def _failed(self, error: Exception) -> float:
        """Record a failed sweep; return the seconds to wait before the next one."""
        self._lane.answers = False
        delay = self._slow_down() if isinstance(error, Throttled) else self._back_off()
        namespace = self._lane.place[1]
        if not isinstance(error, DurafleetError):
            logger.error("sweep of %s failed unexpectedly; retrying in %.0f s", namespace, delay, exc_info=error)
            return delay
        logger.warning("sweep of %s failed; retrying in %.0f s: %s", namespace, delay, error)
        if (self._now() - self._last).total_seconds() >= TEMPORAL_GRACE and self._lane.ways:
            self._lane.note_outage(Trouble(verdict_of(error, self._lane.ways[0]), self._last))
        return delay

    def _slow_down(self) -> float:
        before = self._lane.pace
        self._lane.pace = before.slower()
        if self._lane.pace.told and self._lane.pace != before:
            self._paced(self._lane.place)
        return self._lane.pace.interval

    def _back_off(self) -> float:
        """Try each other connection at once. After all have failed, back off exponentially."""
        self._failures += 1
        self._lane.try_another_way()
        untried = len(self._lane.ways) - self._failures
        return self._lane.pace.interval if untried > 0 else min(2.0 ** min(1 - untried, 10), LONGEST_BACKOFF)

    async def _until_due(self, delay: float) -> None:
        """Wait for the next sweep: longer while nothing is open, but only until something is."""
        await asyncio.sleep(delay)
        if self._lane.idle:
            self._lane.busy.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lane.busy.wait(), IDLE_SWEEP_EVERY)
