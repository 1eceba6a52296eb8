"""Waits until a condition holds, with a deadline."""

import asyncio
import time
from collections.abc import Callable

_INTERVAL = 0.05


async def until(condition: Callable[[], bool], *, what: str, within: float = 60) -> None:
    """Return once the condition holds.

    Raises:
        TimeoutError: the condition did not hold in time; the message has the condition.
    """
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"timed out after {within:g} s waiting until {what}")
        await asyncio.sleep(_INTERVAL)
