"""Learning what becomes of open workflows: sweeps for all of them, long-polls for the young ones.

A sweep costs the same whatever the number of open runs; a long-poll answers within milliseconds,
but the server caps them, so only a bounded number of runs has one.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import Gauge

from durafleet.controllers.world import World
from durafleet.core.execution import Execution, Target
from durafleet.core.objects import Key
from durafleet.errors import DurafleetError, NotFound, Refused, Unavailable
from durafleet.temporal.executions import wait_for_close
from durafleet.temporal.sweep import closed_since, listing, progressed_since, troubled

logger = logging.getLogger(__name__)

SWEEP_EVERY = 1.0
CLOSED_EVERY = 3
"""Sweeps between queries by close time: they catch what ended without its worker's cooperation."""
TROUBLED_EVERY = 15
FULL_EVERY = 300
"""Sweeps between full looks at every open run, a backstop for records that visibility lost."""
LONG_POLLS = 256
"""Most long-polls per Temporal namespace; servers allow 1200 by default."""
LONGEST_BACKOFF = 30.0

OPEN = Gauge("durafleet_open_runs", "AgentRuns whose workflow is open.")
LAG = Gauge("durafleet_sweep_age_seconds", "Time since the last complete sweep.", ["temporal_namespace"])


@dataclass
class Lane:
    """What is tracked in one Temporal namespace for one tenant."""

    target: Target
    open: dict[Key, Execution] = field(default_factory=dict)
    polls: dict[Key, asyncio.Task[None]] = field(default_factory=dict)
    sweeper: asyncio.Task[None] | None = None
    troubled: frozenset[Key] = frozenset()


class Tracker:
    """Calls `observe` with what a sweep saw, and `refresh` with keys that have to be asked about."""

    def __init__(
        self, world: World, *, observe: Callable[[Execution], Key | None], refresh: Callable[[Key], None]
    ) -> None:
        self._world = world
        self._observe = observe
        self._refresh = refresh
        self._lanes: dict[tuple[str, str | None], Lane] = {}

    def watch(self, key: Key, target: Target, execution: Execution) -> None:
        """Follow an open execution until `drop`."""
        lane = self._lane(target)
        known = lane.open.get(key)
        lane.open[key] = execution
        OPEN.set(sum(len(each.open) for each in self._lanes.values()))
        if known is not None and known.run_id == execution.run_id and key in lane.polls:
            return
        if (poll := lane.polls.pop(key, None)) is not None:
            poll.cancel()
        if len(lane.polls) < LONG_POLLS:
            lane.polls[key] = asyncio.create_task(self._poll(lane, key, execution))

    def drop(self, key: Key) -> None:
        """Stop following a run."""
        for lane in self._lanes.values():
            lane.open.pop(key, None)
            if (poll := lane.polls.pop(key, None)) is not None:
                poll.cancel()
        OPEN.set(sum(len(each.open) for each in self._lanes.values()))

    def _lane(self, target: Target) -> Lane:
        place = (target.tenant, target.connection)
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = Lane(target)
        lane.target = target
        if lane.sweeper is None or lane.sweeper.done():
            lane.sweeper = asyncio.create_task(self._sweep_forever(lane))
        return lane

    async def _poll(self, lane: Lane, key: Key, execution: Execution) -> None:
        delay = 1.0
        while True:
            try:
                link = await self._world.pool.ready(lane.target)
                if await wait_for_close(link, execution.workflow_id, execution.run_id):
                    break
                delay = 1.0
            except NotFound:
                break
            except DurafleetError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_BACKOFF)
        lane.polls.pop(key, None)
        self._refresh(key)

    async def _sweep_forever(self, lane: Lane) -> None:
        """Sweep until nothing is open; `watch` starts it again."""
        count, delay = 0, SWEEP_EVERY
        progressed = closed = self._world.now()
        swept = time.monotonic()
        while lane.open:
            await asyncio.sleep(delay)
            started = self._world.now()
            try:
                progressed = await self._progressed(lane, progressed, started)
                if count % CLOSED_EVERY == 0:
                    closed = await self._feed(lane, closed_since(closed), started)
                if count % TROUBLED_EVERY == 0:
                    await self._troubled(lane)
                if count % FULL_EVERY == FULL_EVERY - 1:
                    self._ask_about_all(lane)
                count, delay, swept = count + 1, SWEEP_EVERY, time.monotonic()
            except DurafleetError as error:
                delay = min(delay * 2, LONGEST_BACKOFF)
                logger.warning("sweep of %s failed, again in %.0f s: %s", lane.target.namespace, delay, error)
            LAG.labels(lane.target.namespace).set(time.monotonic() - swept)

    async def _progressed(self, lane: Lane, since: datetime, started: datetime) -> datetime:
        link = await self._world.pool.ready(lane.target)
        if not link.attributes:
            return started  # a namespace without our attributes: the sweep by close time does it
        return await self._feed(lane, progressed_since(since), started)

    async def _feed(self, lane: Lane, query: str, started: datetime) -> datetime:
        link = await self._world.pool.ready(lane.target)
        async for execution in listing(link, query):
            self._observe(execution)
        return started

    async def _troubled(self, lane: Lane) -> None:
        link = await self._world.pool.ready(lane.target)
        seen: set[Key] = set()
        try:
            async for execution in listing(link, troubled()):
                key = self._observe(execution)
                if key is not None:
                    seen.add(key)
        except Unavailable:
            raise
        except Refused:
            return  # an older server without that attribute
        for key in lane.troubled - seen:
            self._refresh(key)
        lane.troubled = frozenset(seen)

    def _ask_about_all(self, lane: Lane) -> None:
        for key in list(lane.open):
            self._refresh(key)
