"""The controller of AgentRuns. A reconcile observes, plans, acts, and writes the status if it changed."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from durafleet.api.lifecycle import RETRYABLE
from durafleet.controllers.kind import Watch
from durafleet.controllers.queue.fairness import Band
from durafleet.controllers.queue.keyed import KeyedQueue
from durafleet.controllers.runs.effects import TemporalCallError, perform, record_error, store_written
from durafleet.controllers.runs.hints import take_hint
from durafleet.controllers.runs.memory import Memory
from durafleet.controllers.runs.metrics import measure
from durafleet.controllers.runs.sightings import RunSightings
from durafleet.controllers.runs.store import RunStore
from durafleet.controllers.world import World
from durafleet.core.grace import Trouble
from durafleet.core.objects import Key, Run
from durafleet.core.places import Target
from durafleet.core.runs.actions import DeleteRun, RunPlan, StartWorkflow
from durafleet.core.runs.plan import plan_run
from durafleet.core.runs.settled import SettledRun, is_settled, settled
from durafleet.core.runs.urgency import first_status_due
from durafleet.core.runs.waiting import unpolled
from durafleet.core.runs.world import RunWorld
from durafleet.errors import NotFound, Unavailable
from durafleet.kube.resources import RUNS, read, write_status

logger = logging.getLogger(__name__)

MAX_PLANS = 12
"""Most plans in one reconcile. A run needs fewer from start to end; more mean that the plans never end."""
PROGRESS_EVERY = 10.0
"""Seconds between writes of progress to a status."""
LOW_LOAD = 2
"""Most runs that are queued or being reconciled while Events are posted without pauses."""


class RunController:
    """Reconciles AgentRuns with their workflows."""

    def __init__(self, world: World, *, concurrency: int) -> None:
        self._world = world
        self._runs = RunStore()
        self.queue: KeyedQueue[Key] = KeyedQueue("agentruns", self.reconcile, concurrency=concurrency)
        self.sightings = RunSightings(world, self._runs, self.queue)
        self.tracker = self.sightings.tracker
        self._first_status_due = 0.0
        self._runs.changed = self.sightings.admission.observe
        world.events.busy = lambda: self.queue.load > LOW_LOAD

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(RUNS, self.observe),)

    def observe(self, event: Mapping[str, Any]) -> None:
        """Store the AgentRun of a watch event, and enqueue its key if it changed."""
        self.sightings.observe(event)

    def wake(self, *, tenant: str, worker: str | None = None) -> None:
        """Enqueue the runs of an AgentWorker, or of a namespace, that have not ended."""
        self.sightings.wake(tenant=tenant, worker=worker)

    def take_hint(self, workflow: str) -> bool:
        """Reconcile the run of a workflow that is reported as ended; return whether there is such a run."""
        return take_hint(workflow, self._runs, self.sightings)

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one run; return after how many seconds to reconcile it again, if at all."""
        if (kept := self._runs.settled(key)) is not None:
            if (delay := self._seconds_until_due(kept)) != 0:
                return delay
            await self._read_again(kept)
        run = self._runs.get(key)
        if run is None:
            self.sightings.forget(key)
            return None
        if self.sightings.defer_to_census(run):
            return None
        memory = self.sightings.remember(run)
        memory.begin()
        try:
            return await self._reconcile_run(key, memory)
        finally:
            memory.given = None
            if memory.end():
                self.sightings.look_again(key)
            if (run := self._runs.get(key)) is not None:
                self.sightings.admission.release(run)

    def _seconds_until_due(self, kept: SettledRun) -> float | None:
        """Return in how many seconds a settled run has to be reconciled; None if never."""
        if kept.key in self.sightings.memory:  # its workflow may have a later execution
            return 0
        if kept.expires is None:
            return None
        return max((kept.expires - self._world.now()).total_seconds(), 0)

    async def _read_again(self, kept: SettledRun) -> None:
        """Read a settled run again: the plan needs the complete object."""
        body = await read(self._world.kube, RUNS, kept.namespace, kept.name)
        if body is None:
            self._runs.drop(kept.key)
        else:
            self._runs.restore(body)

    async def _reconcile_run(self, key: Key, memory: Memory) -> float | None:
        trouble: Trouble | None = None
        failure: Unavailable | None = None
        for _ in range(MAX_PLANS):
            run = self._runs.get(key)
            if run is None or run.uid != memory.uid:
                return 0.0
            plan = plan_run(run, self._observed_state(run, memory, trouble), now=self._world.now())
            if not plan.actions and (plan.status is None or plan.status == run.status):
                self._track(run, memory)
                if failure is not None and plan.requeue is None:
                    raise failure
                if failure is None and is_settled(run, plan):
                    self._settle(run, plan)
                return plan.requeue
            try:
                await self._carry_out(run, memory, plan)
            except TemporalCallError as raised:
                trouble, failure = record_error(memory, raised, now=self._world.now())
                continue
            if _ends_reconciliation(plan):
                return None
        raise RuntimeError(f"AgentRun {key}: the plan still has actions after {MAX_PLANS} steps")

    def _observed_state(self, run: Run, memory: Memory, trouble: Trouble | None) -> RunWorld:
        worker = self._world.workers.get((run.namespace, run.spec.worker_ref.name))
        due = memory.progress_at is None or (self._world.now() - memory.progress_at).total_seconds() >= PROGRESS_EVERY
        return RunWorld(
            worker=worker,
            target=self.sightings.target(run),
            execution=memory.execution,
            absent=memory.absent,
            trouble=trouble or self.tracker.outage(run.key),
            progress_due=due,
            unpolled=unpolled(run, worker),
            turn=self.sightings.admission.turn(run, worker),
            given=memory.given,
            pausable=memory.unpausable != run.generation,
            expected=self.tracker.expects(run.key),
        )

    async def _carry_out(self, run: Run, memory: Memory, plan: RunPlan) -> None:
        if not plan.actions and plan.status is not None:
            await self._write(run, memory, plan)
            return
        for announcement in plan.announcements:  # a plan with actions: no status reports this
            await self._world.events.post(RUNS, run, announcement)
        if any(isinstance(action, StartWorkflow) for action in plan.actions):
            await self._start(run, memory, plan)
        else:
            await self._perform(run, memory, plan)

    async def _perform(self, run: Run, memory: Memory, plan: RunPlan) -> None:
        for action in plan.actions:
            await perform(self._world, self._runs, run, memory, action)
            run = self._runs.get(run.key) or run

    async def _start(self, run: Run, memory: Memory, plan: RunPlan) -> None:
        """Start the workflow, and delay the first status: other starts come first, and a short run needs one status."""
        self.sightings.admission.reserve(run)  # before the first await, so that the next plan sees the slot as taken
        memory.started = True  # already now: watch events of our own writes must not make the run urgent
        try:
            await self._perform(run, memory, plan)
        except BaseException:
            memory.started = False
            raise
        self._track(run, memory)
        now = asyncio.get_running_loop().time()
        self._first_status_due = first_status_due(self._first_status_due, now=now)
        self.queue.mark(run.key, band=Band.LATER, delay=self._first_status_due - now)

    async def _write(self, run: Run, memory: Memory, plan: RunPlan) -> None:
        status = plan.status
        if status is None:
            return
        try:
            body = await write_status(self._world.kube, RUNS, run, status.wire(), run.status.wire())
        except NotFound:
            return  # deleted meanwhile; its watch event follows
        store_written(self._runs, memory, body)
        if status.progress != run.status.progress:
            memory.progress_at = self._world.now()
        measure(run, memory.execution, status, now=self._world.now())
        for announcement in plan.announcements:
            self._world.events.record(RUNS, run, announcement)

    def _track(self, run: Run, memory: Memory) -> None:
        execution = memory.execution
        target = self.sightings.target(run)
        ended = run.deleted is None and run.status.workflow is not None and run.status.state in RETRYABLE
        if isinstance(target, Target) and ended:
            self.tracker.watch_ended(run.key, target)
        elif isinstance(target, Target) and execution is not None and execution.open:
            self.tracker.watch(run.key, target, execution, generation=run.generation)
        elif memory.observed or not self.tracker.expects(run.key):
            self.tracker.drop(run.key)

    def _settle(self, run: Run, plan: RunPlan) -> None:
        self._runs.settle(settled(run, plan, now=self._world.now()))
        self.sightings.memory.pop(run.key, None)


def _ends_reconciliation(plan: RunPlan) -> bool:
    """Return whether the reconcile ends after this plan: the key is enqueued again, or the object is being deleted."""
    return any(isinstance(action, StartWorkflow | DeleteRun) for action in plan.actions)
