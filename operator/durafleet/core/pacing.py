"""How often a Temporal namespace is swept: as usual, unless the server says that it is asked too often.

Each refusal doubles the interval and each success shortens it by a fifth, so that the operator finds what the
server allows. Two refusals in a row are worth telling a person, and then it is told until all is as usual again.
"""

from dataclasses import dataclass

from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict
from durafleet.core.places import Place

SWEEP_EVERY = 1.0
"""Seconds between sweeps, as a rule."""
SLOWEST = 30.0
_EASE = 0.8
_TOLD_FROM = 4.0


@dataclass(frozen=True)
class Pace:
    """The present interval between sweeps.

    Attributes:
        told: the server's limit has slowed the sweeps so much that it has to be said.
    """

    interval: float = SWEEP_EVERY
    told: bool = False

    def slower(self) -> "Pace":
        """Return the pace after the server refused."""
        interval = min(self.interval * 2, SLOWEST)
        return Pace(interval, self.told or interval >= _TOLD_FROM)

    def faster(self) -> "Pace":
        """Return the pace after a sweep that the server allowed."""
        interval = max(self.interval * _EASE, SWEEP_EVERY)
        return Pace(interval, self.told and interval > SWEEP_EVERY)


USUAL = Pace()


def slowed(place: Place, pace: Pace) -> Verdict | None:
    """Say that the server's limit slows the sweeps, None if it does not."""
    if not pace.told:
        return None
    address, namespace = place
    return Verdict(
        Reason.THROTTLED,
        f"Temporal at {address} limits how often namespace {namespace!r} may be listed (ResourceExhausted): it is "
        f"swept every {pace.interval:.0f} s instead of every {SWEEP_EVERY:.0f} s, and what runs do shows that much "
        "later. Raise frontend.namespaceRPS.visibility in the server's dynamic configuration.",
    )
