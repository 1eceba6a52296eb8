"""Receiving Temporal's callbacks: each is a hint to look at a run, and nothing more.

Whoever reaches the port can send one. So it must be signed, and what it claims is not read: the operator asks
Temporal itself what has become of the run.

The port is one of its own because only an operator that acts listens there. A standby that answered, whatever it said,
would be in the way: Temporal takes an error for a broken address, and soon calls it no more.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum

from aiohttp import web
from prometheus_client import Counter

from durafleet.core.runs.callbacks import PATH, SIGNATURE_HEADER, WORKFLOW_HEADER, CallbackAddress


class Outcome(StrEnum):
    """What became of a callback; `EARLY` before the AgentRuns are known, `UNKNOWN` also if the end is settled."""

    LOOKED = "looked"
    UNKNOWN = "unknown"
    EARLY = "early"
    FORGED = "forged"
    OVERSIZED = "oversized"


BODY_LIMIT = 4 * 2**20
"""Bytes; Temporal's messages are no larger."""
RECEIVED = Counter("durafleet_callbacks_total", "Temporal's callbacks by what became of them.", ["outcome"])
_STATUS = {
    Outcome.LOOKED: 200,
    Outcome.UNKNOWN: 200,  # there is nothing to do: Temporal need not come again
    Outcome.EARLY: 503,
    Outcome.FORGED: 403,
    Outcome.OVERSIZED: 413,
}


class CallbackReceiver:
    """What Temporal calls when a run ends.

    Args:
        knows: whether this operator knows its AgentRuns by now.
        look: looks at the run of a workflow soon; tells whether there is such a run.
    """

    def __init__(self, address: CallbackAddress, *, knows: Callable[[], bool], look: Callable[[str], bool]) -> None:
        self._address, self._knows, self._look = address, knows, look

    def app(self) -> web.Application:
        """Return what is to be served."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.add_routes([web.post(PATH, self._receive)])
        return app

    async def run(self, *, host: str, port: int) -> None:
        """Serve until cancelled; calls that are being answered then are cut off, and come again."""
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
            await request.read()  # only so that the sender gets rid of it
        except web.HTTPRequestEntityTooLarge:
            return Outcome.OVERSIZED
        if not self._knows():
            return Outcome.EARLY
        return Outcome.LOOKED if self._look(workflow) else Outcome.UNKNOWN
