"""Waiting for something to become true, with a deadline instead of luck."""

import asyncio
import time
from collections.abc import Callable

_INTERVAL = 0.05


async def until(condition: Callable[[], bool], *, what: str, within: float = 60) -> None:
    """Return once the condition holds.

    Raises:
        TimeoutError: it never did; the message says what was waited for.
    """
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s in vain until {what}")
        await asyncio.sleep(_INTERVAL)
