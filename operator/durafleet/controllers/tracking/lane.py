"""A lane: one Temporal namespace, with the runs that are followed there and the connections that lead to it.

All Kubernetes namespaces and TemporalConnections that use a Temporal namespace share one lane, because a query costs
the same for one run and for all.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from durafleet.core.grace import Trouble
from durafleet.core.objects import Key
from durafleet.core.pacing import USUAL, Pace
from durafleet.core.places import Place, Target
from durafleet.core.runs.execution import Execution
from durafleet.temporal.connections import Link, Pool


class Owner(Protocol):
    """The owner of the runs, as the tracker uses it."""

    @property
    def backlog(self) -> int:
        """Number of runs that wait to be reconciled."""
        ...

    def observe_execution(self, execution: Execution, place: Place) -> Key | None:
        """Take in an execution of a Temporal namespace; return the run that it may belong to, if any."""
        ...

    def refresh(self, key: Key) -> None:
        """Enqueue a run, to be described by Temporal."""
        ...

    def look_again(self, key: Key) -> None:
        """Enqueue a run whose observed state has changed otherwise."""
        ...


@dataclass(frozen=True)
class Followed:
    """An open execution, and the generation of the spec with which it was last reconciled."""

    execution: Execution
    generation: int


class Lane:
    """The runs that are followed in one Temporal namespace.

    Attributes:
        open: executions that were open when they were last observed.
        expected: runs that existed when the operator started. The next census shows them if they are open.
        ended: runs that ended without success. Somebody may reset their workflows in Temporal.
        pace: the interval of the sweeps.
        outage: an outage of Temporal that has lasted so long that the open runs have to report it.
        answers: whether the last sweep succeeded.
        busy: set as soon as something is open. The idle sweeper waits for it.
        joined: set as soon as a run is added. The census waits until no more are added.
        arrived: set as soon as a run is expected, because that needs a census.
        reporting: workflow types of which an execution has reported progress.
    """

    def __init__(self, way: Target, *, owner: Owner, pool: Pool) -> None:
        self.place = way.place
        self._last_way = way
        self.owner = owner
        self.open: dict[Key, Followed] = {}
        self.expected: set[Key] = set()
        self.ended: set[Key] = set()
        self.pace: Pace = USUAL
        self.outage: Trouble | None = None
        self.answers = False
        self.busy = asyncio.Event()
        self.joined = asyncio.Event()
        self.arrived = asyncio.Event()
        self.reporting: set[str] = set()
        self._pool = pool
        self._ways: Counter[Target] = Counter()
        self._way_of: dict[Key, Target] = {}
        self._turn = 0

    @property
    def empty(self) -> bool:
        """Whether no run is followed."""
        return not self._way_of

    @property
    def idle(self) -> bool:
        """Whether nothing is open, as far as is known. Somebody may still reset a workflow that has ended."""
        return not (self.open or self.expected)

    @property
    def ways(self) -> list[Target]:
        """The connections to this Temporal namespace, the operator's default connection first."""
        return sorted(self._ways, key=lambda way: way.connection is not None)

    def watch(self, key: Key, target: Target, followed: Followed) -> None:
        """Follow an open execution until `leave`."""
        self._join(key, target)
        self.expected.discard(key)
        self.ended.discard(key)
        self.open[key] = followed
        self.busy.set()

    def expect(self, key: Key, target: Target) -> None:
        """Expect a run in the next census."""
        self._join(key, target)
        if key not in self.expected:
            self.expected.add(key)
            self.busy.set()
            self.arrived.set()

    def watch_ended(self, key: Key, target: Target) -> None:
        """Watch for a later execution of a run that ended without success."""
        self._join(key, target)
        self.expected.discard(key)
        self.open.pop(key, None)
        self.ended.add(key)

    def leave(self, key: Key) -> None:
        """Stop following a run."""
        self.expected.discard(key)
        self.ended.discard(key)
        self.open.pop(key, None)
        way = self._way_of.pop(key, None)
        if way is not None:
            self._ways[way] -= 1
            if self._ways[way] == 0:
                del self._ways[way]

    @property
    def size(self) -> int:
        """Number of executions that are believed to be open."""
        return len(self.open) + len(self.expected)

    def run_ids(self) -> dict[Key, str]:
        """Return the run ids of all executions that are believed to be open; empty for expected runs."""
        return {**dict.fromkeys(self.expected, ""), **{key: each.execution.run_id for key, each in self.open.items()}}

    async def link(self) -> Link:
        """Return a link to this Temporal namespace. Raises like `Pool.ready`."""
        ways = self.ways or [self._last_way]
        return await self._pool.ready(ways[self._turn % len(ways)])

    def try_another_way(self) -> None:
        """Use the next connection from now on, because the failure may affect only one tenant's connection."""
        self._turn += 1

    def see(self, execution: Execution) -> Key | None:
        """Pass on an execution that was observed here; return the run that it belongs to."""
        if execution.progress is not None:
            self.reporting.add(execution.type)
        return self.owner.observe_execution(execution, self.place)

    def note_outage(self, outage: Trouble | None) -> None:
        """Enqueue the open runs when an outage of Temporal begins or ends.

        When it ends, expected runs keep waiting for the census.
        """
        began, ended = self.outage is None and outage is not None, self.outage is not None and outage is None
        if not (began or ended):
            return
        self.outage = outage
        for key in [*self.open, *(self.expected if began else ())]:
            self.owner.look_again(key)

    def _join(self, key: Key, target: Target) -> None:
        way = self._last_way = target.way
        known = self._way_of.get(key)
        if known == way:
            return
        if known is not None:
            self.leave(key)
        self.joined.set()
        self._way_of[key] = way
        self._ways[way] += 1
