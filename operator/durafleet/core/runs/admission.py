"""Whose turn it is where an AgentWorker bounds its open runs: by priority, then by age, then by name."""

from dataclasses import dataclass
from datetime import datetime

from durafleet.api.lifecycle import TERMINAL
from durafleet.api.status import Reason
from durafleet.core.objects import FINALIZER, Run

Rank = tuple[int, datetime, str]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A run's place among those that wait.

    Attributes:
        position: 1 is the next.
        limit: the worker's maxConcurrentRuns.
        free: whether a place is free for this run.
    """

    position: int
    limit: int
    free: bool


def rank(run: Run, *, worker_priority: int) -> Rank:
    """Return what runs of one worker are ordered by."""
    return run.spec.priority or worker_priority, run.created, run.name


def holds_place(run: Run) -> bool:
    """Tell whether the run's workflow is open, or may be."""
    may_have_workflow = FINALIZER in run.finalizers or run.status.workflow is not None
    return may_have_workflow and run.status.state not in TERMINAL


def stands_in_line(run: Run) -> bool:
    """Tell whether the run waits for a place, and only for that."""
    waiting = run.status.state == Reason.QUEUED and not holds_place(run)
    return waiting and run.deleted is None and not run.spec.suspend and run.spec.stop is None


def told_position(before: int | None, now: int) -> int:
    """Return the position to write: the old one until it has halved, so that a long line costs few writes."""
    if before is not None and before / 2 < now <= before:
        return before
    return now
