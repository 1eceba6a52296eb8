"""The states and transitions of an AgentRun. The reference shows them, and tests check the planner against them."""

from collections.abc import Iterator
from dataclasses import dataclass

from durafleet.api.status import Reason

TERMINAL = frozenset(
    {
        Reason.COMPLETED,
        Reason.WORKFLOW_FAILED,
        Reason.TIMED_OUT,
        Reason.CANCELLED,
        Reason.TERMINATED,
        Reason.START_REJECTED,
        Reason.INVALID_SPEC,
    }
)
"""States that a run leaves only when spec.retry.token changes or its workflow is reset. It never leaves COMPLETED."""

RETRYABLE = TERMINAL - {Reason.COMPLETED}
_BEFORE = (Reason.PENDING, Reason.QUEUED)
"""States of a run whose workflow is not started yet."""
_NO_RESET = frozenset({Reason.QUEUED, Reason.START_REJECTED, Reason.INVALID_SPEC})
"""States of a run that has no workflow of its own, so that a reset neither ends nor causes them."""
_OPEN = (Reason.RUNNING, Reason.AWAITING_APPROVAL)
_CLOSED = {
    Reason.COMPLETED: "the workflow completes",
    Reason.WORKFLOW_FAILED: "the workflow fails",
    Reason.TIMED_OUT: "the workflow times out",
    Reason.CANCELLED: "the workflow is cancelled",
    Reason.TERMINATED: "the workflow is terminated or disappears",
}


@dataclass(frozen=True)
class Transition:
    """A transition between two states. `source` None stands for an AgentRun that has no state yet."""

    source: Reason | None
    target: Reason
    when: str


def _first(source: Reason | None) -> Iterator[Transition]:
    """Yield the transitions of a run without a workflow."""
    yield Transition(source, Reason.PENDING, "something that the run needs is missing")
    yield Transition(source, Reason.QUEUED, "maxConcurrentRuns is reached")
    yield Transition(source, Reason.SUSPENDED, "spec.suspend is true")
    yield Transition(source, Reason.RUNNING, "the workflow has started")
    yield Transition(source, Reason.AWAITING_APPROVAL, "the adopted workflow waits for a person")
    yield Transition(source, Reason.INVALID_SPEC, "the spec is invalid")
    yield Transition(source, Reason.START_REJECTED, "Temporal rejects the start")
    for target, when in _CLOSED.items():
        stopped = ", or spec.stop is set before the start" if target is Reason.CANCELLED else ""
        yield Transition(source, target, f"{when} before the operator sees it running{stopped}")


def _all() -> Iterator[Transition]:
    for before in (None, *_BEFORE, Reason.SUSPENDED):
        yield from _first(before)
    for state in _OPEN:
        yield Transition(state, Reason.SUSPENDED, "the workflow is paused")
        yield Transition(state, Reason.START_REJECTED, "the workflow id belongs to another workflow")
        for target, when in _CLOSED.items():
            yield Transition(state, target, when)
    yield Transition(Reason.SUSPENDED, Reason.RUNNING, "the workflow has started, or is unpaused")
    for target, when in _CLOSED.items():
        stopped = ", or spec.stop is set before the start" if target is Reason.CANCELLED else ""
        yield Transition(Reason.SUSPENDED, target, f"{when}{stopped}")
    yield Transition(Reason.RUNNING, Reason.AWAITING_APPROVAL, "the workflow reports that it waits for a person")
    yield Transition(Reason.AWAITING_APPROVAL, Reason.RUNNING, "the workflow continues")
    for ended in sorted(RETRYABLE):
        for transition in _first(ended):
            cause = "spec.retry.token changes"
            if ended not in _NO_RESET and transition.target not in _NO_RESET:
                cause += ", or the workflow is reset in Temporal"
            yield Transition(ended, transition.target, f"{cause}; then {transition.when}")


TRANSITIONS = {(t.source, t.target): t for t in _all() if t.source != t.target}
"""All transitions, by source and target."""

DRAWN = (
    (None, Reason.PENDING, "created"),
    (None, Reason.SUSPENDED, "created with spec.suspend"),
    (Reason.PENDING, Reason.QUEUED, "maxConcurrentRuns is reached"),
    (Reason.PENDING, Reason.RUNNING, "nothing is missing, the workflow starts"),
    (Reason.QUEUED, Reason.RUNNING, "a slot is free"),
    (Reason.SUSPENDED, Reason.PENDING, "spec.suspend is false, no workflow yet"),
    (Reason.SUSPENDED, Reason.RUNNING, "unpaused"),
    (Reason.RUNNING, Reason.SUSPENDED, "paused"),
    (Reason.RUNNING, Reason.AWAITING_APPROVAL, "waits for a person"),
    (Reason.AWAITING_APPROVAL, Reason.RUNNING, "answered"),
    (Reason.PENDING, Reason.INVALID_SPEC, "the spec is invalid"),
    (Reason.PENDING, Reason.START_REJECTED, "Temporal rejects the start"),
    (Reason.RUNNING, Reason.COMPLETED, "completes"),
    (Reason.RUNNING, Reason.WORKFLOW_FAILED, "fails"),
    (Reason.RUNNING, Reason.TIMED_OUT, "times out"),
    (Reason.RUNNING, Reason.CANCELLED, "cancelled"),
    (Reason.RUNNING, Reason.TERMINATED, "terminated or gone"),
    (Reason.WORKFLOW_FAILED, Reason.RUNNING, "spec.retry.token"),
    (Reason.TIMED_OUT, Reason.RUNNING, "spec.retry.token"),
)
"""The usual transitions, for the diagram. TRANSITIONS has all of them."""


def diagram() -> str:
    """Return the usual transitions as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {source or '[*]'} --> {target}: {when}" for source, target, when in DRAWN]
    lines += [f"    {state} --> [*]" for state in Reason if state in TERMINAL]
    return "\n".join([*lines, "```"])


def table() -> str:
    """Return all transitions as a Markdown table."""
    lines = ["| From | To | When |", "|---|---|---|"]
    for (source, target), transition in TRANSITIONS.items():
        lines.append(f"| {f'`{source}`' if source else '*new*'} | `{target}` | {transition.when} |")
    return "\n".join(lines)
