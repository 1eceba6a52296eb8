"""Convert verdicts to conditions: their order, their times, and which of them are present.

`Reconciling` and `Stalled` exclude each other and are present only while True. kstatus reports an object with one of
them as InProgress or Failed, and reads `Ready` only for objects with neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from durafleet.api.status import Condition, ConditionType, Reason
from durafleet.core.objects import format_time

Truth = Literal["True", "False", "Unknown"]
_MESSAGE_LIMIT = 4096


@dataclass(frozen=True)
class Verdict:
    """An explanation of a state: a documented reason, and a message that names the fix."""

    reason: Reason
    message: str


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The content of a status. At most one of `reconciling` and `stalled` is set."""

    ready: Truth
    verdict: Verdict
    succeeded: Truth | None = None
    state: Verdict | None = None  # the verdict of Succeeded, if it differs from `verdict`
    reconciling: bool = False
    stalled: bool = False

    def conditions(self, previous: Sequence[Condition], *, generation: int, now: datetime) -> list[Condition]:
        """Render as conditions. A transition time changes only if the status of its condition does."""
        state = self.state or self.verdict
        wanted: list[tuple[ConditionType, Truth, Verdict]] = []
        if self.succeeded is not None:
            wanted.append((ConditionType.SUCCEEDED, self.succeeded, state))
        wanted.append((ConditionType.READY, self.ready, self.verdict))
        if self.reconciling:
            wanted.append((ConditionType.RECONCILING, "True", self.verdict))
        if self.stalled:
            wanted.append((ConditionType.STALLED, "True", self.verdict))
        before = {condition.type: condition for condition in previous}
        return [
            _condition(before.get(kind), kind=kind, status=status, verdict=verdict, generation=generation, now=now)
            for kind, status, verdict in wanted
        ]


def at_generation(conditions: Sequence[Condition], generation: int) -> list[Condition]:
    """Return conditions that still hold, for a later generation of the spec."""
    return [condition.model_copy(update={"observed_generation": generation}) for condition in conditions]


def _condition(
    before: Condition | None, *, kind: ConditionType, status: Truth, verdict: Verdict, generation: int, now: datetime
) -> Condition:
    unchanged = before is not None and before.status == status
    return Condition(
        type=kind,
        status=status,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before and unchanged else format_time(now),
        reason=verdict.reason,
        message=verdict.message[:_MESSAGE_LIMIT],
    )
