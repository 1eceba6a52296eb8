"""What reaches an AgentRun: watch events, what was seen in Temporal, and changes around it. Each marks it for a visit.

Nothing is decided here but whether to look, and how soon; and what was observed is remembered until then.
"""

from collections.abc import Mapping
from typing import Any

from durafleet.api.lifecycle import TERMINAL
from durafleet.controllers.queue.fairness import Band
from durafleet.controllers.queue.keyed import KeyedQueue
from durafleet.controllers.runs.admission import Admission
from durafleet.controllers.runs.memory import Memory
from durafleet.controllers.runs.store import RunStore
from durafleet.controllers.store import key_of
from durafleet.controllers.tracking.tracker import Tracker
from durafleet.controllers.world import World
from durafleet.core.conditions import Verdict
from durafleet.core.objects import Key, Run
from durafleet.core.places import Place, Target
from durafleet.core.runs.execution import Execution, latest, only_dated
from durafleet.core.runs.identity import connection_name, run_key
from durafleet.core.runs.settled import SettledRun, is_news, is_of
from durafleet.core.runs.tracking import believable, waits_for_census
from durafleet.core.runs.urgency import is_awaited

LISTING = 2.0
"""Seconds for the connections to be listed too, before a run that was there already says that it lacks its own."""


class RunSightings:
    """What is known of AgentRuns and their workflows, and what marks them.

    Attributes:
        memory: what was observed of each run that is not settled.
        tracker: follows the open workflows.
        admission: who holds a place, and who stands in line.
        listed: how many AgentRuns the watches have brought that were there before them.
    """

    def __init__(self, world: World, runs: RunStore, queue: KeyedQueue[Key]) -> None:
        self._world = world
        self._runs = runs
        self._queue = queue
        self.memory: dict[Key, Memory] = {}
        self.tracker = Tracker(world, self)
        self.admission = Admission(workers=world.workers.get, wake=self.look_again)
        self.listed = 0
        self._unplaced: set[Key] = set()  # whose connection is not listed yet

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take in a watch event: the echo of a write of ours is no news, and what was there before us can wait.

        What was there is not looked at one by one, if the census of its Temporal namespace will do.
        """
        key = key_of(event["object"])
        listed = event.get("type") is None
        self.listed += listed
        before = self._runs.version(key)
        self._runs.observe(event)
        if self._runs.version(key) == before:
            return
        run, memory = self._runs.get(key), self.memory.get(key)
        if run is not None and memory is not None and memory.visited:
            memory.brought.append(run.resource_version)
            return
        if run is None or not listed or self._knows(run) or not waits_for_census(run):
            self.look_again(key)
        elif not self._expect(run):
            self._unplaced.add(key)
            self._queue.mark(key, delay=LISTING)

    def look_again(self, key: Key) -> None:
        """Look at a run soon: before others if somebody waits for it."""
        run, memory = self._runs.get(key), self.memory.get(key)
        started = memory is not None and memory.started
        awaited = run is not None and is_awaited(run, started=started)
        self._queue.mark(key, band=Band.FIRST if awaited else Band.LATER)

    @property
    def backlog(self) -> int:
        """How many runs wait to be looked at."""
        return self._queue.depth

    def observe_execution(self, execution: Execution, place: Place) -> Key | None:
        """Take in what was seen in a Temporal namespace; return the key if it is of a run that we have there."""
        key = run_key(execution.workflow_id)
        run = self._runs.known(key) if key is not None else None
        if run is None or not is_of(execution, run):
            return None
        if not believable(self.target(run), place):
            return None
        if is_news(execution, run):
            memory = self.remember(run)
            before, believed = memory.execution, latest(memory.execution, execution)
            if believed != before:
                memory.see(believed)
            if not only_dated(before, believed):
                self.look_again(run.key)
        return run.key

    def refresh(self, key: Key) -> None:
        """Ask Temporal about a run again."""
        if (memory := self.memory.get(key)) is not None:
            memory.forget_open()
        self.look_again(key)

    def wake(self, *, tenant: str, worker: str | None = None) -> None:
        """Look again at the unfinished runs of a worker, or of a whole namespace."""
        for run in self._runs.of(tenant):
            concerned = worker in (None, run.spec.worker_ref.name)
            if concerned and run.status.state not in TERMINAL and not self._still_expected(run):
                self.look_again(run.key)

    def left_to_census(self, run: Run) -> bool:
        """Leave a run whose connection was not listed before to the census, if that will do by now."""
        if run.key not in self._unplaced:
            return False
        self._unplaced.discard(run.key)
        return waits_for_census(run) and not self._knows(run) and self._expect(run)

    def target(self, run: Run | SettledRun) -> Target | Verdict:
        """Return the Temporal namespace of a run, or why there is none."""
        if isinstance(run, SettledRun):
            return self._world.target(run.namespace, run.connection)
        worker = self._world.workers.get((run.namespace, run.spec.worker_ref.name))
        return self._world.target(run.namespace, connection_name(run, worker))

    def remember(self, run: Run | SettledRun) -> Memory:
        """Return what was observed of a run; nothing of an earlier one of its name."""
        memory = self.memory.get(run.key)
        if memory is None or memory.uid != run.uid:
            memory = self.memory[run.key] = Memory(run.uid)
        return memory

    def forget(self, key: Key) -> None:
        """Forget a run that is gone."""
        self.memory.pop(key, None)
        self._unplaced.discard(key)
        self.tracker.drop(key)
        self._queue.forget(key)

    def _knows(self, run: Run) -> bool:
        memory = self.memory.get(run.key)
        return memory is not None and memory.uid == run.uid and memory.seen

    def _expect(self, run: Run) -> bool:
        """Leave a run to the census of its Temporal namespace; tell whether it has one."""
        target = self.target(run)
        if isinstance(target, Verdict):
            return False
        self.tracker.expect(run.key, target)
        return True

    def _still_expected(self, run: Run) -> bool:
        """Tell whether a census will tell of a run, wherever its connection leads by now."""
        return self.tracker.expects(run.key) and self._expect(run)
