"""Long-polls for the runs of which somebody is likely to wait: an end shows within milliseconds.

The server caps them, and each costs it memory. So only a bounded number of runs has one, and only for a while
after it was started or something was asked of it; the sweeps find the others.
"""

import asyncio
import logging

from durafleet.controllers.lane import Lane
from durafleet.core.execution import Target
from durafleet.core.objects import Key
from durafleet.core.tracking import Close, closed_by, reports_progress
from durafleet.errors import DurafleetError, NotFound, Throttled
from durafleet.temporal.closes import wait_for_close, with_last_words
from durafleet.temporal.connections import Link, Pool

logger = logging.getLogger(__name__)

LONG_POLLS = 256
"""Most long-polls per Temporal namespace; servers allow 1200 by default."""
YOUNG = 120.0
"""Seconds for which a run is followed by a long-poll."""
LONGEST_BACKOFF = 30.0


class FastLane:
    """The long-polls of a lane."""

    def __init__(self, lane: Lane, pool: Pool) -> None:
        self._lane = lane
        self._pool = pool
        self._polls: dict[Key, asyncio.Task[None]] = {}
        self._until: dict[Key, float] = {}

    def follow(self, key: Key, target: Target, *, anew: bool) -> None:
        """Follow a run for a while; `anew` if its execution is another one than before."""
        if anew:
            self.leave(key)
        if key not in self._polls and len(self._polls) >= LONG_POLLS:
            return
        self._until[key] = asyncio.get_running_loop().time() + YOUNG
        if key not in self._polls:
            self._polls[key] = asyncio.create_task(self._poll(key, target))

    def leave(self, key: Key) -> None:
        """Follow a run no more."""
        self._until.pop(key, None)
        if (poll := self._polls.pop(key, None)) is not None:
            poll.cancel()

    async def _poll(self, key: Key, target: Target) -> None:
        delay = 1.0
        while asyncio.get_running_loop().time() < self._until.get(key, 0.0):
            try:
                if await self._closed(await self._pool.ready(target), key):
                    break
                delay = 1.0
            except NotFound:
                self._lane.owner.refresh(key)
                break
            except Throttled:
                break  # it gives way to the sweep, which serves all
            except DurafleetError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_BACKOFF)
            except Exception:  # an answer that we cannot read; the sweep may do better
                logger.exception("long-poll of %s/%s broke", *key)
                break
        self._until.pop(key, None)
        self._polls.pop(key, None)

    async def _closed(self, link: Link, key: Key) -> bool:
        """Wait for the end of a run, and hand it on; tell whether it has come."""
        followed = self._lane.open[key]
        close = await wait_for_close(link, followed.execution)
        if close is None:
            return False
        await self._take_in(link, key, close)
        return True

    async def _take_in(self, link: Link, key: Key, close: Close) -> None:
        followed = self._lane.open.get(key)
        closed = closed_by(followed.execution, close) if followed is not None else None
        if closed is not None and (reports_progress(closed) or closed.type in self._lane.reporting):
            closed = await with_last_words(link, closed)
        if closed is None:
            self._lane.owner.refresh(key)
        else:
            self._lane.see(closed)
