"""A proxy in front of Temporal in which tests inject faults: it forwards the bytes of each call unchanged.

It supports unary calls only; the operator makes no others.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest

from tests.support.faults import Call, Drop, Moment, Reply, Script, Server

Metadata = tuple[tuple[str, str | bytes], ...]

_READS = ("Count", "Describe", "Get", "List", "Poll", "Query")
_OWN_HEADERS = ("grpc-", "user-agent", "te", "content-type")
"""Set by each hop; forwarded, they would occur twice. The details of an error are forwarded."""
_DETAILS = "grpc-status-details-bin"
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)


def signature_of(method: str, request: bytes) -> str:
    """Return the method of a call; a long-poll for the close of a workflow has its own name."""
    name = method.rpartition("/")[2]
    if name == "GetWorkflowExecutionHistory":
        poll = GetWorkflowExecutionHistoryRequest.FromString(request).wait_new_event
        return "PollWorkflowExecutionHistory" if poll else name
    return name


@dataclass(frozen=True)
class Response:
    """The server's response: the bytes of a message, or a status and its details."""

    message: bytes
    trailing: Metadata = ()
    code: grpc.StatusCode = grpc.StatusCode.OK
    details: str = ""


ResponseFilter = Callable[[str, bytes, bytes], bytes]
"""Takes a call's signature, request and response (empty for an error); returns the response for the operator."""


def unchanged(_signature: str, _request: bytes, response: bytes) -> bytes:
    """Return the response unchanged."""
    return response


@asynccontextmanager
async def grpc_proxy(
    address: str, script: Script, *, response_filter: ResponseFilter = unchanged
) -> AsyncIterator[str]:
    """Run a proxy in front of a gRPC server; yields the proxy's address."""
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((_Handler(channel, script, response_filter),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, channel: grpc.aio.Channel, script: Script, response_filter: ResponseFilter) -> None:
        self._channel = channel
        self._script = script
        self._filter = response_filter

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(self._serve(handler_call_details.method))

    def _serve(self, method: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def serve(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            signature = signature_of(method, request)
            call = self._script.record(Server.TEMPORAL, signature, mutating=not signature.startswith(_READS))
            await self._apply(call, Moment.BEFORE, context)
            response = await self._forward(method, request, context)
            filtered = self._filter(signature, request, response.message)
            await self._apply(call, Moment.AFTER, context)
            if response.code is not grpc.StatusCode.OK:
                await context.abort(response.code, response.details, response.trailing)
            context.set_trailing_metadata(response.trailing)
            return filtered

        return serve

    async def _forward(self, method: str, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> Response:
        call = self._channel.unary_unary(method)(
            request, metadata=_forwarded(context.invocation_metadata() or ()), timeout=context.time_remaining()
        )
        try:
            return Response(await call, _forwarded(await call.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            return Response(b"", _forwarded(error.trailing_metadata()), error.code(), error.details() or "")

    async def _apply(self, call: Call, moment: Moment, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        match await self._script.apply(call, moment):
            case Reply(status=status):
                assert isinstance(status, grpc.StatusCode), f"{status} is not a gRPC status"
                await context.abort(status, "injected by the test")
            case Drop():
                await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset, injected by the test")


def _forwarded(metadata: Iterable[tuple[str, str | bytes]]) -> Metadata:
    return tuple((key, value) for key, value in metadata if key == _DETAILS or not key.startswith(_OWN_HEADERS))
