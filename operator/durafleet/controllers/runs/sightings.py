"""Observations that concern AgentRuns: watch events, executions seen in Temporal, and changes of related objects.

An observation is remembered, and enqueues the key of the run if the run has to be reconciled. This module decides only
whether that is necessary, and with which priority band.
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
from durafleet.core.runs.execution import Execution, adds_only_start_time, latest
from durafleet.core.runs.identity import connection_name, run_key
from durafleet.core.runs.settled import SettledRun, belongs_to, is_relevant
from durafleet.core.runs.tracking import is_trusted, waits_for_census
from durafleet.core.runs.urgency import is_urgent

CONNECTION_LIST_DELAY = 2.0
"""Seconds for the list of TemporalConnections to arrive, before a listed run reports that its connection is missing."""


class RunSightings:
    """The observations of AgentRuns and their workflows, which enqueue keys.

    Attributes:
        memory: the observations of each run that is not settled.
        tracker: follows the open workflows. It takes sweeps (periodic visibility queries) and censuses (full lists
            of open executions) of each Temporal namespace.
        admission: the slots and queues of AgentWorkers with a concurrency limit.
        listed: number of AgentRuns in the initial lists of the watches so far.
    """

    def __init__(self, world: World, runs: RunStore, queue: KeyedQueue[Key]) -> None:
        self._world = world
        self._runs = runs
        self._queue = queue
        self.memory: dict[Key, Memory] = {}
        self.tracker = Tracker(world, self)
        self.admission = Admission(workers=world.workers.get, wake=self.look_again)
        self.listed = 0
        self._without_connection: set[Key] = set()  # listed runs whose connection is not listed yet

    def observe(self, event: Mapping[str, Any]) -> None:
        """Store the AgentRun of a watch event, and enqueue its key if the run changed.

        The watch event of our own write does not enqueue the key. A run of the initial list waits for the census of
        its Temporal namespace, if that is enough to update it.
        """
        key = key_of(event["object"])
        listed = event.get("type") is None
        self.listed += listed
        before = self._runs.version(key)
        self._runs.observe(event)
        if self._runs.version(key) == before:
            return
        run, memory = self._runs.get(key), self.memory.get(key)
        if run is not None and memory is not None and memory.reconciling:
            memory.events_seen.append(run.resource_version)
            return
        if run is None or not listed or self._is_observed(run) or not waits_for_census(run):
            self.look_again(key)
        elif not self._defer(run):
            self._without_connection.add(key)
            self._queue.mark(key, delay=CONNECTION_LIST_DELAY)

    def look_again(self, key: Key) -> None:
        """Enqueue a run, in the first priority band if it is urgent."""
        run, memory = self._runs.get(key), self.memory.get(key)
        started = memory is not None and memory.started
        urgent = run is not None and is_urgent(run, started=started)
        self._queue.mark(key, band=Band.FIRST if urgent else Band.LATER)

    @property
    def backlog(self) -> int:
        """Number of queued keys."""
        return self._queue.depth

    def observe_execution(self, execution: Execution, place: Place) -> Key | None:
        """Record an execution that was seen in a Temporal namespace; return its run, None if no known run uses it."""
        key = run_key(execution.workflow_id)
        run = self._runs.known(key) if key is not None else None
        if run is None or not belongs_to(execution, run):
            return None
        if not is_trusted(self.target(run), place):
            return None
        if is_relevant(execution, run):
            memory = self.remember(run)
            before, after = memory.execution, latest(memory.execution, execution)
            if after != before:
                memory.observe(after)
            if not adds_only_start_time(before, after):
                self.look_again(run.key)
        return run.key

    def refresh(self, key: Key) -> None:
        """Enqueue a run, and describe its workflow again."""
        if (memory := self.memory.get(key)) is not None:
            memory.forget_open()
        self.look_again(key)

    def wake(self, *, tenant: str, worker: str | None = None) -> None:
        """Enqueue the runs of an AgentWorker, or of a namespace, that have not ended."""
        for run in self._runs.of(tenant):
            selected = worker in (None, run.spec.worker_ref.name)
            if selected and run.status.state not in TERMINAL and not self._is_deferred(run):
                self.look_again(run.key)

    def defer_to_census(self, run: Run) -> bool:
        """Let a run wait for the census if its connection was not listed before; return whether it waits."""
        if run.key not in self._without_connection:
            return False
        self._without_connection.discard(run.key)
        return waits_for_census(run) and not self._is_observed(run) and self._defer(run)

    def target(self, run: Run | SettledRun) -> Target | Verdict:
        """Return the Temporal namespace of a run, or why there is none."""
        if isinstance(run, SettledRun):
            return self._world.target(run.namespace, run.connection)
        worker = self._world.workers.get((run.namespace, run.spec.worker_ref.name))
        return self._world.target(run.namespace, connection_name(run, worker))

    def remember(self, run: Run | SettledRun) -> Memory:
        """Return the observations of a run; those of an earlier run with the same name are discarded."""
        memory = self.memory.get(run.key)
        if memory is None or memory.uid != run.uid:
            memory = self.memory[run.key] = Memory(run.uid)
        return memory

    def forget(self, key: Key) -> None:
        """Remove a deleted run."""
        self.memory.pop(key, None)
        self._without_connection.discard(key)
        self.tracker.drop(key)
        self._queue.forget(key)

    def _is_observed(self, run: Run) -> bool:
        memory = self.memory.get(run.key)
        return memory is not None and memory.uid == run.uid and memory.observed

    def _defer(self, run: Run) -> bool:
        """Let a run wait for the census of its Temporal namespace; return whether it has a namespace."""
        target = self.target(run)
        if isinstance(target, Verdict):
            return False
        self.tracker.expect(run.key, target)
        return True

    def _is_deferred(self, run: Run) -> bool:
        """Return whether a run waits for a census; the run moves to the namespace of its current connection."""
        return self.tracker.expects(run.key) and self._defer(run)
