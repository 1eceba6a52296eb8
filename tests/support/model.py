"""A scripted model behind the chat completions API of real models.

The prompt selects the script. The conversation in the request determines the step, so a repeated request gets the
same step from any worker.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Step:
    """One response of the model.

    Attributes:
        text: the text of the response.
        calls: the tool calls, each with its arguments.
        answer: the structured output, for agents with an output schema.
        statuses: HTTP error statuses of the first requests for this step; later requests succeed.
        retry_after: the Retry-After header of the errors.
        error: the error in the body of the errors.
        gate: the response waits until this event is set.
    """

    text: str | None = None
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    answer: dict[str, Any] | None = None
    statuses: tuple[int, ...] = ()
    retry_after: str | None = None
    error: dict[str, Any] = field(default_factory=lambda: {"message": "no luck", "type": "scripted"})
    gate: threading.Event | None = None


def says(text: str) -> Step:
    return Step(text=text)


def calls(tool: str, **arguments: Any) -> Step:
    return Step(calls=((tool, arguments),))


@dataclass
class ModelServer:
    """The running server.

    Attributes:
        url: the base URL for an agent.
        requests: the body of each request so far.
        keys: the API key of each request so far.
    """

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    _scripts: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    _tries: dict[tuple[str, int], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, prompt: str, *steps: Step) -> None:
        """Respond with these steps to the conversation that starts with `prompt`; the last step repeats."""
        self._scripts[prompt] = steps

    def asked(self, prompt: str) -> int:
        """Return the number of requests of the conversation that starts with `prompt`."""
        return sum(_prompt(body) == prompt for body in self.requests)

    def answer(self, body: dict[str, Any], key: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Return status, headers and body of the response."""
        prompt = _prompt(body)
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        with self._lock:
            self.requests.append(body)
            self.keys.append(key)
            tries = self._tries[prompt, turn] = self._tries.get((prompt, turn), 0) + 1
        steps = self._scripts.get(prompt) or (says(f"You said: {prompt}"),)
        step = steps[min(turn, len(steps) - 1)]
        if step.gate is not None:
            step.gate.wait(60)
        if tries <= len(step.statuses):
            headers = {"Retry-After": step.retry_after} if step.retry_after else {}
            return step.statuses[tries - 1], headers, {"error": step.error}
        return 200, {}, _completion(step, body, turn)


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """Run a model server on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    model = ModelServer(url=f"http://127.0.0.1:{server.server_port}/v1")
    server.model = model  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status, headers, answer = self.server.model.answer(body, key)  # type: ignore[attr-defined]
        content = json.dumps(answer).encode()
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:  # the client has disconnected: a killed worker, or an attempt that timed out
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _prompt(body: dict[str, Any]) -> str:
    content = next(message["content"] for message in body["messages"] if message["role"] == "user")
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _completion(step: Step, body: dict[str, Any], turn: int) -> dict[str, Any]:
    wanted = list(step.calls)
    if step.answer is not None:
        names = [tool["function"]["name"] for tool in body.get("tools", [])]
        wanted.append((next(name for name in names if name.startswith("final_result")), step.answer))
    message: dict[str, Any] = {"role": "assistant", "content": step.text}
    if wanted:
        message["tool_calls"] = [
            {"id": f"call_{turn}_{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
            for i, (name, args) in enumerate(wanted)
        ]
    return {
        "id": f"completion-{turn}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if wanted else "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
