"""When the API server asks for a pause, the whole client pauses, not only the request that was throttled."""

import asyncio
import random
import time

USUAL_PAUSE = 1.0
LONGEST_PAUSE = 10.0
"""Maximum seconds that all requests wait. The throttled request itself waits as long as the server asked for."""
SPREAD = 0.25
"""Maximum jitter, as a fraction of the pause, so that the waiting requests are not all sent at once."""


class Throttle:
    """A pause of all requests of a client."""

    def __init__(self) -> None:
        self._until = 0.0

    def note(self, retry_after: float | None) -> None:
        """Record that the API server has too many requests."""
        pause = min(retry_after if retry_after is not None else USUAL_PAUSE, LONGEST_PAUSE)
        self._until = max(self._until, time.monotonic() + pause)

    async def passed(self) -> None:
        """Return once the pause is over."""
        while (left := self._until - time.monotonic()) > 0:  # noqa: ASYNC110 - a time to wait for, not an event
            await asyncio.sleep(left * (1 + SPREAD * random.random()))  # noqa: S311 - jitter, not a secret
