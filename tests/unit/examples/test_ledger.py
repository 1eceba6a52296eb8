"""The ledger of examples/custom-tools: one entry for each key, and the validation of requests."""

import http.client
import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dev.cluster.layout import ROOT

SOURCE = ROOT / "examples/custom-tools/ledger.py"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("example_ledger", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a ledger that holds three entries."""
    module = load(SOURCE)
    handler = type("Handler", (module.Handler,), {"ledger": module.Ledger(limit=3), "timeout": 1})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def call(port: int, method: str, path: str, *, body: bytes = b"", **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, path)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def post(port: int, effect: object, key: str) -> tuple[int, Any]:
    body = json.dumps({"effect": effect, "key": "ignored"}).encode()
    return call(port, "POST", "/effects", body=body, Content_Length=str(len(body)), Idempotency_Key=key)


def test_a_repeated_key_adds_no_entry(port: int):
    assert post(port, "paid", "run/1") == (201, {"effect": "paid", "key": "run/1", "repeats": 0})
    assert post(port, "paid", "run/1") == (200, {"effect": "paid", "key": "run/1", "repeats": 1})
    post(port, "paid", "run/2")
    assert call(port, "GET", "/effects") == (
        200,
        [{"effect": "paid", "key": "run/1", "repeats": 1}, {"effect": "paid", "key": "run/2", "repeats": 0}],
    )


def test_a_repeated_key_with_another_effect_is_refused(port: int):
    post(port, "paid", "run/1")
    status, answer = post(port, "shipped", "run/1")
    assert (status, answer["error"]) == (422, "this Idempotency-Key belongs to another effect")


def test_a_full_ledger_accepts_only_repeated_keys(port: int):
    assert [post(port, "paid", str(n))[0] for n in range(4)] == [201, 201, 201, 507]
    assert post(port, "paid", "0")[0] == 200
    assert len(call(port, "GET", "/effects")[1]) == 3


def test_a_new_ledger_is_ready_and_empty(port: int):
    assert call(port, "GET", "/healthz") == (200, "ok")
    assert call(port, "GET", "/effects") == (200, [])


@pytest.mark.parametrize(
    ("length", "status"),
    [(None, 411), ("", 411), ("-1", 411), ("+5", 411), ("1_0", 411), ("x", 411), ("4097", 413), ("9" * 5000, 413)],
)
def test_the_length_of_the_body_is_checked_before_it_is_read(port: int, length: str | None, status: int):
    headers = {} if length is None else {"Content_Length": length}
    assert call(port, "POST", "/effects", Idempotency_Key="k", **headers)[0] == status


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 4000, b"null", b"[]", b"{}", b'{"effect": 7}', b'{"effect": ""}', b'{"effect": null}',
     b'{"effect": "' + b"x" * 201 + b'"}'],
)  # fmt: skip
def test_a_body_without_a_valid_effect_is_refused(port: int, body: bytes):
    assert call(port, "POST", "/effects", body=body, Content_Length=str(len(body)), Idempotency_Key="k")[0] == 400


@pytest.mark.parametrize("key", ["", "k" * 513])
def test_a_missing_or_long_key_is_refused(port: int, key: str):
    assert post(port, "paid", key)[0] == 400


def test_an_unknown_path_is_not_found(port: int):
    assert call(port, "GET", "/")[0] == 404
    assert call(port, "POST", "/", Content_Length="0")[0] == 404


def test_input_from_a_client_stays_in_one_line_of_the_log(port: int, capsys: pytest.CaptureFixture[str]):
    assert post(port, 'a"\nrecorded "b\x1b[31m', "k")[0] == 201
    (line,) = capsys.readouterr().out.splitlines()
    assert line == 'recorded "a\\"\\nrecorded \\"b\\u001b[31m" "k"'


def test_a_client_that_sends_too_little_is_disconnected_and_others_are_served(port: int):
    slow = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    slow.putrequest("POST", "/effects")
    slow.putheader("Content-Length", "100")
    slow.endheaders(b"{")
    assert post(port, "paid", "k")[0] == 201
    with pytest.raises(http.client.RemoteDisconnected):
        slow.getresponse()
    slow.close()
