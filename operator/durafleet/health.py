"""The endpoints /livez, /readyz and /metrics."""

import asyncio
import time
from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

LAG_LIMIT = 10.0
"""Seconds that the event loop may be late before the liveness probe fails."""
_TICK = 1.0
LOOP_LAG = Gauge("durafleet_loop_lag_seconds", "How late the event loop was at its last tick.")


class Health:
    """The HTTP server of the probes.

    Args:
        ready: returns whether the operator is ready, and a message.
        details: returns the limitations of an operator that is ready, one per line.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        ready: Callable[[], tuple[bool, str]],
        details: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._host, self._port, self._ready, self._details = host, port, ready, details
        self._ticked = time.monotonic()

    async def run(self) -> None:
        """Serve until cancelled."""
        app = web.Application()
        app.add_routes(
            [web.get("/livez", self._livez), web.get("/readyz", self._readyz), web.get("/metrics", self._metrics)]
        )
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
            while True:
                await asyncio.sleep(_TICK)
                LOOP_LAG.set(max(time.monotonic() - self._ticked - _TICK, 0.0))
                self._ticked = time.monotonic()
        finally:
            await runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        late = time.monotonic() - self._ticked - _TICK
        if late > LAG_LIMIT:
            return web.Response(status=500, text=f"the event loop is {late:.1f} s late\n")
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        ready, words = self._ready()
        lines = (words, *self._details()) if ready else (words,)
        return web.Response(status=200 if ready else 503, text="".join(f"{line}\n" for line in lines))

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
