"""One RPC: bounded in time, and its errors translated into the few kinds that a caller can act on."""

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
"""Longest wait for an answer that Temporal gives at once."""

RPCS = Counter(
    "durafleet_temporal_requests_total", "Calls of Temporal's API by method and outcome.", ["method", "code"]
)
T = TypeVar("T")

_READS = ("Describe", "Get", "List", "Poll")
"""How the names of methods begin that change nothing; all others go through the fence."""
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
        Unavailable: no answer, or one that another try may mend.
        Throttled: the kind of it that says to ask more seldom.
        NotFound, NamespaceNotFound, AlreadyExists, Unsupported, Denied, Refused: Temporal's last word.
    """
    try:
        answer = await (request if method.startswith(_READS) else FENCE.through(request))
    except RPCError as error:
        RPCS.labels(method, error.status.name).inc()
        raise translate(error) from error
    except RuntimeError as error:  # what a lazily connected client raises while nothing listens
        RPCS.labels(method, "NO_CONNECTION").inc()
        raise Unavailable(f"Temporal does not answer: {error}") from error
    RPCS.labels(method, "OK").inc()
    return answer


def translate(error: RPCError) -> DurafleetError:
    """Turn gRPC's status codes into our kinds."""
    words = error.message
    if error.status is RPCStatusCode.RESOURCE_EXHAUSTED:
        return Throttled(f"Temporal limits how often it may be asked ({error.status.name}): {words}")
    if error.status in _PASSING:
        return Unavailable(f"Temporal does not answer ({error.status.name}): {words}")
    if error.status is RPCStatusCode.NOT_FOUND:
        if "namespace" in words.lower():
            return NamespaceNotFound(words)
        return NotFound(words)
    if error.status in {RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED}:
        return Denied(f"Temporal refuses the operator's credentials: {words}")
    if error.status is RPCStatusCode.ALREADY_EXISTS:
        return AlreadyExists(words)
    if error.status in {RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.FAILED_PRECONDITION}:
        return Unsupported(words)
    return Refused(words)
