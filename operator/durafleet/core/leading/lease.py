"""Who leads: what a candidate does next about the Lease, and for how long it may believe that it leads.

No two clocks are ever compared. A candidate waits until the Lease has stood still for its whole duration,
measured on its own clock from when it first saw it like that; a leader believes for a shorter time, measured
on its own clock from *before* it sent its last successful renewal. Whatever the network delays, the belief ends
first, as long as no clock runs faster than another by more than duration / give_up.
"""

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How leadership is timed, in seconds.

    Attributes:
        duration: how long the Lease must stand still until another candidate may take it.
        give_up: how long a leader believes after its last successful renewal was sent. The rest of the duration
            is for requests that are on their way when it gives up, and for clocks that run at different rates.
        renew_every: between two renewals.
        look_every: between two looks of a standby; half of it before a renewal that failed is tried again.
    """

    duration: int = 8
    give_up: float = 5.0
    renew_every: float = 2.0
    look_every: float = 1.0


TERMS = Terms()


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a Lease says.

    Attributes:
        holder: who leads; empty after a release.
        duration: the holder's, in seconds.
        transitions: how often the holder has changed.
        version: the resource version that it was read with; empty for one that is yet to be created.
    """

    holder: str
    duration: int
    acquired: datetime | None
    renewed: datetime | None
    transitions: int
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """The Lease as a candidate last saw it.

    Attributes:
        record: None if there is none.
        free_at: when it may be taken from whoever holds it, by the candidate's own clock.
    """

    record: Record | None
    free_at: float


@dataclass(frozen=True)
class Acquire:
    """Write the record: it makes the candidate the leader."""

    record: Record


@dataclass(frozen=True)
class Renew:
    """Write the record: it keeps the candidate the leader."""

    record: Record


@dataclass(frozen=True)
class Wait:
    """Somebody else leads, as far as one can tell."""

    holder: str


Decision = Acquire | Renew | Wait


def observe(before: Sighting | None, record: Record | None, *, now: float) -> Sighting:
    """Take in a look at the Lease.

    Args:
        before: the last sighting; None if this is the first look.
        record: what was read.
        now: the candidate's clock *after* the answer came: what was read was written before that.
    """
    if before is not None and _same(before.record, record):
        return replace(before, record=record)
    if record is not None:
        return Sighting(record=record, free_at=now + record.duration if record.holder else now)
    # Somebody deleted it. Whoever held it may still believe; only a first look has nobody to wait for.
    held_before = before.record if before is not None else None
    return Sighting(record=None, free_at=now + held_before.duration if held_before else now)


def decide(seen: Sighting, *, me: str, now: float, wall: datetime, terms: Terms = TERMS) -> Decision:
    """Decide what to do about the Lease as it was last seen.

    Args:
        seen: the last sighting.
        me: the candidate's name, which no other process ever has.
        now: the candidate's clock.
        wall: the time that people read in the Lease; nothing is decided by it.
        terms: how leadership is timed.
    """
    record = seen.record
    if record is not None and record.holder == me:
        return Renew(replace(record, duration=terms.duration, renewed=wall))
    if now < seen.free_at:
        return Wait(record.holder if record is not None else "")
    return Acquire(
        Record(
            holder=me,
            duration=terms.duration,
            acquired=wall,
            renewed=wall,
            transitions=record.transitions + 1 if record is not None else 0,
            version=record.version if record is not None else "",
        )
    )


def believed_until(sent: float, *, terms: Terms = TERMS) -> float:
    """Return until when a candidate leads whose acquisition or renewal was sent then, and succeeded."""
    return sent + terms.give_up


def released(record: Record, *, wall: datetime) -> Record:
    """Return the record that lets the next candidate lead at once."""
    return replace(record, holder="", renewed=wall)


def _same(one: Record | None, other: Record | None) -> bool:
    """Tell whether nobody has renewed; who edits the Lease's metadata changes its version, and renews nothing."""
    if one is None or other is None:
        return one is other
    return replace(one, version="") == replace(other, version="")
