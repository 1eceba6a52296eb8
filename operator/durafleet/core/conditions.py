"""From verdicts to conditions: their order, their times, and which of them exist.

`Reconciling` and `Stalled` exclude each other and exist only while True: kstatus reads a list
that holds either as InProgress or Failed, and only then looks at `Ready`.
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
    """Why something is as it is: a documented reason, and a message that names the fix."""

    reason: Reason
    message: str


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a status says. At most one of `reconciling` and `stalled`."""

    ready: Truth
    verdict: Verdict
    succeeded: Truth | None = None
    state: Verdict | None = None  # the reason of Succeeded where it differs from `verdict`
    reconciling: bool = False
    stalled: bool = False

    def conditions(self, previous: Sequence[Condition], *, generation: int, now: datetime) -> list[Condition]:
        """Render as conditions; a transition time moves only when that condition's status does."""
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
