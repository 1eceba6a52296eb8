"""Standing by, leading and letting go: the loop around the Lease, so that one operator of several acts.

Crash-only: a leader that cannot renew does not wind down, it ends (see `fence`). What it left half done, the
next one finds as after any other crash.
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
"""Seconds that one request for the Lease may take: short, so that another one fits in before the leader gives up."""

LEADER = Gauge("durafleet_leader", "1 while this operator leads, 0 while it stands by.")
TRANSITIONS = Gauge("durafleet_lease_transitions", "How often the leader has changed, as the Lease says.")


class Leadership:
    """One candidate for a Lease.

    Args:
        lease: what decides.
        me: the candidate's name; no other process may ever have it.
        fence: is open while the candidate leads.
        clock: the one that the fence uses.
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
        self._doubtful = True  # what was seen may be out of date: look before the next write
        self._trouble: str | None = "the Lease was not read yet"
        self._still = True
        self.leads = False
        fence.shut()
        LEADER.set(0)

    @property
    def standing(self) -> tuple[bool, str]:
        """Whether the candidate is fit to lead when its turn comes, and words for people."""
        if self._trouble is not None:
            return False, f"standby: {self._trouble}"
        record = self._seen.record if self._seen is not None else None
        return True, f"standby: {(record.holder if record is not None else '') or 'nobody'} leads"

    async def acquire(self) -> None:
        """Stand by until it is this candidate that leads."""
        logger.info("standing by for Lease %s/%s as %s", self._lease.namespace, self._lease.name, self._me)
        await self._turn()
        while not self.leads:
            await asyncio.sleep(self._terms.look_every)
            await self._turn()

    async def keep(self) -> None:
        """Renew until cancelled; the fence ends the process if that does not succeed in time."""
        while True:
            await asyncio.sleep(self._terms.look_every / 2 if self._doubtful else self._terms.renew_every)
            await self._turn()

    async def hold_still(self) -> None:
        """Begin no further write, and wait a moment for the answers of those that are under way."""
        self._fence.shut()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._fence.settled()
        except TimeoutError:
            self._still = False

    async def release(self) -> None:
        """Let the next candidate lead at once; to be called when nothing acts any more."""
        if not self._still:
            logger.warning("the Lease is not released, and runs out by itself: a write has had no answer yet")
            return
        try:
            async with asyncio.timeout(PATIENCE):
                while (record := await self._lease.read()) is not None and record.holder == self._me:
                    with contextlib.suppress(Conflict):  # a renewal that was cancelled has arrived nevertheless
                        await self._lease.write(released(record, wall=self._wall()))
        except (DurafleetError, TimeoutError) as error:
            logger.warning("the Lease is not released, and runs out by itself: %s", error or "no answer in time")
            return
        logger.info("the Lease is free")

    async def _turn(self) -> None:
        """Look and write once, as far as both are called for."""
        try:
            async with asyncio.timeout(PATIENCE):
                if self._seen is None or self._doubtful:
                    self._see(await self._lease.read())
                await self._act()
            self._note(None)
        except Conflict:  # somebody else was faster; the next look shows who
            self._doubtful = True
        except (DurafleetError, TimeoutError) as error:  # what was written may be there nevertheless
            self._doubtful = True
            self._note(f"no answer about the Lease: {error}" if str(error) else "no answer about the Lease in time")

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
                if not self.leads:  # a renewal must not open what was shut to stop
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
