"""The pace of the sweeps of a Temporal namespace: constant, unless the server throttles them.

Each throttled sweep doubles the interval and each success shortens it by a fifth, so that the operator finds the rate
that the server allows. After two throttled sweeps in a row the status reports it, until the usual pace is back.
"""

from dataclasses import dataclass

from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict
from durafleet.core.places import Place

SWEEP_EVERY = 1.0
"""Usual seconds between sweeps."""
SLOWEST = 30.0
_EASE = 0.8
_TOLD_FROM = 4.0


@dataclass(frozen=True)
class Pace:
    """The current interval between sweeps.

    Attributes:
        told: whether the server's limit has slowed the sweeps so much that the status reports it.
    """

    interval: float = SWEEP_EVERY
    told: bool = False

    def slower(self) -> "Pace":
        """Return the pace after a throttled sweep."""
        interval = min(self.interval * 2, SLOWEST)
        return Pace(interval, self.told or interval >= _TOLD_FROM)

    def faster(self) -> "Pace":
        """Return the pace after a successful sweep."""
        interval = max(self.interval * _EASE, SWEEP_EVERY)
        return Pace(interval, self.told and interval > SWEEP_EVERY)


USUAL = Pace()


def slowed(place: Place, pace: Pace) -> Verdict | None:
    """Return why the sweeps are slowed, or None if they are not."""
    if not pace.told:
        return None
    address, namespace = place
    return Verdict(
        Reason.THROTTLED,
        f"Temporal at {address} limits how often the workflows of namespace {namespace!r} may be listed "
        f"(ResourceExhausted). The operator lists them every {pace.interval:.0f} s instead of every "
        f"{SWEEP_EVERY:.0f} s, so the status of runs is updated that much later. Raise "
        "frontend.namespaceRPS.visibility in the server's dynamic configuration.",
    )
