"""What is believed of the executions that are followed, and which of them Temporal has to be asked about."""

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
"""How an execution ends by itself. One that was terminated may be what a reset has left behind."""
_ONLY_DESCRIBED = frozenset({Reason.CANCELLING, Reason.SUSPENDED})
"""Reasons that a row of a list cannot confirm: it tells neither of a request to cancel nor who paused."""


def believable(target: Target | Verdict, place: Place) -> bool:
    """Tell whether what was seen in a Temporal namespace can be of a run with this target.

    Whoever owns a Temporal namespace can start workflows there under any id, also that of another tenant's run.
    """
    return isinstance(target, Target) and target.place == place


def waits_for_census(run: Run) -> bool:
    """Tell whether a list of all open executions says enough of a run that was there when the operator came.

    So it is if nobody has asked anything of the run since its status was written, and if the status says no
    more than that the workflow is open.
    """
    if run.deleted is not None or run.status.workflow is None or run.status.state in TERMINAL:
        return False
    if run.spec.stop is not None or run.status.observed_generation != run.generation:
        return False
    ready = run.status.condition(ConditionType.READY)
    return ready is not None and ready.reason not in _ONLY_DESCRIBED


def unshown(before: Mapping[Key, str], now: Mapping[Key, str], shown: AbstractSet[Key]) -> list[Key]:
    """Return the runs that were believed open before a census, still are, and were not shown by it.

    Args:
        before: the run ids by run, as the census began.
        now: the same as it ended.
        shown: the runs of which it showed an open execution.
    """
    return [key for key, run_id in before.items() if key not in shown and now.get(key) == run_id]


@dataclass(frozen=True, kw_only=True)
class Close:
    """A close event.

    Attributes:
        goes_on: another execution follows in its place (a cron, a retry of the workflow, continue-as-new).
    """

    status: ExecutionStatus
    time: datetime
    outcome: Outcome
    goes_on: bool = False


def closed_by(execution: Execution, close: Close) -> Execution | None:
    """Return an execution as its close event leaves it; None if only a description can tell what came of it.

    It counts as seen in a list, not as described: if it is not the run that the status records, it is
    looked into like a row.
    """
    if close.goes_on or close.status not in _FINAL:
        return None
    return replace(
        execution, status=close.status, close_time=close.time, outcome=close.outcome, described=False, problem=None
    )


def reports_progress(execution: Execution) -> bool:
    """Tell whether the memo of an execution may hold a last word that its close event does not tell."""
    return execution.type == WORKFLOW_TYPE or execution.progress is not None
