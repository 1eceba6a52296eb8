"""Leader election: what a candidate does next with the Lease, and for how long a leader may act.

No two clocks are ever compared. A candidate waits until the Lease has not changed for its whole duration, measured on
its own clock from when it first saw that version. A leader acts for a shorter time, measured on its own clock from
*before* it sent its last successful renewal. Even if the network delays requests, the leader stops before another
candidate takes over, as long as no clock runs faster than another by more than duration / give_up.
"""

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The times of leader election, in seconds.

    Attributes:
        duration: time for which the Lease must not change before another candidate may take it.
        give_up: time for which a leader acts after it sent its last successful renewal. The rest of the duration
            covers requests that are in flight when it gives up, and clocks that run at different rates.
        renew_every: interval between renewals.
        look_every: interval at which a standby reads the Lease. A failed renewal is retried after half of it.
    """

    duration: int = 8
    give_up: float = 5.0
    renew_every: float = 2.0
    look_every: float = 1.0


TERMS = Terms()


@dataclass(frozen=True, kw_only=True)
class Record:
    """The content of a Lease.

    Attributes:
        holder: the leader; empty after a release.
        duration: the duration that the holder has set, in seconds.
        transitions: the number of changes of the holder.
        version: the resource version that was read; empty for a Lease that does not exist yet.
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
        record: None if the Lease does not exist.
        free_at: when the candidate may take it from its holder, on the candidate's own clock.
    """

    record: Record | None
    free_at: float


@dataclass(frozen=True)
class Acquire:
    """Write the record, which makes the candidate the leader."""

    record: Record


@dataclass(frozen=True)
class Renew:
    """Write the record, which keeps the candidate the leader."""

    record: Record


@dataclass(frozen=True)
class Wait:
    """Another candidate leads, as far as this one can tell."""

    holder: str


Decision = Acquire | Renew | Wait


def observe(before: Sighting | None, record: Record | None, *, now: float) -> Sighting:
    """Take in the Lease as it was read.

    Args:
        before: the previous sighting; None for the first one.
        record: the record that was read.
        now: the candidate's clock *after* the response arrived: the record was written before that.
    """
    if before is not None and _same(before.record, record):
        return replace(before, record=record)
    if record is not None:
        return Sighting(record=record, free_at=now + record.duration if record.holder else now)
    # The Lease was deleted. Its former holder may still act. Only a first sighting has no holder to wait for.
    held_before = before.record if before is not None else None
    return Sighting(record=None, free_at=now + held_before.duration if held_before else now)


def decide(seen: Sighting, *, me: str, now: float, wall: datetime, terms: Terms = TERMS) -> Decision:
    """Decide what to do with the Lease as it was last seen.

    Args:
        seen: the last sighting.
        me: the candidate's name, which no other process ever has.
        now: the candidate's clock.
        wall: the wall-clock time to write into the Lease, for people. No decision depends on it.
        terms: the times of leader election.
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
    """Return until when a candidate leads after a successful acquisition or renewal that was sent at this time."""
    return sent + terms.give_up


def released(record: Record, *, wall: datetime) -> Record:
    """Return the record that lets the next candidate lead at once."""
    return replace(record, holder="", renewed=wall)


def _same(one: Record | None, other: Record | None) -> bool:
    """Tell whether nobody has renewed. An edit of the Lease's metadata changes its version, but renews nothing."""
    if one is None or other is None:
        return one is other
    return replace(one, version="") == replace(other, version="")
