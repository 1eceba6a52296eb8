"""Faults between an operator and its servers, injected call by call.

Two proxies (`kube_proxy`, `grpc_proxy`) stand between the operator and the servers. They report every call to a
`Script` twice: before they pass the request on, and after the server has responded. Then they do what the script
returns. A call is identified by its signature, which omits object names, and by its number among the calls with
the same signature.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import grpc


class Server(StrEnum):
    KUBERNETES = "kubernetes"
    TEMPORAL = "temporal"


class Moment(StrEnum):
    BEFORE = "before"
    """The server has not received the call."""
    AFTER = "after"
    """The server has responded; the operator has not received the response."""


@dataclass(frozen=True)
class Call:
    """One call of an operator.

    Attributes:
        signature: such as "PATCH agentruns/status" or "StartWorkflowExecution".
        occurrence: number among the calls with this signature since the script started; 0 before it started.
        mutating: whether the call changes anything on the server.
    """

    server: Server
    signature: str
    occurrence: int = field(default=1, kw_only=True)
    mutating: bool = field(default=False, kw_only=True, compare=False)

    def __str__(self) -> str:
        return f"{self.signature} #{self.occurrence}"


@dataclass(frozen=True)
class Reply:
    """A response that replaces the server's.

    Attributes:
        status: an HTTP status for the API server, a gRPC status for Temporal.
        body: the body of the API server's response; its usual Status object unless given.
        text: the body of a response that does not come from the API server.
    """

    status: int | grpc.StatusCode
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    text: str | None = None


@dataclass(frozen=True)
class Drop:
    """No response: the connection is reset (for Temporal, gRPC reports this as UNAVAILABLE)."""


Fault = Reply | Drop
FaultAction = Callable[[Call], Awaitable[Fault | None]]
"""Runs at a call; returns what the operator receives in place of the response, None for the real response."""


def respond_with(fault: Fault) -> FaultAction:
    """Replace the response with a fault."""

    async def action(_: Call) -> Fault:
        return fault

    return action


def delay(seconds: float) -> FaultAction:
    """Delay the response."""

    async def action(_: Call) -> None:
        await asyncio.sleep(seconds)

    return action


def never_respond() -> FaultAction:
    """Never respond, so that the operator runs into its own timeout."""

    async def action(_: Call) -> None:
        await asyncio.Event().wait()

    return action


@dataclass
class Rule:
    """An action for the calls that match.

    Attributes:
        calls: the signature of the matching calls, or a server to match all of its calls.
        occurrence: matches only this call of the signature; None for each call.
        times: how often the action may run; None for no limit.
        applied: how often the action has run.
    """

    calls: str | Server
    moment: Moment
    action: FaultAction
    occurrence: int | None = None
    times: int | None = 1
    applied: int = 0

    def applies(self, call: Call, moment: Moment) -> bool:
        matches = self.calls in (call.signature, call.server) and self.occurrence in (None, call.occurrence)
        return matches and moment is self.moment and call.occurrence > 0 and self.times != self.applied

    def stop(self) -> None:
        """Match no further calls."""
        self.times = self.applied


class Script:
    """All calls of an operator and its successors, in order, and the faults to inject.

    Attributes:
        calls: the calls since `start`.
        answered: number of responses to the current operator by signature; includes those before `start`.
        streams: the open watches, each with a function that resets it.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answered: Counter[str] = Counter()
        self.streams: list[tuple[Call, Callable[[], None]]] = []
        self._rules: list[Rule] = []
        self._started = False

    def start(self) -> None:
        """Start to count calls and to apply rules."""
        self._started = True

    def at(
        self,
        calls: str | Server,
        moment: Moment,
        action: FaultAction,
        *,
        occurrence: int | None = None,
        times: int | None = 1,
    ) -> Rule:
        """Add a rule; if several rules match a call, the first one applies."""
        rule = Rule(calls, moment, action, occurrence, times)
        self._rules.append(rule)
        return rule

    def reset_watches(self, signature: str) -> None:
        """Reset the connections of the open watches with a signature."""
        for call, end in list(self.streams):
            if call.signature == signature:
                end()

    def count(self, signature: str) -> int:
        """Return the number of calls with a signature."""
        return sum(call.signature == signature for call in self.calls)

    def record(self, server: Server, signature: str, *, mutating: bool) -> Call:
        """Record a call; for the proxies."""
        occurrence = self.count(signature) + 1 if self._started else 0
        call = Call(server, signature, occurrence=occurrence, mutating=mutating)
        if self._started:
            self.calls.append(call)
        return call

    async def apply(self, call: Call, moment: Moment) -> Fault | None:
        """Run the first rule that matches this moment of a call; for the proxies."""
        if moment is Moment.AFTER:
            self.answered[call.signature] += 1
        rule = next((rule for rule in self._rules if rule.applies(call, moment)), None)
        if rule is None:
            return None
        rule.applied += 1
        return await rule.action(call)
