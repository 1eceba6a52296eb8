"""Stand by, lead and release: the loop around the Lease, so that only one of several operators acts.

Crash-only: a leader that cannot renew the Lease does not shut down, it exits (see `fence`). The next leader finds
unfinished work as after any other crash.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime

from prometheus_client import Gauge

from durafleet.controllers.world import utc_now
from durafleet.core.leading.lease import (
    TERMS,
    Acquire,
    Record,
    Renew,
    Sighting,
    Terms,
    Wait,
    believed_until,
    decide,
    observe,
    released,
)
from durafleet.errors import Conflict, DurafleetError
from durafleet.fence import Fence
from durafleet.kube.lease import Lease

logger = logging.getLogger(__name__)

PATIENCE = 2.0
"""Timeout in seconds of one request for the Lease. It is short, so that another fits in before the leader gives up."""

LEADER = Gauge("durafleet_leader", "1 while this operator leads, 0 while it is on standby.")
TRANSITIONS = Gauge("durafleet_lease_transitions", "Number of leader changes recorded in the Lease.")


class Leadership:
    """One candidate for a Lease.

    Args:
        lease: the Lease that names the leader.
        me: the candidate's name. No other process may ever have it.
        fence: open while the candidate leads.
        clock: the clock of the fence.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        me: str,
        fence: Fence,
        clock: Callable[[], float],
        wall: Callable[[], datetime] = utc_now,
        terms: Terms = TERMS,
    ) -> None:
        self._lease = lease
        self._me = me
        self._fence = fence
        self._clock = clock
        self._wall = wall
        self._terms = terms
        self._seen: Sighting | None = None
        self._doubtful = True  # the record may be out of date: read it before the next write
        self._trouble: str | None = "the Lease has not been read yet"
        self._still = True
        self.leads = False
        fence.shut()
        LEADER.set(0)

    @property
    def standing(self) -> tuple[bool, str]:
        """Whether the candidate could become the leader, and a message."""
        if self._trouble is not None:
            return False, f"standby: {self._trouble}"
        record = self._seen.record if self._seen is not None else None
        return True, f"standby: {(record.holder if record is not None else '') or 'nobody'} leads"

    async def acquire(self) -> None:
        """Stand by until this candidate leads."""
        logger.info("standing by for Lease %s/%s as %s", self._lease.namespace, self._lease.name, self._me)
        await self._turn()
        while not self.leads:
            await asyncio.sleep(self._terms.look_every)
            await self._turn()

    async def keep(self) -> None:
        """Renew the Lease until cancelled. If that fails for too long, the fence ends the process."""
        while True:
            await asyncio.sleep(self._terms.look_every / 2 if self._doubtful else self._terms.renew_every)
            await self._turn()

    async def hold_still(self) -> None:
        """Begin no further write, and wait a short time for the responses to writes in progress."""
        self._fence.shut()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._fence.settled()
        except TimeoutError:
            self._still = False

    async def release(self) -> None:
        """Release the Lease, so that the next candidate can lead at once. Call it when nothing acts any more."""
        if not self._still:
            logger.warning("the Lease is not released and expires by itself: a write has had no response yet")
            return
        try:
            async with asyncio.timeout(PATIENCE):
                while (record := await self._lease.read()) is not None and record.holder == self._me:
                    with contextlib.suppress(Conflict):  # a cancelled renewal has reached the server nevertheless
                        await self._lease.write(released(record, wall=self._wall()))
        except (DurafleetError, TimeoutError) as error:
            logger.warning("the Lease is not released and expires by itself: %s", error or "no response in time")
            return
        logger.info("the Lease is released")

    async def _turn(self) -> None:
        """Read and write the Lease once, as far as necessary."""
        try:
            async with asyncio.timeout(PATIENCE):
                if self._seen is None or self._doubtful:
                    self._see(await self._lease.read())
                await self._act()
            self._note(None)
        except Conflict:  # another candidate was faster; the next read shows which one
            self._doubtful = True
        except (DurafleetError, TimeoutError) as error:  # the write may have succeeded nevertheless
            self._doubtful = True
            self._note(
                f"the request for the Lease failed: {error}" if str(error) else "the request for the Lease timed out"
            )

    async def _act(self) -> None:
        assert self._seen is not None
        sent = self._clock()
        decision = decide(self._seen, me=self._me, now=sent, wall=self._wall(), terms=self._terms)
        if self.leads and not isinstance(decision, Renew):
            self._fence.end("the Lease was taken, released or deleted by somebody else")
        match decision:
            case Wait():
                self._doubtful = True
            case Acquire(record=record) | Renew(record=record):
                self._see(await self._lease.write(record))
                self._fence.hold_until(believed_until(sent, terms=self._terms))
                if not self.leads:  # a renewal must not reopen a fence that was shut for a stop
                    self._lead()

    def _lead(self) -> None:
        self.leads = True
        self._fence.open()
        LEADER.set(1)
        logger.info("leading as %s", self._me)

    def _see(self, record: Record | None) -> None:
        self._seen = observe(self._seen, record, now=self._clock())
        self._doubtful = False
        if record is not None:
            TRANSITIONS.set(record.transitions)

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self._trouble:
            logger.warning("%s", trouble)
        self._trouble = trouble
