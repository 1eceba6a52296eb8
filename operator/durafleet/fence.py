"""The right to write, and its end: a process whose lease has run out must not reach a server once more.

Such a process may have been paused, starved or cut off, and not know it. So the lease is held against the clock
before each call that changes something on a server, and each time that the event loop wakes up, before anything
else runs. If it has run out, the process ends there and then. There is one fence, as there is one lease, for the
whole process.
"""

import asyncio
import logging
import math
import os
import selectors
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import NoReturn, TypeVar

logger = logging.getLogger(__name__)

LOST = 3
"""Exit code of a process that ends because its lease ran out."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine is suspended, where there is such a clock: the other machines go on, too."""
T = TypeVar("T")


def now() -> float:
    """Return the time by the clock that leases are held against."""
    return time.clock_gettime(_CLOCK)


def _die(why: str) -> NoReturn:
    """End here: no handler, no finally and no other task may come in between."""
    logger.critical("%s; another operator may lead by now, so this one ends", why)
    logging.shutdown()
    os._exit(LOST)


class Fence:
    """Lets writes through while they are allowed; without an election always."""

    def __init__(self, *, clock: Callable[[], float] = now, die: Callable[[str], NoReturn] = _die) -> None:
        self._clock = clock
        self._die = die
        self._until = math.inf
        self._open = True
        self._under_way = 0
        self._idle = asyncio.Event()

    def hold_until(self, moment: float) -> None:
        """Set the moment that ends the process, if it comes before a later one is set."""
        self._until = moment

    def open(self) -> None:
        """Let writes through."""
        self._open = True

    def shut(self) -> None:
        """Let no further write begin; one that is tried is cancelled."""
        self._open = False

    def check(self) -> None:
        """End the process if the lease has run out."""
        if (late := self._clock() - self._until) >= 0:
            self.end(f"the Lease was not renewed in time, {late:.1f} s ago it ran out")

    def end(self, why: str) -> NoReturn:
        """End the process: its lease is lost."""
        self._die(why)

    async def through(self, write: Awaitable[T]) -> T:
        """Await a call that changes something on a server."""
        self.check()
        if not self._open:
            if isinstance(write, Coroutine):
                write.close()
            raise asyncio.CancelledError("the operator no longer writes")
        self._under_way += 1
        self._idle.clear()
        try:
            return await write
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def settled(self) -> None:
        """Return once the answer of each write is there."""
        if self._under_way:
            await self._idle.wait()


FENCE = Fence()
"""This process's."""


class GuardedSelector(selectors.DefaultSelector):
    """Waits for an event loop, and lets nothing run in it once the lease has run out."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout)
        FENCE.check()
        return ready


def guarded_loop() -> asyncio.AbstractEventLoop:
    """Make an event loop that is guarded by the fence."""
    return asyncio.SelectorEventLoop(GuardedSelector())


__all__ = ["FENCE", "LOST", "Fence", "guarded_loop", "now"]
