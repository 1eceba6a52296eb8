"""The ledger that record_effect writes to: a small HTTP service, standard library only.

POST /effects   {"effect": "paid"} with an Idempotency-Key: recorded once for each key
GET  /effects   a list of all entries; "repeats" counts the requests that found the entry there
GET  /healthz   for the readiness probe

It stands for a service of yours. Its entries are in memory: a restart loses them.
"""

import json
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8080
MAX_BODY, MAX_KEY, MAX_EFFECT = 4096, 512, 200
MAX_ENTRIES = 1000


class Refused(Exception):
    """The request cannot be served; the response has this status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Entry:
    effect: str
    key: str
    repeats: int = 0


class Ledger:
    """One entry for each idempotency key, in the order of arrival."""

    def __init__(self, limit: int = MAX_ENTRIES) -> None:
        self._limit = limit
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def record(self, effect: str, key: str) -> tuple[int, dict[str, object]]:
        """Return 201 and a new entry, or 200 and the entry that an earlier request with this key made."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                if len(self._entries) >= self._limit:
                    raise Refused(507, f"the ledger is full: {self._limit} entries")
                entry = self._entries[key] = Entry(effect, key)
                return 201, asdict(entry)
            if entry.effect != effect:
                raise Refused(422, "this Idempotency-Key belongs to another effect")
            entry.repeats += 1
            return 200, asdict(entry)

    def entries(self) -> list[dict[str, object]]:
        with self._lock:
            return [asdict(entry) for entry in self._entries.values()]


class Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds; a client that sends nothing does not hold a thread for longer
    ledger = Ledger()

    def do_GET(self) -> None:
        if self.path == "/effects":
            entries = ",\n".join(json.dumps(entry) for entry in self.ledger.entries())
            self.reply(200, f"[\n{entries}\n]\n")
        elif self.path == "/healthz":
            self.reply(200, '"ok"\n')
        else:
            self.refuse(Refused(404, "there are only /effects and /healthz"))

    def do_POST(self) -> None:
        try:
            if self.path != "/effects":
                raise Refused(404, "POST goes to /effects")
            effect, key = self.read()
            status, entry = self.ledger.record(effect, key)
        except Refused as error:
            log("refused", str(error))
            self.refuse(error)
        else:
            log("recorded" if status == 201 else "repeated", effect, key)
            self.reply(status, json.dumps(entry) + "\n")

    def read(self) -> tuple[str, str]:
        """Return the effect and the idempotency key of a POST."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise Refused(411, "Content-Length is missing")
        if len(length) > 9 or int(length) > MAX_BODY:
            raise Refused(413, f"the body is longer than {MAX_BODY} bytes")
        content = self.rfile.read(int(length))
        key = self.headers.get("Idempotency-Key", "")
        if not 0 < len(key) <= MAX_KEY:
            raise Refused(400, f"Idempotency-Key needs 1 to {MAX_KEY} characters")
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON") from None
        effect = body.get("effect") if isinstance(body, dict) else None
        if not isinstance(effect, str) or not 0 < len(effect) <= MAX_EFFECT:
            raise Refused(400, f'"effect" has to be a string of 1 to {MAX_EFFECT} characters')
        return effect, key

    def refuse(self, error: Refused) -> None:
        self.reply(error.status, json.dumps({"error": str(error)}) + "\n")

    def reply(self, status: int, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log effects only, not each request."""


def log(what: str, *values: str) -> None:
    """Write one line, at once; as JSON a client's line breaks and control characters do no harm."""
    sys.stdout.write(" ".join([what, *map(json.dumps, values)]) + "\n")
    sys.stdout.flush()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # process 1 of a container has no default for it
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()


if __name__ == "__main__":
    main()
