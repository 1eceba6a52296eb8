"""Receive Temporal's callbacks. Each is only a hint to reconcile a run.

Anybody who can reach the port can send one. So a callback must be signed, and its content is ignored: the operator
reads the state of the run from Temporal.

Callbacks have a port of their own, because only the leader listens on it. Any response of a standby would be harmful:
Temporal takes an error for a broken address, and soon stops calling it.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum

from aiohttp import web
from prometheus_client import Counter

from durafleet.core.runs.callbacks import PATH, SIGNATURE_HEADER, WORKFLOW_HEADER, CallbackAddress


class Outcome(StrEnum):
    """The outcome of a callback. `EARLY`: the AgentRuns are not known yet. `UNKNOWN`: no such run, or it has ended."""

    LOOKED = "looked"
    UNKNOWN = "unknown"
    EARLY = "early"
    FORGED = "forged"
    OVERSIZED = "oversized"


BODY_LIMIT = 4 * 2**20
"""In bytes. Temporal's messages are not larger."""
RECEIVED = Counter("durafleet_callbacks_total", "Callbacks from Temporal, by outcome.", ["outcome"])
_STATUS = {
    Outcome.LOOKED: 200,
    Outcome.UNKNOWN: 200,  # there is nothing to do, so Temporal need not repeat it
    Outcome.EARLY: 503,
    Outcome.FORGED: 403,
    Outcome.OVERSIZED: 413,
}


class CallbackReceiver:
    """The endpoint that Temporal calls when a run ends.

    Args:
        knows: returns whether this operator knows its AgentRuns yet.
        look: enqueues the run of a workflow; returns whether there is such a run.
    """

    def __init__(self, address: CallbackAddress, *, knows: Callable[[], bool], look: Callable[[str], bool]) -> None:
        self._address, self._knows, self._look = address, knows, look

    def app(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.add_routes([web.post(PATH, self._receive)])
        return app

    async def run(self, *, host: str, port: int) -> None:
        """Serve until cancelled. Calls in progress are then cut off, and Temporal repeats them."""
        runner = web.AppRunner(self.app(), access_log=None, handle_signals=False, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        outcome = await self._outcome(request)
        RECEIVED.labels(outcome).inc()
        return web.Response(status=_STATUS[outcome], text=f"{outcome}\n")

    async def _outcome(self, request: web.Request) -> Outcome:
        workflow = request.headers.get(WORKFLOW_HEADER, "")
        if not self._address.signed(workflow, request.headers.get(SIGNATURE_HEADER, "")):
            return Outcome.FORGED
        try:
            await request.read()  # only so that the sender can complete its request
        except web.HTTPRequestEntityTooLarge:
            return Outcome.OVERSIZED
        if not self._knows():
            return Outcome.EARLY
        return Outcome.LOOKED if self._look(workflow) else Outcome.UNKNOWN
