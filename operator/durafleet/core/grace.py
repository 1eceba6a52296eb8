"""The grace period of a missing reference: objects can be applied in any order, but none waits without a report."""

from datetime import datetime

from durafleet.api.status import ConditionType, Status
from durafleet.core.objects import parse_time

REFERENCE_GRACE = 60.0
"""Seconds before a missing reference counts as a failure."""


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
