"""The time to live of an AgentRun after its end (spec.ttlSecondsAfterFinished)."""

from datetime import datetime, timedelta

from durafleet.api.run import AgentRunStatus
from durafleet.api.status import ConditionType
from durafleet.core.conditions import at_generation
from durafleet.core.objects import Run, parse_time
from durafleet.core.plans import Plan
from durafleet.core.runs.actions import DeleteRun, RunPlan

_MESSAGE_KEPT = 256
"""Characters of a condition's message that a compacted status keeps."""


def plan_expiry(run: Run, *, now: datetime) -> RunPlan | None:
    """Wait for the end of the time to live, then delete the run or compact it; None if there is nothing to do."""
    ttl, ended = run.spec.ttl_seconds_after_finished, _ended(run)
    if ttl is None or ended is None:
        return None
    left = (ended + timedelta(seconds=ttl) - now).total_seconds()
    if left > 0:
        return Plan(requeue=left)
    if not run.tracked:
        return Plan(actions=(DeleteRun(),))
    return None if run.status.compacted else Plan(status=compacted(run))


def compacted(run: Run) -> AgentRunStatus:
    """Return the status without its large fields; the outcome stays, and so do the conditions that tools read."""
    status = run.status
    conditions = [
        condition.model_copy(update={"message": condition.message[:_MESSAGE_KEPT]})
        for condition in at_generation(status.conditions, run.generation)
    ]
    return status.model_copy(
        update={
            "conditions": conditions,
            "observed_generation": run.generation,
            "progress": None,
            "attempts": None,
            "result": status.result.model_copy(update={"preview": None}) if status.result else None,
            "failure": status.failure.model_copy(update={"causes": []}) if status.failure else None,
            "compacted": True,
        }
    )


def _ended(run: Run) -> datetime | None:
    if run.status.completion_time is not None:
        return parse_time(run.status.completion_time)
    condition = run.status.condition(ConditionType.SUCCEEDED)
    return parse_time(condition.last_transition_time) if condition is not None else None
