"""Learning what becomes of open workflows: sweeps for all of them, long-polls for the young ones.

A sweep costs the same whatever the number of open runs; a long-poll answers within milliseconds,
but the server caps them, so only a bounded number of runs has one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import Gauge

from durafleet.controllers.world import World, verdict_of
from durafleet.core.execution import Execution, Target
from durafleet.core.objects import Key
from durafleet.core.run_world import Trouble
from durafleet.core.runs import TEMPORAL_GRACE
from durafleet.errors import DurafleetError, NotFound, Refused, Unavailable
from durafleet.temporal.executions import wait_for_close
from durafleet.temporal.sweep import closed_since, listing, open_now, progressed_since, started_since, troubled

logger = logging.getLogger(__name__)

SWEEP_EVERY = 1.0
IDLE_SWEEP_EVERY = 10.0
"""Seconds between sweeps while nothing is open: only a workflow that somebody resets can still turn up."""
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
    """What is tracked in one Temporal namespace for one tenant.

    Attributes:
        ended: runs that ended without success; their workflows may be reset in Temporal itself.
        outage: Temporal has not answered a sweep for so long that the open runs have to say so.
        busy: set as soon as something is open; the idle sweeper waits for it.
    """

    target: Target
    open: dict[Key, Execution] = field(default_factory=dict)
    ended: set[Key] = field(default_factory=set)
    outage: Trouble | None = None
    busy: asyncio.Event = field(default_factory=asyncio.Event)
    polls: dict[Key, asyncio.Task[None]] = field(default_factory=dict)
    sweeper: asyncio.Task[None] | None = None
    troubled: frozenset[Key] = frozenset()


@dataclass
class Sweep:
    """How far the sweeps of a lane have come: up to which times the last queries looked."""

    progressed: datetime
    count: int = 0
    closed: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.closed = self.progressed


class Tracker:
    """Follows executions for whoever owns the runs.

    Args:
        observe: is called with what a sweep saw; returns the run it is of, if any.
        refresh: is called with runs of which Temporal has to be asked.
        look_again: is called with runs around which something else has changed.
    """

    def __init__(
        self,
        world: World,
        *,
        observe: Callable[[Execution], Key | None],
        refresh: Callable[[Key], None],
        look_again: Callable[[Key], None],
    ) -> None:
        self._world = world
        self._observe = observe
        self._refresh = refresh
        self._look_again = look_again
        self._lanes: dict[tuple[str, str | None], Lane] = {}

    def watch(self, key: Key, target: Target, execution: Execution) -> None:
        """Follow an open execution until `drop`."""
        lane = self._lane(target)
        lane.ended.discard(key)
        known = lane.open.get(key)
        lane.open[key] = execution
        lane.busy.set()
        OPEN.set(sum(len(each.open) for each in self._lanes.values()))
        if known is not None and known.run_id == execution.run_id and key in lane.polls:
            return
        if (poll := lane.polls.pop(key, None)) is not None:
            poll.cancel()
        if len(lane.polls) < LONG_POLLS:
            lane.polls[key] = asyncio.create_task(self._poll(lane, key, execution))

    def watch_ended(self, key: Key, target: Target) -> None:
        """Look out for a later execution of a run that ended without success, until `drop` or `watch`."""
        self.drop(key)
        self._lane(target).ended.add(key)

    def outage(self, key: Key) -> Trouble | None:
        """Return since when Temporal has been silent about an open run, once that is long."""
        return next((lane.outage for lane in self._lanes.values() if key in lane.open), None)

    def drop(self, key: Key) -> None:
        """Stop following a run."""
        for lane in self._lanes.values():
            lane.ended.discard(key)
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
        """Sweep until there is nobody left to look out for; `_lane` starts it again."""
        sweep, delay = Sweep(self._world.now()), SWEEP_EVERY
        last = self._world.now()
        while lane.open or lane.ended:
            try:
                await self._sweep(lane, sweep)
                last = self._world.now()
                self._note_outage(lane, None)
                delay = SWEEP_EVERY
                await self._until_due(lane)
            except Exception as error:  # an answer that we cannot read must not end the sweeps either
                delay = min(delay * 2, LONGEST_BACKOFF)
                self._sweep_failed(lane, error, last, delay)
                await asyncio.sleep(delay)
            LAG.labels(lane.target.namespace).set((self._world.now() - last).total_seconds())

    def _sweep_failed(self, lane: Lane, error: Exception, last: datetime, delay: float) -> None:
        if not isinstance(error, DurafleetError):
            logger.error("sweep of %s broke, again in %.0f s", lane.target.namespace, delay, exc_info=error)
            return
        logger.warning("sweep of %s failed, again in %.0f s: %s", lane.target.namespace, delay, error)
        if (self._world.now() - last).total_seconds() >= TEMPORAL_GRACE:
            self._note_outage(lane, Trouble(verdict_of(error, lane.target), last))

    async def _until_due(self, lane: Lane) -> None:
        """Wait for the next sweep: longer while nothing is open, but only until something is."""
        await asyncio.sleep(SWEEP_EVERY)
        if not lane.open:
            lane.busy.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lane.busy.wait(), IDLE_SWEEP_EVERY)

    async def _sweep(self, lane: Lane, sweep: "Sweep") -> None:
        started, count = self._world.now(), sweep.count
        if count == 0:  # what somebody reset, or resumed, while nobody looked
            await self._feed(lane, open_now(), started)
        sweep.progressed = await self._progressed(lane, sweep.progressed, started)
        if count % CLOSED_EVERY == 0:
            if lane.ended:
                await self._feed(lane, started_since(sweep.closed), started)
            sweep.closed = await self._feed(lane, closed_since(sweep.closed), started)
        if count % TROUBLED_EVERY == 0:
            await self._troubled(lane)
        if count % FULL_EVERY == FULL_EVERY - 1:
            self._ask_about_all(lane)
        sweep.count += 1

    def _note_outage(self, lane: Lane, outage: Trouble | None) -> None:
        if (lane.outage is None) != (outage is None):
            lane.outage = outage
            for key in list(lane.open):
                self._look_again(key)

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
