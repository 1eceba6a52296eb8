"""The priority of work on AgentRuns: starts come first; a first status that may soon be outdated comes last."""

from durafleet.api.lifecycle import TERMINAL
from durafleet.core.objects import FINALIZER, Run

STATUS_SPACING = 0.25
"""Seconds between the first statuses of runs that start close together."""
MAX_STATUS_DELAY = 20.0
"""Longest delay in seconds of the first status of a started run, when many runs start at once."""


def is_urgent(run: Run, *, started: bool) -> bool:
    """Return whether the run is urgent: its workflow has to be started, or a user waits for the next step.

    Args:
        run: as last read.
        started: Temporal has answered the start of its workflow, even if the status does not show it yet.
    """
    if run.deleted is not None:
        return FINALIZER in run.finalizers
    if run.generation != max(run.status.observed_generation, 1):  # edited: spec.stop, spec.suspend or spec.retry
        return True
    return not started and run.status.workflow is None and run.status.state not in TERMINAL


def first_status_due(last: float, *, now: float) -> float:
    """Return when the first status of a run that was just started is due.

    A run that ends before that time needs one status write instead of two. This matters when hundreds of runs start
    at once. The status of a run that starts alone is due at once.

    Args:
        last: when the first status of the previously started run was due, in seconds of the same clock.
        now: the time of the start.
    """
    return min(max(last + STATUS_SPACING, now), now + MAX_STATUS_DELAY)
