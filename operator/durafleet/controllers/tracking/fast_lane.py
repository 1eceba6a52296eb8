"""Long-polls for the runs whose end somebody is likely to wait for: an end shows within milliseconds.

The server limits long-polls, and each costs it memory. So only a bounded number of runs has one, and only for a while
after the run was started or its spec changed. Others queue for a long-poll; the sweeps find runs that end earlier.
"""

import asyncio
import logging
from dataclasses import dataclass

from durafleet.controllers.queue.fairness import Band, Waiting, share_of
from durafleet.controllers.tracking.lane import Lane
from durafleet.core.objects import Key
from durafleet.core.places import Target
from durafleet.core.runs.tracking import Close, closed_by, reports_progress
from durafleet.errors import DurafleetError, NotFound, Throttled
from durafleet.temporal.closes import wait_for_close, with_last_words
from durafleet.temporal.connections import Link, Pool

logger = logging.getLogger(__name__)

LONG_POLLS = 256
"""Maximum long-polls per Temporal namespace. Servers allow 1200 by default."""
YOUNG = 120.0
"""Seconds for which a long-poll follows a run."""
LONGEST_BACKOFF = 30.0


@dataclass(frozen=True)
class Wanted:
    """A run to follow with a long-poll, and until when, in seconds of the event loop's clock."""

    target: Target
    until: float


class FastLane:
    """The long-polls of a lane, and the queue for them.

    Workflows of one type end roughly in the order in which they were started. So the run that has waited longest is
    next. But namespaces take turns, and none gets all long-polls.
    """

    def __init__(self, lane: Lane, pool: Pool) -> None:
        self._lane = lane
        self._pool = pool
        self._wanted: dict[Key, Wanted] = {}
        self._line: Waiting[Key] = Waiting(share=share_of(LONG_POLLS))
        self._polls: dict[Key, asyncio.Task[None]] = {}

    def follow(self, key: Key, target: Target, *, anew: bool) -> None:
        """Follow a run for a while. `anew`: its execution is another one than before."""
        if anew:
            self.leave(key)
        now = asyncio.get_running_loop().time()
        self._wanted[key] = Wanted(target, now + YOUNG)
        if key not in self._polls:
            self._line.add(key, Band.FIRST, now=now)
            self._fill()

    def leave(self, key: Key) -> None:
        """Stop following a run."""
        self._wanted.pop(key, None)
        if (poll := self._polls.get(key)) is not None:
            poll.cancel()
            self._end(key)

    def _fill(self) -> None:
        """Start long-polls up to the limit. A run that is no longer followed, or no longer young, needs none."""
        while len(self._polls) < LONG_POLLS and (taken := self._line.take()) is not None:
            if self._remaining(taken.key) > 0:
                self._polls[taken.key] = asyncio.create_task(self._poll(taken.key, self._wanted[taken.key].target))
            else:
                self._wanted.pop(taken.key, None)
                self._line.done(taken.key)

    def _end(self, key: Key) -> None:
        del self._polls[key]
        self._wanted.pop(key, None)
        self._line.done(key)
        self._fill()

    def _give_way(self) -> None:
        """Empty the queue: the server throttles long-polls, and the sweeps cover all runs."""
        self._wanted = {key: wanted for key, wanted in self._wanted.items() if key in self._polls}

    def _remaining(self, key: Key) -> float:
        wanted = self._wanted.get(key)
        return wanted.until - asyncio.get_running_loop().time() if wanted is not None else 0.0

    async def _poll(self, key: Key, target: Target) -> None:
        delay = 1.0
        while self._remaining(key) > 0:
            try:
                if await self._closed(await self._pool.ready(target), key):
                    break
                delay = 1.0
            except NotFound:
                self._lane.owner.refresh(key)
                break
            except Throttled:
                self._give_way()
                break
            except DurafleetError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_BACKOFF)
            except Exception:  # a response that cannot be read; the sweep may succeed
                logger.exception("long-poll of %s/%s failed", *key)
                break
        self._end(key)

    async def _closed(self, link: Link, key: Key) -> bool:
        """Wait for the end of a run and pass it on; tell whether the run has ended."""
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
