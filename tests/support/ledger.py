"""An HTTP server outside the system under test that records the effects of tools, in order."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Ledger:
    """The running ledger.

    Attributes:
        url: where tools POST {"effect": ..., "key": ...}.
        entries: effect and idempotency key of every POST so far, repeats included.
        gates: an event for each effect whose response waits until the event is set.
    """

    url: str
    entries: list[tuple[str, str]] = field(default_factory=list)
    gates: dict[str, threading.Event] = field(default_factory=dict)

    @property
    def effects(self) -> list[str]:
        return [effect for effect, _ in self.entries]


@contextmanager
def ledger(host: str = "127.0.0.1") -> Iterator[Ledger]:
    """Run a ledger on a free port of a local address."""
    server = ThreadingHTTPServer((host, 0), _Handler)
    running = Ledger(url=f"http://{host}:{server.server_port}/effects")
    server.ledger = running  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        for gate in running.gates.values():
            gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        entry = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ledger: Ledger = self.server.ledger  # type: ignore[attr-defined]
        ledger.entries.append((entry["effect"], entry["key"]))
        if gate := ledger.gates.get(entry["effect"]):
            gate.wait(60)
        try:
            self.send_response(204)
            self.end_headers()
        except OSError:  # the client was killed
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Log nothing."""
