"""The plan of a TemporalConnection: its status after a check."""

from dataclasses import dataclass
from datetime import datetime
from typing import Never

from durafleet.api.connection import TemporalConnectionStatus
from durafleet.api.status import ConditionType, Reason
from durafleet.core.conditions import Summary, Verdict
from durafleet.core.grace import PERSON_NEEDED
from durafleet.core.objects import Connection
from durafleet.core.plans import Plan

ConnectionPlan = Plan[TemporalConnectionStatus, Never]
CHECK_EVERY = 60.0
"""Seconds between checks of a usable connection."""
RETRY_EVERY = 5.0
"""Seconds between checks of an unusable connection."""
USABLE = frozenset({Reason.REACHABLE, Reason.THROTTLED})


@dataclass(frozen=True)
class Check:
    """The result of a check of a connection.

    Attributes:
        verdict: REACHABLE; or THROTTLED if the server limits the rate of requests; or why it is unusable.
        server_version: as the server reports it; None if the server was not reached.
    """

    verdict: Verdict
    server_version: str | None = None


def matters_to_others(before: Connection | None, after: Connection | None) -> bool:
    """Return whether a change of a connection requires a reconcile of its AgentWorkers and AgentRuns."""
    if before is None or after is None:
        return before is not after
    return before.spec != after.spec or _usable(before) != _usable(after)


def _usable(connection: Connection) -> bool:
    ready = connection.status.condition(ConditionType.READY)
    return ready is not None and ready.status == "True"


def plan_connection(connection: Connection, check: Check, *, now: datetime) -> ConnectionPlan:
    """Return the status after a check, and when to check again."""
    if connection.deleted is not None:
        return Plan()
    reachable = check.verdict.reason in USABLE
    stalled = check.verdict.reason in PERSON_NEEDED
    summary = Summary(
        ready="True" if reachable else "False",
        verdict=check.verdict,
        reconciling=not reachable and not stalled,
        stalled=stalled,
    )
    status = connection.status.model_copy(
        update={
            "observed_generation": connection.generation,
            "conditions": summary.conditions(connection.status.conditions, generation=connection.generation, now=now),
            "server_version": check.server_version or connection.status.server_version,
        }
    )
    return Plan(status=status, requeue=CHECK_EVERY if reachable else RETRY_EVERY)
