"""Leader election: decisions about the Lease, and no two leaders at a time despite slow networks and clock drift."""

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durafleet.core.leading.lease import (
    TERMS,
    Acquire,
    Decision,
    Record,
    Renew,
    Sighting,
    Wait,
    believed_until,
    decide,
    observe,
    released,
)
from tests.support.builders import NOON

D = TERMS.duration


def a_record(holder: str = "one", **fields: object) -> Record:
    defaults = {"duration": D, "acquired": NOON, "renewed": NOON, "transitions": 3, "version": "7"}
    return Record(holder=holder, **{**defaults, **fields})  # type: ignore[arg-type]


def sighting_of(record: Record | None, *, at: float = 100.0) -> Sighting:
    return observe(None, record, now=at)


def decided(sighting: Sighting, *, now: float, me: str = "me") -> Decision:
    return decide(sighting, me=me, now=now, wall=NOON)


def test_a_candidate_that_finds_no_lease_creates_it():
    decision = decided(sighting_of(None), now=100.0)
    assert decision == Acquire(
        Record(holder="me", duration=D, acquired=NOON, renewed=NOON, transitions=0, version="")
    )  # fmt: skip


def test_a_released_lease_is_acquired_at_once():
    decision = decided(sighting_of(released(a_record(), wall=NOON)), now=100.0)
    assert isinstance(decision, Acquire)
    assert (decision.record.holder, decision.record.transitions, decision.record.version) == ("me", 4, "7")


@pytest.mark.parametrize(("waited", "takes"), [(0.0, False), (D - 0.001, False), (D, True), (D + 100.0, True)])
def test_a_lease_that_is_not_renewed_is_acquired_only_after_its_full_duration(waited: float, takes: bool):
    assert isinstance(decided(sighting_of(a_record()), now=100.0 + waited), Acquire if takes else Wait)


def test_the_renew_time_in_the_lease_does_not_affect_the_decision():
    long_ago = a_record(renewed=NOON.replace(year=1999))
    assert isinstance(decided(sighting_of(long_ago), now=100.0), Wait)


def test_an_observed_renewal_restarts_the_wait():
    later = observe(sighting_of(a_record()), a_record(renewed=NOON.replace(minute=1), version="8"), now=100.0 + D)
    assert isinstance(decided(later, now=100.0 + D), Wait)


def test_an_edit_of_the_lease_metadata_does_not_restart_the_wait():
    later = observe(sighting_of(a_record()), a_record(version="8"), now=100.0 + D)
    decision = decided(later, now=100.0 + D)
    assert isinstance(decision, Acquire)
    assert decision.record.version == "8"


def test_a_candidate_waits_for_the_duration_that_is_recorded_in_the_lease():
    sighting = sighting_of(a_record(duration=60))
    assert isinstance(decided(sighting, now=100.0 + D), Wait)
    assert isinstance(decided(sighting, now=160.0), Acquire)


def test_a_deleted_lease_is_created_again_only_after_its_full_duration():
    gone = observe(sighting_of(a_record()), None, now=105.0)
    assert isinstance(decided(gone, now=105.0 + D - 0.001), Wait)
    assert isinstance(decided(observe(gone, None, now=110.0), now=105.0 + D), Acquire)


def test_the_holder_renews_the_lease_and_keeps_its_acquire_time_and_transitions():
    decision = decided(sighting_of(a_record("me", renewed=None)), now=100.0 + 2 * D)
    assert decision == Renew(a_record("me"))


def test_a_process_never_renews_the_lease_of_another_process_in_the_same_pod():
    assert isinstance(decided(sighting_of(a_record("pod_1")), now=100.0, me="pod_2"), Wait)


# A model of several candidates. Each one reads, decides and writes as controllers.leadership does. Its network can
# delay every request by any time. Its clock has an arbitrary start and its own rate.

FASTEST = 1.5
"""Rate of the fastest clock; the slowest has rate 1. It must be below duration / give_up."""


@dataclass
class Server:
    """The API server's copy of the Lease, and the real time."""

    record: Record | None = None
    versions: int = 0
    time: float = 0.0

    def write(self, record: Record) -> Record | None:
        """Store a record that is based on the current version; return None on a conflict."""
        if record.version != (self.record.version if self.record else ""):
            return None
        self.versions += 1
        self.record = replace(record, version=str(self.versions))
        return self.record


@dataclass
class Candidate:
    """One operator process; when it ends, its replacement takes over here under a new name."""

    name: str
    server: Server
    offset: float
    rate: float
    until: float = -math.inf

    def clock(self) -> float:
        return self.offset + self.server.time * self.rate

    def leads(self) -> bool:
        return self.clock() < self.until

    def run(self) -> Iterator[None]:
        """Run the loop; any time may pass at each yield."""
        sighting: Sighting | None = None
        for turn in count():
            if self.until > -math.inf and not self.leads():
                self.name, self.until, sighting = f"{self.name}'", -math.inf, None
            yield
            record = self.server.record
            yield
            sighting = observe(sighting, record, now=self.clock())
            sent, wall = self.clock(), NOON.replace(microsecond=turn)
            decision = decide(sighting, me=self.name, now=sent, wall=wall)
            if not isinstance(decision, Wait):
                yield
                stored = self.server.write(decision.record)
                yield
                if stored is not None:
                    self.until = believed_until(sent)
            yield


@dataclass(frozen=True)
class Network:
    """How long each step of a candidate takes: `usual` seconds, except for the steps in `stalls`."""

    usual: float
    stalls: Mapping[int, float] = field(default_factory=dict)

    def delays(self) -> Iterator[float]:
        return (self.stalls.get(step, self.usual) for step in count())


networks = st.builds(
    Network, st.sampled_from([0.01, 0.1, 0.4]), st.dictionaries(st.integers(0, 50), st.floats(0, 40), max_size=6)
)
clocks = st.tuples(st.floats(-1e6, 1e6), st.floats(1, FASTEST))


def leaders(networks: Sequence[Network], machines: Sequence[tuple[float, float]], *, steps: int) -> list[str]:
    """Run candidates, each with its own network and clock; return the leaders that were seen at each step."""
    server = Server()
    candidates = [Candidate(f"c{n}", server, offset, rate) for n, (offset, rate) in enumerate(machines)]
    loops = [each.run() for each in candidates]
    waits = [each.delays() for each in networks]
    due = [(next(wait), n) for n, wait in enumerate(waits)]
    heapq.heapify(due)
    leading_at_steps = []
    for _ in range(steps):
        server.time, n = heapq.heappop(due)
        next(loops[n])
        leading = [each.name for each in candidates if each.leads()]
        assert len(leading) <= 1, f"at {server.time:.2f} {leading} lead at the same time"
        leading_at_steps += leading
        heapq.heappush(due, (server.time + next(waits[n]), n))
    return leading_at_steps


@settings(max_examples=300)
@given(links=st.lists(networks, min_size=3, max_size=3), machines=st.lists(clocks, min_size=3, max_size=3))
def test_no_two_candidates_ever_lead_at_the_same_time(links: list[Network], machines: list[tuple[float, float]]):
    leaders(links, machines, steps=400)


def test_on_a_reliable_network_the_first_leader_keeps_the_lease():
    assert set(leaders([Network(0.01), Network(0.011)], [(0.0, 1.0), (5.0, 1.0)], steps=500)) == {"c0"}


def test_a_leader_that_loses_its_network_is_replaced():
    cut_off = Network(0.01, {20: 1000.0})
    assert leaders([cut_off, Network(0.01)], [(0.0, 1.0), (5.0, 1.0)], steps=5000)[-1] == "c1"
