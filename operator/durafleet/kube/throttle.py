"""An API server that asks for time gets it from the whole client, not from each request that finds out by itself."""

import asyncio
import random
import time

USUAL_PAUSE = 1.0
LONGEST_PAUSE = 10.0
"""Most seconds that all wait: the request that was refused comes back only when it was told to."""
SPREAD = 0.25
"""By how much of the pause, at most, those that waited are late: they must not come back as one."""


class Throttle:
    """A pause that all requests of a client keep."""

    def __init__(self) -> None:
        self._until = 0.0

    def note(self, retry_after: float | None) -> None:
        """Take in that the API server has too many requests."""
        pause = min(retry_after if retry_after is not None else USUAL_PAUSE, LONGEST_PAUSE)
        self._until = max(self._until, time.monotonic() + pause)

    async def passed(self) -> None:
        """Return once the API server may be asked again."""
        while (left := self._until - time.monotonic()) > 0:  # noqa: ASYNC110 - a time to wait for, not an event
            await asyncio.sleep(left * (1 + SPREAD * random.random()))  # noqa: S311 - jitter, not a secret
