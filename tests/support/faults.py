"""What can go wrong between an operator and its servers, call by call.

Two proxies (`kube_proxy`, `grpc_proxy`) stand between them. They tell a `Script` of every call, before the
server has heard of it and again once the server has answered, and do what the script says. A call is known
by its signature, in which the names of objects are left out, and by how many of that signature there were.
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
    """The server has not heard of the call."""
    AFTER = "after"
    """The server has answered; the operator has not heard the answer."""


@dataclass(frozen=True)
class Call:
    """One call of an operator.

    Attributes:
        signature: such as "PATCH agentruns/status" or "StartWorkflowExecution".
        occurrence: the n-th of this signature since the script began; 0 before it began.
        effect: whether it changes anything on the server.
    """

    server: Server
    signature: str
    occurrence: int = field(default=1, kw_only=True)
    effect: bool = field(default=False, kw_only=True, compare=False)

    def __str__(self) -> str:
        return f"{self.signature} #{self.occurrence}"


@dataclass(frozen=True)
class Reply:
    """An answer in place of the server's.

    Attributes:
        status: an HTTP status for the API server, a gRPC status for Temporal.
        body: what the API server answers with; its usual Status object unless given.
        text: what something that is not the API server answers with.
    """

    status: int | grpc.StatusCode
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    text: str | None = None


@dataclass(frozen=True)
class Drop:
    """No answer: the connection is reset (for Temporal, as gRPC tells it: UNAVAILABLE)."""


Fault = Reply | Drop
Deed = Callable[[Call], Awaitable[Fault | None]]
"""What is done at a call; returns what the operator sees instead of the answer, None for the answer."""


def instead(fault: Fault) -> Deed:
    """Put a fault in the answer's place."""

    async def deed(_: Call) -> Fault:
        return fault

    return deed


def delay(seconds: float) -> Deed:
    """Let the operator wait."""

    async def deed(_: Call) -> None:
        await asyncio.sleep(seconds)

    return deed


def silence() -> Deed:
    """Never answer; whoever asked gives up at some time."""

    async def deed(_: Call) -> None:
        await asyncio.Event().wait()

    return deed


@dataclass
class Rule:
    """What to do at calls of a kind.

    Attributes:
        calls: the signature of the calls that are meant, or the server of which all are.
        occurrence: the one call of the signature that is meant; None for each.
        times: how often it may still be done; None for ever.
        done: how often it was.
    """

    calls: str | Server
    moment: Moment
    deed: Deed
    occurrence: int | None = None
    times: int | None = 1
    done: int = 0

    def applies(self, call: Call, moment: Moment) -> bool:
        meant = self.calls in (call.signature, call.server) and self.occurrence in (None, call.occurrence)
        return meant and moment is self.moment and call.occurrence > 0 and self.times != self.done

    def stop(self) -> None:
        """Apply no more."""
        self.times = self.done


class Script:
    """All calls of an operator and its successors, in order, and what is done at them.

    Attributes:
        calls: since `begin`.
        answered: how often a server has answered the present operator, by signature; also before `begin`.
        streams: the watches that are open, and what resets each.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answered: Counter[str] = Counter()
        self.streams: list[tuple[Call, Callable[[], None]]] = []
        self._rules: list[Rule] = []
        self._begun = False

    def begin(self) -> None:
        """Count calls and apply rules from here on."""
        self._begun = True

    def at(
        self,
        calls: str | Server,
        moment: Moment,
        deed: Deed,
        *,
        occurrence: int | None = None,
        times: int | None = 1,
    ) -> Rule:
        """Do something at calls; of several rules that apply the first one counts."""
        rule = Rule(calls, moment, deed, occurrence, times)
        self._rules.append(rule)
        return rule

    def cut(self, signature: str) -> None:
        """Reset the connections of the open watches of a signature."""
        for call, end in list(self.streams):
            if call.signature == signature:
                end()

    def count(self, signature: str) -> int:
        """Return how many calls of a signature there were."""
        return sum(call.signature == signature for call in self.calls)

    def note(self, server: Server, signature: str, *, effect: bool) -> Call:
        """Take in a call; for the proxies."""
        occurrence = self.count(signature) + 1 if self._begun else 0
        call = Call(server, signature, occurrence=occurrence, effect=effect)
        if self._begun:
            self.calls.append(call)
        return call

    async def play(self, call: Call, moment: Moment) -> Fault | None:
        """Do what is to be done at this moment of a call; for the proxies."""
        if moment is Moment.AFTER:
            self.answered[call.signature] += 1
        rule = next((rule for rule in self._rules if rule.applies(call, moment)), None)
        if rule is None:
            return None
        rule.done += 1
        return await rule.deed(call)
