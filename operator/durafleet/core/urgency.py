"""Which AgentRuns somebody waits for: those are worked on before what only has to be written down."""

from durafleet.api.lifecycle import TERMINAL
from durafleet.core.objects import FINALIZER, Run


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
