"""One RPC, with a timeout, and with its errors translated into the few kinds that a caller can act on."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from prometheus_client import Counter
from temporalio.service import RPCError, RPCStatusCode

from durafleet.errors import (
    AlreadyExists,
    Denied,
    DurafleetError,
    NamespaceNotFound,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    Unsupported,
)
from durafleet.fence import FENCE

TIMEOUT = timedelta(seconds=10)
"""Timeout of an RPC that is not a long-poll."""

RPCS = Counter(
    "durafleet_temporal_requests_total", "Calls to the Temporal API, by method and outcome.", ["method", "code"]
)
T = TypeVar("T")

_READS = ("Describe", "Get", "List", "Poll")
"""Name prefixes of methods that change nothing. All others go through the fence."""
_PASSING = {
    RPCStatusCode.CANCELLED,
    RPCStatusCode.UNKNOWN,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.ABORTED,
    RPCStatusCode.INTERNAL,
    RPCStatusCode.UNAVAILABLE,
}


async def call(method: str, request: Awaitable[T]) -> T:
    """Await one RPC.

    Raises:
        Unavailable: no response, or an error that can pass.
        Throttled: an Unavailable; the server limits the rate of requests.
        NotFound, NamespaceNotFound, AlreadyExists, Unsupported, Denied, Refused: Temporal rejected the request.
    """
    try:
        answer = await (request if method.startswith(_READS) else FENCE.through(request))
    except RPCError as error:
        RPCS.labels(method, error.status.name).inc()
        raise translate(error) from error
    except RuntimeError as error:  # from a lazily connected client while nothing listens
        RPCS.labels(method, "NO_CONNECTION").inc()
        raise Unavailable(f"Temporal does not answer: {error}") from error
    RPCS.labels(method, "OK").inc()
    return answer


def translate(error: RPCError) -> DurafleetError:
    """Translate a gRPC status to an error of our own."""
    words = error.message
    if error.status is RPCStatusCode.RESOURCE_EXHAUSTED:
        return Throttled(f"Temporal limits the rate of requests ({error.status.name}): {words}")
    if error.status in _PASSING:
        return Unavailable(f"Temporal does not answer ({error.status.name}): {words}")
    if error.status is RPCStatusCode.NOT_FOUND:
        if "namespace" in words.lower():
            return NamespaceNotFound(words)
        return NotFound(words)
    if error.status in {RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED}:
        return Denied(f"{error.status.name}: {words}")
    if error.status is RPCStatusCode.ALREADY_EXISTS:
        return AlreadyExists(words)
    if error.status in {RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.FAILED_PRECONDITION}:
        return Unsupported(words)
    return Refused(words)
