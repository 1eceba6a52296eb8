"""The fence: a process whose lease has expired must not write to a server any more.

Such a process may have been paused, starved or disconnected, and not know it. So the lease is checked against the
clock before each call that changes something on a server, and each time that the event loop wakes up, before
anything else runs. If it has expired, the process exits immediately. The whole process has one fence and one lease.
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
"""Exit code of a process that ends because its lease has expired."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that continues while the machine is suspended, if there is one, as the other machines continue too."""
T = TypeVar("T")


def now() -> float:
    """Return the time of the clock for leases."""
    return time.clock_gettime(_CLOCK)


def _die(why: str) -> NoReturn:
    """Exit at once. No handler, no `finally` and no other task may run before."""
    logger.critical("%s; another operator may lead now, so this one exits", why)
    logging.shutdown()
    os._exit(LOST)


class Fence:
    """Lets writes through while they are allowed. Without leader election, they always are."""

    def __init__(self, *, clock: Callable[[], float] = now, die: Callable[[str], NoReturn] = _die) -> None:
        self._clock = clock
        self._die = die
        self._until = math.inf
        self._open = True
        self._under_way = 0
        self._idle = asyncio.Event()

    def hold_until(self, moment: float) -> None:
        """Set the time at which the process ends, unless a later one is set before."""
        self._until = moment

    def open(self) -> None:
        """Let writes through."""
        self._open = True

    def shut(self) -> None:
        """Let no further write begin. An attempt is cancelled."""
        self._open = False

    def check(self) -> None:
        """End the process if the lease has run out."""
        if (late := self._clock() - self._until) >= 0:
            self.end(f"the Lease was not renewed in time and expired {late:.1f} s ago")

    def end(self, why: str) -> NoReturn:
        """End the process, because its lease is lost."""
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
        """Return once every write has its response."""
        if self._under_way:
            await self._idle.wait()


FENCE = Fence()
"""The fence of this process."""


class GuardedSelector(selectors.DefaultSelector):
    """The selector of an event loop in which nothing runs once the lease has expired."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout)
        FENCE.check()
        return ready


def guarded_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that checks the fence."""
    return asyncio.SelectorEventLoop(GuardedSelector())


__all__ = ["FENCE", "LOST", "Fence", "guarded_loop", "now"]
