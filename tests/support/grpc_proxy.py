"""A proxy in front of Temporal that a test can break: bytes pass as they are, call by call.

Only calls with one request and one answer pass, which is all that the operator makes.
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
"""Set by each hop itself; passed on, they would be there twice. The details of an error are not among them."""
_DETAILS = "grpc-status-details-bin"
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)


def signature_of(method: str, request: bytes) -> str:
    """Name a call by its method; a long-poll for the close of a workflow has a name of its own."""
    name = method.rpartition("/")[2]
    if name == "GetWorkflowExecutionHistory":
        poll = GetWorkflowExecutionHistoryRequest.FromString(request).wait_new_event
        return "PollWorkflowExecutionHistory" if poll else name
    return name


@dataclass(frozen=True)
class Answer:
    """What came back: the bytes of a message, or a status and its details."""

    message: bytes
    trailing: Metadata = ()
    code: grpc.StatusCode = grpc.StatusCode.OK
    details: str = ""


Lens = Callable[[str, bytes, bytes], bytes]
"""Sees a call's signature, request and answer (empty if it is an error); returns what the operator sees of it."""


def clear(_signature: str, _request: bytes, answer: bytes) -> bytes:
    """See what there is."""
    return answer


@asynccontextmanager
async def grpc_proxy(address: str, script: Script, *, lens: Lens = clear) -> AsyncIterator[str]:
    """Run a proxy in front of a gRPC server; yields the proxy's address."""
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((_Handler(channel, script, lens),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, channel: grpc.aio.Channel, script: Script, lens: Lens) -> None:
        self._channel = channel
        self._script = script
        self._lens = lens

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(self._serve(handler_call_details.method))

    def _serve(self, method: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def serve(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            signature = signature_of(method, request)
            call = self._script.note(Server.TEMPORAL, signature, effect=not signature.startswith(_READS))
            await self._play(call, Moment.BEFORE, context)
            answer = await self._ask(method, request, context)
            shown = self._lens(signature, request, answer.message)
            await self._play(call, Moment.AFTER, context)
            if answer.code is not grpc.StatusCode.OK:
                await context.abort(answer.code, answer.details, answer.trailing)
            context.set_trailing_metadata(answer.trailing)
            return shown

        return serve

    async def _ask(self, method: str, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> Answer:
        call = self._channel.unary_unary(method)(
            request, metadata=_passed_on(context.invocation_metadata() or ()), timeout=context.time_remaining()
        )
        try:
            return Answer(await call, _passed_on(await call.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            return Answer(b"", _passed_on(error.trailing_metadata()), error.code(), error.details() or "")

    async def _play(self, call: Call, moment: Moment, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        match await self._script.play(call, moment):
            case Reply(status=status):
                assert isinstance(status, grpc.StatusCode), f"{status} is no answer of Temporal's"
                await context.abort(status, "as the test's script says")
            case Drop():
                await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset, as the test's script says")


def _passed_on(metadata: Iterable[tuple[str, str | bytes]]) -> Metadata:
    return tuple((key, value) for key, value in metadata if key == _DETAILS or not key.startswith(_OWN_HEADERS))
