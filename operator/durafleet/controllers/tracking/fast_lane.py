"""Long-polls for the runs of which somebody is likely to wait: an end shows within milliseconds.

The server caps them, and each costs it memory. So only a bounded number of runs has one, and only for a while
after it was started or something was asked of it. Others wait for one that ends; the sweeps find what ends first.
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
"""Most long-polls per Temporal namespace; servers allow 1200 by default."""
YOUNG = 120.0
"""Seconds for which a run is followed by a long-poll."""
LONGEST_BACKOFF = 30.0


@dataclass(frozen=True)
class Wanted:
    """A run that is to be followed, and until when: seconds of the event loop's clock."""

    target: Target
    until: float


class FastLane:
    """The long-polls of a lane, and who waits for one.

    Workflows of one kind end more or less in the order in which they were started. So the run that has waited
    longest is next; but namespaces take turns, and none has all.
    """

    def __init__(self, lane: Lane, pool: Pool) -> None:
        self._lane = lane
        self._pool = pool
        self._wanted: dict[Key, Wanted] = {}
        self._line: Waiting[Key] = Waiting(share=share_of(LONG_POLLS))
        self._polls: dict[Key, asyncio.Task[None]] = {}

    def follow(self, key: Key, target: Target, *, anew: bool) -> None:
        """Follow a run for a while; `anew` if its execution is another one than before."""
        if anew:
            self.leave(key)
        now = asyncio.get_running_loop().time()
        self._wanted[key] = Wanted(target, now + YOUNG)
        if key not in self._polls:
            self._line.add(key, Band.FIRST, now=now)
            self._fill()

    def leave(self, key: Key) -> None:
        """Follow a run no more."""
        self._wanted.pop(key, None)
        if (poll := self._polls.get(key)) is not None:
            poll.cancel()
            self._end(key)

    def _fill(self) -> None:
        """Begin the long-polls for which there is room; who was left meanwhile, or is young no more, needs none."""
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
        """Let nobody wait any more: the server refuses long-polls, and the sweeps serve all."""
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
            except Exception:  # an answer that we cannot read; the sweep may do better
                logger.exception("long-poll of %s/%s broke", *key)
                break
        self._end(key)

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
