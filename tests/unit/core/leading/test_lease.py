"""Who leads: the table of decisions, and that never two believe it, whatever the network and the clocks do."""

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


def seen(record: Record | None, *, at: float = 100.0) -> Sighting:
    return observe(None, record, now=at)


def decided(sighting: Sighting, *, now: float, me: str = "me") -> Decision:
    return decide(sighting, me=me, now=now, wall=NOON)


def test_where_there_is_no_lease_the_first_who_looks_makes_one():
    decision = decided(seen(None), now=100.0)
    assert decision == Acquire(
        Record(holder="me", duration=D, acquired=NOON, renewed=NOON, transitions=0, version="")
    )  # fmt: skip


def test_a_released_lease_is_taken_at_once():
    decision = decided(seen(released(a_record(), wall=NOON)), now=100.0)
    assert isinstance(decision, Acquire)
    assert (decision.record.holder, decision.record.transitions, decision.record.version) == ("me", 4, "7")


@pytest.mark.parametrize(("waited", "takes"), [(0.0, False), (D - 0.001, False), (D, True), (D + 100.0, True)])
def test_a_lease_that_stands_still_is_taken_after_its_whole_duration(waited: float, takes: bool):
    assert isinstance(decided(seen(a_record()), now=100.0 + waited), Acquire if takes else Wait)


def test_what_the_lease_says_of_time_decides_nothing():
    long_ago = a_record(renewed=NOON.replace(year=1999))
    assert isinstance(decided(seen(long_ago), now=100.0), Wait)


def test_a_renewal_that_is_seen_begins_the_wait_anew():
    later = observe(seen(a_record()), a_record(renewed=NOON.replace(minute=1), version="8"), now=100.0 + D)
    assert isinstance(decided(later, now=100.0 + D), Wait)


def test_an_edit_of_its_metadata_does_not_begin_the_wait_anew():
    later = observe(seen(a_record()), a_record(version="8"), now=100.0 + D)
    decision = decided(later, now=100.0 + D)
    assert isinstance(decision, Acquire)
    assert decision.record.version == "8"


def test_a_holder_that_says_another_duration_is_given_that():
    sighting = seen(a_record(duration=60))
    assert isinstance(decided(sighting, now=100.0 + D), Wait)
    assert isinstance(decided(sighting, now=160.0), Acquire)


def test_a_lease_that_was_deleted_is_still_given_its_duration():
    gone = observe(seen(a_record()), None, now=105.0)
    assert isinstance(decided(gone, now=105.0 + D - 0.001), Wait)
    assert isinstance(decided(observe(gone, None, now=110.0), now=105.0 + D), Acquire)


def test_the_holder_renews_and_keeps_what_the_others_count():
    decision = decided(seen(a_record("me", renewed=None)), now=100.0 + 2 * D)
    assert decision == Renew(a_record("me"))


def test_a_process_never_renews_for_another_one_of_its_pod():
    assert isinstance(decided(seen(a_record("pod_1")), now=100.0, me="pod_2"), Wait)


# A model of several candidates: each looks, decides and writes as controllers.leadership does, over a network that
# delays as it likes, with a clock that starts anywhere and runs at a rate of its own.

FASTEST = 1.5
"""Rate of the fastest clock where the slowest has 1; below duration / give_up."""


@dataclass
class Server:
    """The API server's copy of the Lease, and the real time."""

    record: Record | None = None
    versions: int = 0
    time: float = 0.0

    def write(self, record: Record) -> Record | None:
        """Store a record that was made from what is here; None: a conflict."""
        if record.version != (self.record.version if self.record else ""):
            return None
        self.versions += 1
        self.record = replace(record, version=str(self.versions))
        return self.record


@dataclass
class Candidate:
    """One operator, and the next one in its place whenever it ends."""

    name: str
    server: Server
    offset: float
    rate: float
    until: float = -math.inf

    def clock(self) -> float:
        return self.offset + self.server.time * self.rate

    def believes(self) -> bool:
        return self.clock() < self.until

    def life(self) -> Iterator[None]:
        """Live; at each yield any time may pass."""
        sighting: Sighting | None = None
        for turn in count():
            if self.until > -math.inf and not self.believes():
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
    """How long a candidate's steps take: as a rule so long, and some of them as long as is said."""

    usual: float
    stalls: Mapping[int, float] = field(default_factory=dict)

    def delays(self) -> Iterator[float]:
        return (self.stalls.get(step, self.usual) for step in count())


networks = st.builds(
    Network, st.sampled_from([0.01, 0.1, 0.4]), st.dictionaries(st.integers(0, 50), st.floats(0, 40), max_size=6)
)
clocks = st.tuples(st.floats(-1e6, 1e6), st.floats(1, FASTEST))


def leaders(networks: Sequence[Network], machines: Sequence[tuple[float, float]], *, steps: int) -> list[str]:
    """Let candidates live, each with a network and a clock of its own; return who believed at each step."""
    server = Server()
    candidates = [Candidate(f"c{n}", server, offset, rate) for n, (offset, rate) in enumerate(machines)]
    lives = [each.life() for each in candidates]
    waits = [each.delays() for each in networks]
    due = [(next(wait), n) for n, wait in enumerate(waits)]
    heapq.heapify(due)
    seen = []
    for _ in range(steps):
        server.time, n = heapq.heappop(due)
        next(lives[n])
        believing = [each.name for each in candidates if each.believes()]
        assert len(believing) <= 1, f"at {server.time:.2f} {believing} believe that they lead"
        seen += believing
        heapq.heappush(due, (server.time + next(waits[n]), n))
    return seen


@settings(max_examples=300, deadline=None)
@given(there=st.lists(networks, min_size=3, max_size=3), machines=st.lists(clocks, min_size=3, max_size=3))
def test_never_two_believe_that_they_lead(there: list[Network], machines: list[tuple[float, float]]):
    leaders(there, machines, steps=400)


def test_on_a_good_network_the_first_leads_all_the_time():
    assert set(leaders([Network(0.01), Network(0.011)], [(0.0, 1.0), (5.0, 1.0)], steps=500)) == {"c0"}


def test_a_leader_that_is_cut_off_is_replaced():
    cut_off = Network(0.01, {20: 1000.0})
    assert leaders([cut_off, Network(0.01)], [(0.0, 1.0), (5.0, 1.0)], steps=5000)[-1] == "c1"
