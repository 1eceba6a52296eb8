"""The states of an AgentRun and the ways between them: what the reference draws and the tests hold the planner to."""

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
"""States that a run leaves only when `spec.retry.token` asks for another attempt; COMPLETED never."""

RETRYABLE = TERMINAL - {Reason.COMPLETED}
_BEFORE = (Reason.PENDING, Reason.QUEUED)
"""States of a run that has no workflow yet and may get one."""
_OPEN = (Reason.RUNNING, Reason.AWAITING_APPROVAL)
_CLOSED = {
    Reason.COMPLETED: "the workflow completes",
    Reason.WORKFLOW_FAILED: "the workflow fails",
    Reason.TIMED_OUT: "the workflow's time is up",
    Reason.CANCELLED: "the workflow is cancelled",
    Reason.TERMINATED: "the workflow is terminated, or vanishes",
}


@dataclass(frozen=True)
class Transition:
    """One way from a state to another; `source` None is an AgentRun that has no state yet."""

    source: Reason | None
    target: Reason
    when: str


def _first(source: Reason | None) -> Iterator[Transition]:
    """The ways of a run without a workflow."""
    yield Transition(source, Reason.PENDING, "something it needs is missing")
    yield Transition(source, Reason.QUEUED, "maxConcurrentRuns is reached")
    yield Transition(source, Reason.SUSPENDED, "spec.suspend is set")
    yield Transition(source, Reason.RUNNING, "the workflow has started")
    yield Transition(source, Reason.AWAITING_APPROVAL, "the adopted workflow waits for a person")
    yield Transition(source, Reason.INVALID_SPEC, "the spec cannot work")
    yield Transition(source, Reason.START_REJECTED, "Temporal refuses the start")
    for target, when in _CLOSED.items():
        yield Transition(source, target, f"{when} before it was seen open, or spec.stop came first")


def _all() -> Iterator[Transition]:
    for before in (None, *_BEFORE, Reason.SUSPENDED):
        yield from _first(before)
    for state in _OPEN:
        yield Transition(state, Reason.SUSPENDED, "it is paused")
        yield Transition(state, Reason.START_REJECTED, "the workflow turns out to be another's")
        for target, when in _CLOSED.items():
            yield Transition(state, target, when)
    yield Transition(Reason.RUNNING, Reason.AWAITING_APPROVAL, "the workflow says that it waits for a person")
    yield Transition(Reason.AWAITING_APPROVAL, Reason.RUNNING, "the workflow goes on")
    for ended in sorted(RETRYABLE):
        for transition in _first(ended):
            yield Transition(ended, transition.target, f"spec.retry.token changes; then {transition.when}")


TRANSITIONS = {(t.source, t.target): t for t in _all() if t.source != t.target}
"""Every way that there is, by its ends."""

DRAWN = (
    (None, Reason.PENDING, "created"),
    (None, Reason.SUSPENDED, "created with spec.suspend"),
    (Reason.PENDING, Reason.QUEUED, "maxConcurrentRuns is reached"),
    (Reason.PENDING, Reason.RUNNING, "all is there: the workflow starts"),
    (Reason.QUEUED, Reason.RUNNING, "a place is free"),
    (Reason.SUSPENDED, Reason.PENDING, "spec.suspend: false, no workflow yet"),
    (Reason.SUSPENDED, Reason.RUNNING, "unpaused"),
    (Reason.RUNNING, Reason.SUSPENDED, "paused"),
    (Reason.RUNNING, Reason.AWAITING_APPROVAL, "waits for a person"),
    (Reason.AWAITING_APPROVAL, Reason.RUNNING, "answered"),
    (Reason.PENDING, Reason.INVALID_SPEC, "the spec cannot work"),
    (Reason.PENDING, Reason.START_REJECTED, "Temporal refuses"),
    (Reason.RUNNING, Reason.COMPLETED, "completes"),
    (Reason.RUNNING, Reason.WORKFLOW_FAILED, "fails"),
    (Reason.RUNNING, Reason.TIMED_OUT, "time is up"),
    (Reason.RUNNING, Reason.CANCELLED, "cancelled"),
    (Reason.RUNNING, Reason.TERMINATED, "terminated, or vanished"),
    (Reason.WORKFLOW_FAILED, Reason.RUNNING, "spec.retry.token"),
    (Reason.TIMED_OUT, Reason.RUNNING, "spec.retry.token"),
)
"""The ways that a reader should see first; TRANSITIONS has them all."""


def diagram() -> str:
    """Draw the usual ways as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {source or '[*]'} --> {target}: {when}" for source, target, when in DRAWN]
    lines += [f"    {state} --> [*]" for state in Reason if state in TERMINAL]
    return "\n".join([*lines, "```"])


def table() -> str:
    """Write every way as a table."""
    lines = ["| From | To | When |", "|---|---|---|"]
    for (source, target), transition in TRANSITIONS.items():
        lines.append(f"| {f'`{source}`' if source else '*new*'} | `{target}` | {transition.when} |")
    return "\n".join(lines)
