"""The census of a lane: list all open executions, and describe only the runs that the list does not show.

It is taken when a lane is created and then every few minutes. The first census covers the runs that existed when the
operator started, which would otherwise cost one description each. Later ones find what visibility has lost.
"""

import asyncio
import contextlib
import logging

from durafleet.controllers.tracking.lane import Lane
from durafleet.core.objects import Key
from durafleet.core.runs.execution import Execution
from durafleet.core.runs.tracking import unshown
from durafleet.errors import DurafleetError, Refused, Throttled
from durafleet.temporal.sweep import open_now, page

logger = logging.getLogger(__name__)

EVERY = 300.0
QUIET, PATIENCE = 1.0, 15.0
"""Seconds without another run to follow before the census begins, and the maximum wait for that."""
PAGE = 500
PAGE_PAUSE = 0.15
"""Seconds between pages at the usual pace: visibility allows about ten queries per second, sweeps included."""
BACKLOG = 200
"""Maximum queued runs before the census waits for the queue, so that a new run does not wait long."""
TRIES = 3
"""Failures before the expected runs are described one by one, if Temporal answers the sweeps."""
LONGEST_BACKOFF = 30.0


class Census:
    """Takes the census of a lane."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._failures = 0

    async def run(self) -> None:
        """Take the census at once and then at intervals, until the lane is empty."""
        while not self._lane.empty:
            await self._gathered()
            try:
                await self._take()
            except Exception as error:  # a response that cannot be read must not end the census
                await self._failed(error)
                continue
            self._failures = 0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lane.arrived.wait(), EVERY)

    async def _gathered(self) -> None:
        """Wait until all runs from before the start have arrived. A later run needs another census."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            self._lane.joined.clear()
            await asyncio.sleep(QUIET)
            if not self._lane.joined.is_set() or asyncio.get_running_loop().time() > deadline:
                return

    async def _take(self) -> None:
        self._lane.arrived.clear()
        before = self._lane.run_ids()
        shown: set[Key] = set()
        token = b""
        while not self._lane.empty:
            rows, token = await self._page(token)
            shown.update(key for row in rows if (key := self._lane.see(row)) is not None)
            await self._rest()
            if not token:
                await self._ask(unshown(before, self._lane.run_ids(), shown))
                await self._settle(shown & before.keys())
                return

    async def _page(self, token: bytes) -> tuple[list[Execution], bytes]:
        """Return a page. If the server throttles the request, retry at a slower pace."""
        while True:
            try:
                return await page(await self._lane.link(), open_now(), token=token, size=PAGE)
            except Throttled as error:
                delay = 2 * self._lane.pace.interval  # the sweeps, which are throttled too, set the pace
                logger.warning("census of %s pauses for %.0f s: %s", self._lane.place[1], delay, error)
                await asyncio.sleep(delay)

    async def _rest(self) -> None:
        """Leave room for other requests, and let the queue of found runs shrink."""
        await asyncio.sleep(PAGE_PAUSE * self._lane.pace.interval)
        while self._lane.owner.backlog > BACKLOG:  # noqa: ASYNC110 - the queue has no event for its length
            await asyncio.sleep(PAGE_PAUSE)

    async def _ask(self, keys: list[Key]) -> None:
        """Describe runs one by one, in portions that keep the queue short."""
        for count, key in enumerate(keys, 1):
            self._lane.expected.discard(key)
            self._lane.owner.refresh(key)
            if count % BACKLOG == 0:
                await self._rest()

    async def _settle(self, keys: set[Key]) -> None:
        """Enqueue expected runs that the list showed and that are not reconciled yet. None waits for another census."""
        for count, key in enumerate(keys & self._lane.expected, 1):
            self._lane.owner.look_again(key)
            if count % BACKLOG == 0:
                await self._rest()

    async def _failed(self, error: Exception) -> None:
        self._failures += 1
        delay = min(2.0**self._failures, LONGEST_BACKOFF)
        exc_info = None if isinstance(error, DurafleetError) else error
        logger.warning(
            "census of %s failed; retrying in %.0f s: %s", self._lane.place[1], delay, error, exc_info=exc_info
        )
        if self._lane.answers and (self._failures >= TRIES or isinstance(error, Refused)):
            await self._ask(list(self._lane.expected))
        await asyncio.sleep(delay)
