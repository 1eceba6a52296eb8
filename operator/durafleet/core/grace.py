"""Grace periods: how long an object may wait before its status reports Stalled.

A missing reference counts as progress at first, because objects can be applied in any order, and so does an outage of
Temporal. An error that only a person can fix is reported as Stalled immediately.
"""

from dataclasses import dataclass
from datetime import datetime

from durafleet.api.status import ConditionType, Reason, Status
from durafleet.core.conditions import Verdict
from durafleet.core.objects import parse_time

REFERENCE_GRACE = 60.0
"""Seconds before a missing reference counts as a failure."""
TEMPORAL_GRACE = 300.0
"""Seconds without a response from Temporal before a run is Stalled."""
PERSON_NEEDED = frozenset({Reason.NAMESPACE_NOT_FOUND, Reason.ACCESS_DENIED})
"""Reasons that do not go away by themselves: a person has to fix the cause."""


@dataclass(frozen=True)
class Trouble:
    """Temporal rejected the last call, or has not responded since `since`.

    Attributes:
        final: repeating the call cannot succeed.
    """

    verdict: Verdict
    since: datetime
    final: bool = False


def trouble_stalls(trouble: Trouble, *, now: datetime) -> bool:
    """Return whether the status reports Stalled: the error lasts too long, or only a person can fix it."""
    return trouble.verdict.reason in PERSON_NEEDED or (now - trouble.since).total_seconds() >= TEMPORAL_GRACE


def reference_grace(status: Status, *, now: datetime) -> tuple[bool, float | None]:
    """Tell whether the wait for a reference has become a stall, and in how many seconds it will.

    The wait began when the status became Reconciling, or begins now. A stall lasts until the reference exists, so
    there is no time to wait for, and the seconds are None.
    """
    condition = status.condition(ConditionType.RECONCILING)
    since = parse_time(condition.last_transition_time) if condition is not None else now
    waited = (now - since).total_seconds()
    if status.condition(ConditionType.STALLED) is not None or waited >= REFERENCE_GRACE:
        return True, None
    return False, max(REFERENCE_GRACE - waited, 1.0)
