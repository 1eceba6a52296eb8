"""What comes first and what can wait: a start before a status, and a status that may soon be out of date last."""

from durafleet.api.lifecycle import TERMINAL
from durafleet.core.objects import FINALIZER, Run

STATUS_SPACING = 0.25
"""Seconds between the first statuses of runs that start close together."""
LONGEST_SILENCE = 20.0
"""Most seconds that a started run does not say so, when many were started at once."""


def is_awaited(run: Run, *, started: bool) -> bool:
    """Tell whether a person or a workflow's start waits for the next step of a run.

    Args:
        run: as last read.
        started: Temporal has answered the start of its workflow, whatever the status says.
    """
    if run.deleted is not None:
        return FINALIZER in run.finalizers
    if run.generation != max(run.status.observed_generation, 1):  # edited: a control, or another attempt
        return True
    return not started and run.status.workflow is None and run.status.state not in TERMINAL


def first_status_due(last: float, *, now: float) -> float:
    """Return when the first status of a run that was just started is due.

    What ends before it needs one status write instead of two, which counts when hundreds start at once; a run
    that starts alone says so at once.

    Args:
        last: when that of the run before was due; both in seconds of one clock.
        now: the time of the start.
    """
    return min(max(last + STATUS_SPACING, now), now + LONGEST_SILENCE)
