"""Which observations of open executions are trusted, and which executions have to be described.

A census is a full list of the open executions in a Temporal namespace.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

from durafleet.api.contract import WORKFLOW_TYPE
from durafleet.api.lifecycle import TERMINAL
from durafleet.api.status import ConditionType, Reason
from durafleet.core.conditions import Verdict
from durafleet.core.objects import Key, Run
from durafleet.core.places import Place, Target
from durafleet.core.runs.execution import Execution, ExecutionStatus, Outcome

_FINAL = frozenset(
    {ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.CANCELED}
)
"""Statuses of an execution that ended by itself. A terminated execution may be one that a reset has replaced."""
_NOT_IN_LISTS = frozenset({Reason.CANCELLING, Reason.SUSPENDED})
"""Reasons that a row cannot confirm: it does not contain a cancellation request or who paused the execution."""


def is_trusted(target: Target | Verdict, place: Place) -> bool:
    """Return whether a run with this target can have an execution in a Temporal namespace.

    The owner of a Temporal namespace can start workflows there with any id, also with that of another tenant's run.
    """
    return isinstance(target, Target) and target.place == place


def waits_for_census(run: Run) -> bool:
    """Return whether a census is enough to update a run that existed before the operator started.

    It is enough if the spec requires nothing new since the status was written, and if the status reports only that
    the workflow is open.
    """
    if run.deleted is not None or run.status.workflow is None or run.status.state in TERMINAL:
        return False
    if run.spec.stop is not None or run.status.observed_generation != run.generation:
        return False
    ready = run.status.condition(ConditionType.READY)
    return ready is not None and ready.reason not in _NOT_IN_LISTS


def unshown(before: Mapping[Key, str], now: Mapping[Key, str], shown: AbstractSet[Key]) -> list[Key]:
    """Return the runs that are known as open before and after a census, but are missing from it.

    Args:
        before: the run id of each open run, when the census began.
        now: the same, when it ended.
        shown: the runs with an open execution in the census.
    """
    return [key for key, run_id in before.items() if key not in shown and now.get(key) == run_id]


@dataclass(frozen=True, kw_only=True)
class Close:
    """A close event.

    Attributes:
        goes_on: another execution follows (cron schedule, workflow retry, continue-as-new).
    """

    status: ExecutionStatus
    time: datetime
    outcome: Outcome
    goes_on: bool = False


def closed_by(execution: Execution, close: Close) -> Execution | None:
    """Return an execution with its close event applied; None if it has to be described instead.

    The result counts as a row, not as described. So it is verified like a row if it is not the execution that the
    status records.
    """
    if close.goes_on or close.status not in _FINAL:
        return None
    return replace(
        execution, status=close.status, close_time=close.time, outcome=close.outcome, described=False, problem=None
    )


def reports_progress(execution: Execution) -> bool:
    """Return whether the memo of an execution may contain a last progress that its close event does not contain."""
    return execution.type == WORKFLOW_TYPE or execution.progress is not None
