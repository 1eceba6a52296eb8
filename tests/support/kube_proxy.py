"""A proxy in front of the API server in which tests inject faults: plain HTTP for the operator, watches as streams."""

import re
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from aiohttp import ClientResponse, ClientSession, web
from multidict import CIMultiDict

from tests.support.faults import Call, Drop, Fault, Moment, Reply, Script, Server

_RESOURCE = re.compile(
    r"(?:/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/[^/]+)?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>.+))?)?"
)
_OWN_HEADERS = {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
"""Set by each hop."""
_REASONS = {403: "Forbidden", 409: "Conflict", 410: "Expired", 429: "TooManyRequests", 500: "InternalError"}


def signature_of(method: str, path: str, query: Mapping[str, str]) -> str:
    """Return the verb, resource and subresource of a request; for other paths, the method and the path."""
    found = _RESOURCE.fullmatch(path)
    if found is None:
        return f"{method} {path}"
    verb = method
    if query.get("watch") == "true":
        verb = "WATCH"
    elif method == "GET" and found["name"] is None:
        verb = "LIST"
    return f"{verb} {found['plural']}" + (f"/{found['sub']}" if found["sub"] else "")


@asynccontextmanager
async def kube_proxy(upstream: ClientSession, script: Script) -> AsyncIterator[str]:
    """Run a proxy in front of an API server; yields the proxy's URL.

    Args:
        upstream: has the API server's base URL and credentials.
        script: records the calls and injects the faults.
    """

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        return await _forward(request, upstream, script)

    # Cancel a request together with its connection, so that a killed operator's requests end.
    runner = web.ServerRunner(web.Server(serve, handler_cancellation=True, access_log=None), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def _forward(request: web.BaseRequest, upstream: ClientSession, script: Script) -> web.StreamResponse:
    signature = signature_of(request.method, request.path, request.query)
    call = script.record(Server.KUBERNETES, signature, mutating=request.method != "GET")
    if (fault := await script.apply(call, Moment.BEFORE)) is not None:
        return _fault(request, fault)
    async with upstream.request(
        request.method,
        request.rel_url,
        headers=_forwarded(request.headers),
        data=await request.read() or None,
        allow_redirects=False,
    ) as response:
        stream = signature.startswith("WATCH")
        content = b"" if stream else await response.read()
        if (fault := await script.apply(call, Moment.AFTER)) is not None:
            return _fault(request, fault)
        if not stream:
            return web.Response(status=response.status, headers=_forwarded(response.headers), body=content)
        return await _stream(request, response, call, script)


async def _stream(request: web.BaseRequest, upstream: ClientResponse, call: Call, script: Script) -> web.StreamResponse:
    response = web.StreamResponse(status=upstream.status, headers=_forwarded(upstream.headers))
    stream = (call, lambda: _reset(request))
    script.streams.append(stream)
    try:
        with suppress(ConnectionResetError):  # the client has disconnected
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
    finally:
        script.streams.remove(stream)
    return response


def _forwarded(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _OWN_HEADERS)


def _fault(request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
    match fault:
        case Reply(status=int(status), headers=headers, text=str(text)):
            return web.Response(text=text, content_type="text/html", status=status, headers=headers)
        case Reply(status=int(status), headers=headers, body=body):
            failure = {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "message": "injected by the test",
                "reason": _REASONS.get(status, ""),
                "code": status,
            }
            return web.json_response(failure if body is None else dict(body), status=status, headers=headers)
        case Drop():
            _reset(request)
            return web.Response()
        case _:
            raise TypeError(f"{fault} is not a response of the API server")


def _reset(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is None:  # the client has disconnected
        return
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST instead of FIN
    transport.abort()
