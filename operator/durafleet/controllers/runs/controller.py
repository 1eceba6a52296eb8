"""The loop of AgentRuns: observe, plan, act, write the status if it changed."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from durafleet.api.lifecycle import RETRYABLE
from durafleet.controllers.kind import Watch
from durafleet.controllers.queue.fairness import Band
from durafleet.controllers.queue.keyed import KeyedQueue
from durafleet.controllers.runs.effects import TemporalTrouble, keep, perform, take_trouble
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

STEPS = 12
"""Most plans in one visit; a life needs fewer, so reaching it means that a plan does not settle."""
PROGRESS_EVERY = 10.0
"""Seconds between writes of progress."""
QUIET = 2
"""Most runs that are worked on, or wait, while Events are posted as fast as that goes."""


class RunController:
    """Brings AgentRuns and their workflows together."""

    def __init__(self, world: World, *, concurrency: int) -> None:
        self._world = world
        self._runs = RunStore()
        self.queue: KeyedQueue[Key] = KeyedQueue("agentruns", self.reconcile, concurrency=concurrency)
        self.sightings = RunSightings(world, self._runs, self.queue)
        self.tracker = self.sightings.tracker
        self._first_status_due = 0.0
        self._runs.changed = self.sightings.admission.observe
        world.events.busy = lambda: self.queue.load > QUIET

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(RUNS, self.observe),)

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take in a watch event."""
        self.sightings.observe(event)

    def wake(self, *, tenant: str, worker: str | None = None) -> None:
        """Look again at the unfinished runs of a worker, or of a whole namespace."""
        self.sightings.wake(tenant=tenant, worker=worker)

    def take_hint(self, workflow: str) -> bool:
        """Reconcile the run of a workflow that is said to have ended; tell whether there is such a run."""
        return take_hint(workflow, self._runs, self.sightings)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one run as far as it goes now; return when to look again."""
        if (kept := self._runs.settled(key)) is not None:
            if (patience := self._patience(kept)) != 0:
                return patience
            await self._take_up(kept)
        run = self._runs.get(key)
        if run is None:
            self.sightings.forget(key)
            return None
        if self.sightings.left_to_census(run):
            return None
        memory = self.sightings.remember(run)
        memory.enter()
        try:
            return await self._bring_on(key, memory)
        finally:
            memory.given = None
            if memory.leave():
                self.sightings.look_again(key)
            if (run := self._runs.get(key)) is not None:
                self.sightings.admission.release(run)

    def _patience(self, kept: SettledRun) -> float | None:
        """Return in how many seconds a settled run is due; None if nothing is to come."""
        if kept.key in self.sightings.memory:  # its workflow may have gone on
            return 0
        if kept.expires is None:
            return None
        return max((kept.expires - self._world.now()).total_seconds(), 0)

    async def _take_up(self, kept: SettledRun) -> None:
        """Read a settled run anew: all of it is needed to decide."""
        body = await read(self._world.kube, RUNS, kept.namespace, kept.name)
        if body is None:
            self._runs.drop(kept.key)
        else:
            self._runs.take_up(body)

    async def _bring_on(self, key: Key, memory: Memory) -> float | None:
        trouble: Trouble | None = None
        failure: Unavailable | None = None
        for _ in range(STEPS):
            run = self._runs.get(key)
            if run is None or run.uid != memory.uid:
                return 0.0
            plan = plan_run(run, self._surroundings(run, memory, trouble), now=self._world.now())
            if not plan.actions and (plan.status is None or plan.status == run.status):
                self._track(run, memory)
                if failure is not None and plan.requeue is None:
                    raise failure
                if failure is None and is_settled(run, plan):
                    self._settle(run, plan)
                return plan.requeue
            try:
                await self._carry_out(run, memory, plan)
            except TemporalTrouble as raised:
                trouble, failure = take_trouble(memory, raised, now=self._world.now())
                continue
            if _ends_the_visit(plan):
                return None
        raise RuntimeError(f"AgentRun {key}: the plan still has actions after {STEPS} steps")

    def _surroundings(self, run: Run, memory: Memory, trouble: Trouble | None) -> RunWorld:
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
        for announcement in plan.announcements:  # with an action: nothing else will tell of it
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
        """Start the workflow; its status is for later: all starts come first, and a run that is short needs one."""
        self.sightings.admission.reserve(run)  # before the first await: the next plan must find the place taken
        memory.started = True  # so are the events of our own writes, on their way, no reason to come back at once
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
            return  # deleted meanwhile: its event is on the way, and nothing is left to describe
        keep(self._runs, memory, body)
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
        elif memory.seen or not self.tracker.expects(run.key):
            self.tracker.drop(run.key)

    def _settle(self, run: Run, plan: RunPlan) -> None:
        self._runs.settle(settled(run, plan, now=self._world.now()))
        self.sightings.memory.pop(run.key, None)


def _ends_the_visit(plan: RunPlan) -> bool:
    """Tell whether what has been done is all for now: the key is marked for the rest, or the object is going."""
    return any(isinstance(action, StartWorkflow | DeleteRun) for action in plan.actions)
