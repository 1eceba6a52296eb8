"""Track open workflows: periodic sweeps for all, long-polls for young ones, and a regular census.

The controller of the runs uses this module. Each run is in one lane, that of its Temporal namespace.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import Gauge

from durafleet.controllers.tracking.census import Census
from durafleet.controllers.tracking.fast_lane import FastLane
from durafleet.controllers.tracking.lane import Followed, Lane, Owner
from durafleet.controllers.tracking.sweeps import Sweeper
from durafleet.controllers.world import World
from durafleet.core.conditions import Verdict
from durafleet.core.grace import Trouble
from durafleet.core.objects import Key
from durafleet.core.pacing import slowed
from durafleet.core.places import Place, Target
from durafleet.core.runs.execution import Execution

OPEN = Gauge("durafleet_open_runs", "AgentRuns whose workflow is open.")
UNOBSERVED = Gauge(
    "durafleet_unobserved_runs", "Open AgentRuns from before the operator's start, not yet observed in Temporal."
)


@dataclass
class Track:
    """A lane, its long-polls and its tasks."""

    lane: Lane
    polls: FastLane
    work: list[asyncio.Task[None]] = field(default_factory=list)


class Tracker:
    """Follows executions for the owner of the runs.

    Attributes:
        paced: called with a Temporal namespace when its server's limit has changed the pace of its sweeps.
    """

    def __init__(self, world: World, owner: Owner) -> None:
        self._world = world
        self._owner = owner
        self._tracks: dict[Place, Track] = {}
        self._place_of: dict[Key, Place] = {}
        self.paced: Callable[[Place], None] = lambda _: None
        OPEN.set_function(lambda: float(sum(each.lane.size for each in self._tracks.values())))
        UNOBSERVED.set_function(lambda: float(sum(len(each.lane.expected) for each in self._tracks.values())))

    def watch(self, key: Key, target: Target, execution: Execution, *, generation: int) -> None:
        """Follow an open execution until `drop`, for a while by a long-poll if the execution or its spec is new."""
        track = self._track(key, target)
        known, expected = track.lane.open.get(key), key in track.lane.expected
        track.lane.watch(key, target, Followed(execution, generation))
        another = known is not None and known.execution.run_id != execution.run_id
        if another or (known.generation != generation if known is not None else not expected):
            track.polls.follow(key, target, anew=another)

    def expect(self, key: Key, target: Target) -> None:
        """Leave a run that existed when the operator started to the next census."""
        self._track(key, target).lane.expect(key, target)

    def watch_ended(self, key: Key, target: Target) -> None:
        """Watch for a later execution of a run that ended without success, until `drop` or `watch`."""
        track = self._track(key, target)
        track.polls.leave(key)
        track.lane.watch_ended(key, target)

    def drop(self, key: Key) -> None:
        """Stop following a run."""
        place = self._place_of.pop(key, None)
        if place is not None:
            self._tracks[place].polls.leave(key)
            self._tracks[place].lane.leave(key)

    def expects(self, key: Key) -> bool:
        """Tell whether a run is left to the next census."""
        lane = self._lane_of(key)
        return lane is not None and key in lane.expected

    def outage(self, key: Key) -> Trouble | None:
        """Return the outage of Temporal that affects an open run, once it has lasted long."""
        lane = self._lane_of(key)
        return lane.outage if lane is not None and (key in lane.open or key in lane.expected) else None

    def slowed(self, place: Place) -> Verdict | None:
        """Return why the sweeps of a Temporal namespace are slowed, or None if they are not."""
        track = self._tracks.get(place)
        return slowed(place, track.lane.pace) if track is not None else None

    def details(self) -> list[str]:
        """Return the limitations of tracking, although the operator works."""
        return [verdict.message for place in self._tracks if (verdict := self.slowed(place)) is not None]

    def _lane_of(self, key: Key) -> Lane | None:
        place = self._place_of.get(key)
        return self._tracks[place].lane if place is not None else None

    def _track(self, key: Key, target: Target) -> Track:
        """Return the track that a run is on from now on. Restart its tasks if one has ended."""
        place = target.place
        if self._place_of.get(key, place) != place:
            self.drop(key)
        self._place_of[key] = place
        track = self._tracks.get(place)
        if track is None:
            lane = Lane(target, owner=self._owner, pool=self._world.pool)
            track = self._tracks[place] = Track(lane, FastLane(lane, self._world.pool))
        if not track.work or any(task.done() for task in track.work):
            self._begin(track)
        return track

    def _begin(self, track: Track) -> None:
        for task in track.work:
            task.cancel()
        sweeper = Sweeper(track.lane, now=self._world.now, paced=self.paced)
        track.work = [asyncio.create_task(sweeper.run()), asyncio.create_task(Census(track.lane).run())]
