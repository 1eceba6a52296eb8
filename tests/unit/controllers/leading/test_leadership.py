"""One candidate and an in-memory Lease: lost responses, other writers, and the end of the candidate."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn, cast

import pytest

from durafleet.controllers.leading import leadership
from durafleet.controllers.leading.leadership import Leadership
from durafleet.core.leading.lease import TERMS, Record
from durafleet.errors import Conflict, Denied, NotFound, Unavailable
from durafleet.fence import Fence
from durafleet.kube.lease import Lease
from tests.support.builders import NOON
from tests.support.waiting import until

ME, OTHER = "me_1", "other_1"


class Ended(Exception):
    """Raised instead of ending this process."""


def die(why: str) -> NoReturn:
    raise Ended(why)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class MemoryLease:
    """A Lease as the API server keeps it; `before` and `after` are called around each write."""

    namespace, name = "system", "operator"

    def __init__(self) -> None:
        self.record: Record | None = None
        self.writes = 0
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None
        self.refusal: Exception | None = None

    async def read(self) -> Record | None:
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        return self.record

    async def write(self, record: Record) -> Record:
        self.before()
        if self.record is None and record.version:
            raise NotFound("it is gone")
        if record.version != (self.record.version if self.record else ""):
            raise Conflict("somebody else wrote")
        self.put(record)
        self.after()
        assert self.record is not None
        return self.record

    def put(self, record: Record) -> None:
        self.writes += 1
        self.record = replace(record, version=str(self.writes))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fence(clock: Clock) -> Fence:
    return Fence(clock=clock, die=die)


@pytest.fixture
def lease() -> MemoryLease:
    return MemoryLease()


@pytest.fixture
def candidate(lease: MemoryLease, fence: Fence, clock: Clock) -> Leadership:
    quick = replace(TERMS, renew_every=0.001, look_every=0.001)
    return Leadership(
        cast("Lease", lease), me=ME, fence=fence, clock=clock, wall=lambda: NOON, terms=quick
    )  # fmt: skip


def once(do: Callable[[], object]) -> Callable[[], None]:
    """Return a function that calls `do` the first time it is called."""
    left = [do]
    return lambda: (left.pop()(), None)[1] if left else None


def lost() -> None:
    raise Unavailable("the answer was lost")


async def until_ended(candidate: Leadership) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(Ended):
            await candidate.keep()


async def test_leadership_is_timed_from_before_the_lease_write_is_sent_not_from_its_response(
    candidate: Leadership, lease: MemoryLease, fence: Fence, clock: Clock
):
    def take_long() -> None:
        clock.now += TERMS.give_up - 0.1

    lease.before = take_long
    await candidate.acquire()
    fence.check()
    clock.now += 0.1
    with pytest.raises(Ended):
        fence.check()


async def test_a_candidate_cannot_write_until_it_leads(candidate: Leadership, fence: Fence):
    with pytest.raises(asyncio.CancelledError):
        await fence.through(asyncio.sleep(0))
    await candidate.acquire()
    await fence.through(asyncio.sleep(0))


async def test_a_renewal_during_shutdown_does_not_allow_new_writes(
    candidate: Leadership, lease: MemoryLease, fence: Fence
):
    await candidate.acquire()
    await candidate.hold_still()
    keeping = asyncio.create_task(candidate.keep())
    await until(lambda: lease.writes >= 3, what="the Lease was renewed", within=10)
    with pytest.raises(asyncio.CancelledError):
        await fence.through(asyncio.sleep(0))
    keeping.cancel()


async def test_a_candidate_that_lost_the_response_to_its_acquisition_still_leads(
    candidate: Leadership, lease: MemoryLease
):
    lease.after = once(lost)
    async with asyncio.timeout(10):
        await candidate.acquire()
    assert lease.record is not None
    assert (lease.record.holder, lease.record.transitions) == (ME, 0)


async def test_a_leader_renews_after_another_client_has_edited_the_lease_metadata(
    candidate: Leadership, lease: MemoryLease
):
    await candidate.acquire()
    assert lease.record is not None
    lease.put(lease.record)  # a new label: another version, the same holder
    keeping = asyncio.create_task(candidate.keep())
    await until(lambda: lease.writes >= 5, what="the Lease was renewed", within=10)
    assert not keeping.done()
    keeping.cancel()
    assert candidate.leads


@pytest.mark.parametrize("holder", [OTHER, ""])
async def test_a_leader_ends_when_another_client_has_taken_or_released_its_lease(
    candidate: Leadership, lease: MemoryLease, holder: str
):
    await candidate.acquire()
    assert lease.record is not None
    lease.put(replace(lease.record, holder=holder, transitions=1))
    await until_ended(candidate)
    assert lease.record.holder == holder


async def test_a_leader_ends_when_its_lease_was_deleted(candidate: Leadership, lease: MemoryLease):
    await candidate.acquire()
    lease.record = None
    await until_ended(candidate)


async def test_a_standby_that_cannot_read_the_lease_is_not_ready_and_reports_why(
    candidate: Leadership, lease: MemoryLease
):
    lease.refusal = Denied("HTTP 403: leases is forbidden")
    standing_by = asyncio.create_task(candidate.acquire())
    await until(lambda: "HTTP 403" in candidate.standing[1], what="the read was refused", within=10)
    assert candidate.standing == (False, "standby: the request for the Lease failed: HTTP 403: leases is forbidden")
    lease.refusal, lease.record = None, Record(
        holder=OTHER, duration=8, acquired=NOON, renewed=NOON, transitions=0, version="0"
    )  # fmt: skip
    await until(lambda: candidate.standing[0], what="the candidate is ready", within=10)
    assert candidate.standing == (True, f"standby: {OTHER} leads")
    standing_by.cancel()


async def test_a_release_clears_the_holder_even_if_a_cancelled_renewal_still_arrives(
    candidate: Leadership, lease: MemoryLease
):
    await candidate.acquire()
    assert lease.record is not None
    mine = lease.record
    lease.before = once(lambda: lease.put(mine))  # a cancelled renewal that still arrives
    await candidate.hold_still()
    await candidate.release()
    assert lease.record.holder == ""


async def test_a_release_does_not_change_a_lease_that_another_candidate_holds(
    candidate: Leadership, lease: MemoryLease
):
    await candidate.acquire()
    assert lease.record is not None
    lease.put(replace(lease.record, holder=OTHER))
    await candidate.release()
    assert lease.record.holder == OTHER


async def test_the_lease_is_not_released_while_a_write_may_still_arrive(
    candidate: Leadership, lease: MemoryLease, fence: Fence, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(leadership, "PATIENCE", 0.01)
    await candidate.acquire()
    write = asyncio.create_task(fence.through(asyncio.Event().wait()))
    await asyncio.sleep(0)
    await candidate.hold_still()
    write.cancel()
    await candidate.release()
    assert lease.record is not None
    assert lease.record.holder == ME
