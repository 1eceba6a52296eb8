"""One Temporal namespace, as the tracker knows it: who is followed there, by which ways it is reached, how it answers.

There is one lane whatever the number of Kubernetes namespaces and TemporalConnections that lead there, because
what it costs to look is the same for one run and for all.
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
    """Whom the runs belong to, as the tracker speaks to it."""

    @property
    def backlog(self) -> int:
        """How many runs wait to be looked at."""
        ...

    def observe_execution(self, execution: Execution, place: Place) -> Key | None:
        """Take in what was seen in a Temporal namespace; return the run that it is of, if it can be of one."""
        ...

    def refresh(self, key: Key) -> None:
        """Ask Temporal about a run."""
        ...

    def look_again(self, key: Key) -> None:
        """Look at a run around which something else has changed."""
        ...


@dataclass(frozen=True)
class Followed:
    """An open execution, and the generation of the spec for which it was looked at last."""

    execution: Execution
    generation: int


class Lane:
    """What is followed in one Temporal namespace.

    Attributes:
        open: executions that were open when they were last looked at.
        expected: runs that were there when the operator came; the next census shows them, or does not.
        ended: runs that ended without success; their workflows may be reset in Temporal itself.
        pace: how often it is swept.
        outage: it has not answered a sweep for so long that the open runs have to say so.
        answers: the last sweep was answered.
        busy: set as soon as something is open; the idle sweeper waits for it.
        joined: set as soon as anything is followed; the census waits until that has stopped.
        arrived: set as soon as something is expected; it needs a census.
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
        """Whether there is nobody to look out for."""
        return not self._way_of

    @property
    def idle(self) -> bool:
        """Whether nothing is open, as far as is known: at most, somebody may reset what has ended."""
        return not (self.open or self.expected)

    @property
    def ways(self) -> list[Target]:
        """The connections that lead here, the operator's own first."""
        return sorted(self._ways, key=lambda way: way.connection is not None)

    def watch(self, key: Key, target: Target, followed: Followed) -> None:
        """Follow an open execution until `leave`."""
        self._join(key, target)
        self.expected.discard(key)
        self.ended.discard(key)
        self.open[key] = followed
        self.busy.set()

    def expect(self, key: Key, target: Target) -> None:
        """Await a run in the next census."""
        self._join(key, target)
        if key not in self.expected:
            self.expected.add(key)
            self.busy.set()
            self.arrived.set()

    def watch_ended(self, key: Key, target: Target) -> None:
        """Look out for a later execution of a run that ended without success."""
        self._join(key, target)
        self.expected.discard(key)
        self.open.pop(key, None)
        self.ended.add(key)

    def leave(self, key: Key) -> None:
        """Follow a run no more."""
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
        """How many executions are believed open."""
        return len(self.open) + len(self.expected)

    def run_ids(self) -> dict[Key, str]:
        """Return the run ids of all that is believed open; empty for what is only expected."""
        return {**dict.fromkeys(self.expected, ""), **{key: each.execution.run_id for key, each in self.open.items()}}

    async def link(self) -> Link:
        """Return a link to this Temporal namespace; raises like `Pool.ready`."""
        ways = self.ways or [self._last_way]
        return await self._pool.ready(ways[self._turn % len(ways)])

    def try_another_way(self) -> None:
        """Use the next connection from now on: what is broken may be one tenant's only."""
        self._turn += 1

    def see(self, execution: Execution) -> Key | None:
        """Hand on what was seen here; return the run that it is of."""
        if execution.progress is not None:
            self.reporting.add(execution.type)
        return self.owner.observe_execution(execution, self.place)

    def note_outage(self, outage: Trouble | None) -> None:
        """Let the open runs know that Temporal is silent, or speaks again.

        Once it speaks, what is expected waits on: the census tells.
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
