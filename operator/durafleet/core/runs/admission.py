"""The concurrency limit of an AgentWorker (spec.maxConcurrentRuns), and the order of the runs that wait for it.

An AgentWorker with a limit has that many slots. A run holds a slot while its workflow is open or may be open. The
runs that wait for a slot are queued, ordered by priority, then by age, then by name.
"""

from dataclasses import dataclass
from datetime import datetime

from durafleet.api.lifecycle import TERMINAL
from durafleet.api.status import Reason
from durafleet.core.objects import FINALIZER, Run

Rank = tuple[int, datetime, str]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Whether a run may start now, and its position in the queue of its AgentWorker.

    Attributes:
        position: position in the queue; 1 is the next run to start.
        limit: the AgentWorker's spec.maxConcurrentRuns.
        free: whether a slot is free for this run.
    """

    position: int
    limit: int
    free: bool


def rank(run: Run, *, worker_priority: int) -> Rank:
    """Return the sort key of a run in the queue of its AgentWorker."""
    return run.spec.priority or worker_priority, run.created, run.name


def holds_slot(run: Run) -> bool:
    """Return whether the run holds a slot: its workflow is open or may be open."""
    may_have_workflow = FINALIZER in run.finalizers or run.status.workflow is not None
    return may_have_workflow and run.status.state not in TERMINAL


def is_queued(run: Run) -> bool:
    """Return whether the run waits for a slot, and for nothing else."""
    waiting = run.status.state == Reason.QUEUED and not holds_slot(run)
    return waiting and run.deleted is None and not run.spec.suspend and run.spec.stop is None


def reported_position(before: int | None, now: int) -> int:
    """Return the position to write. It changes only when it halves or grows, so that a long queue needs few writes."""
    if before is not None and before / 2 < now <= before:
        return before
    return now
