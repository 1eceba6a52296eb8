"""How long an object may wait before its status says Stalled.

A missing reference reads as progress for a while, because the order of `kubectl apply` must not matter; and so does
an outage of Temporal. Where only a person can help, the status says so at once.
"""

from dataclasses import dataclass
from datetime import datetime

from durafleet.api.status import ConditionType, Reason, Status
from durafleet.core.conditions import Verdict
from durafleet.core.objects import parse_time

REFERENCE_GRACE = 60.0
"""Seconds before a missing reference reads as a failure."""
TEMPORAL_GRACE = 300.0
"""Seconds without an answer from Temporal before a run reads as stalled."""
PERSON_NEEDED = frozenset({Reason.NAMESPACE_NOT_FOUND, Reason.ACCESS_DENIED})
"""Reasons that do not pass by themselves: a person has to fix the cause."""


@dataclass(frozen=True)
class Trouble:
    """Temporal refused the last call, or has not answered since `since`.

    Attributes:
        final: repeating the call cannot succeed.
    """

    verdict: Verdict
    since: datetime
    final: bool = False


def trouble_stalls(trouble: Trouble, *, now: datetime) -> bool:
    """Tell whether an error of Temporal lasts so long, or is of a kind, that the status says Stalled."""
    return trouble.verdict.reason in PERSON_NEEDED or (now - trouble.since).total_seconds() >= TEMPORAL_GRACE


def reference_grace(status: Status, *, now: datetime) -> tuple[bool, float | None]:
    """Tell whether the wait for a reference has become a stall, and in how many seconds it will.

    The wait began when the status first said Reconciling; now, if it never did. A stall lasts until
    the reference is there: then there is nothing to look for, and the seconds are None.
    """
    condition = status.condition(ConditionType.RECONCILING)
    since = parse_time(condition.last_transition_time) if condition is not None else now
    waited = (now - since).total_seconds()
    if status.condition(ConditionType.STALLED) is not None or waited >= REFERENCE_GRACE:
        return True, None
    return False, max(REFERENCE_GRACE - waited, 1.0)
