"""The loop of AgentRuns: observe, plan, act, write the status if it changed."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from prometheus_client import Counter, Histogram

from durafleet.api.status import Reason
from durafleet.controllers.queue import KeyedQueue
from durafleet.controllers.tracker import Tracker
from durafleet.controllers.world import World, verdict_of
from durafleet.core.actions import (
    AddFinalizer,
    CancelWorkflow,
    Describe,
    Plan,
    ReadOutcome,
    RemoveFinalizer,
    StartWorkflow,
    TerminateWorkflow,
)
from durafleet.core.conditions import Verdict
from durafleet.core.execution import Execution, Outcome, Target, latest
from durafleet.core.objects import Key, Run
from durafleet.core.run_status import TERMINAL
from durafleet.core.runs import RunWorld, Trouble, plan_run
from durafleet.core.starting import run_key, workflow_id
from durafleet.core.targets import connection_name
from durafleet.core.waiting import unpolled
from durafleet.errors import Denied, DurafleetError, NamespaceNotFound, NotFound, Refused, Unavailable
from durafleet.kube.resources import RUNS, announce, set_finalizer, write_status
from durafleet.temporal import executions

logger = logging.getLogger(__name__)

STEPS = 12
"""Most plans in one visit; a life needs fewer, so reaching it means that a plan does not settle."""
PROGRESS_EVERY = 10.0
"""Seconds between writes of progress."""

STARTED = Histogram(
    "durafleet_run_start_seconds",
    "From the creation of an AgentRun to its workflow's start.",
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 15, 60, 300),
)
CLOSED = Histogram(
    "durafleet_run_settle_seconds",
    "From a workflow's close to the terminal status.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60),
)
FINISHED = Counter("durafleet_runs_finished_total", "AgentRuns that reached a terminal state.", ["state"])


@dataclass
class Memory:
    """What was observed of one run since the operator started; a restart loses nothing by losing it."""

    uid: str
    execution: Execution | None = None
    absent: bool = False
    trouble_since: datetime | None = None
    progress_at: datetime | None = None


class RunController:
    """Brings AgentRuns and their workflows together."""

    def __init__(self, world: World, *, concurrency: int) -> None:
        self._world = world
        self._memory: dict[Key, Memory] = {}
        self.queue: KeyedQueue[Key] = KeyedQueue("agentruns", self.reconcile, concurrency=concurrency)
        self.tracker = Tracker(world, observe=self.observe_execution, refresh=self.refresh)

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take in a watch event."""
        self.queue.mark(self._world.runs.observe(event))

    def observe_execution(self, execution: Execution) -> Key | None:
        """Take in what a sweep saw; return the key if it is of a run that we know."""
        key = run_key(execution.workflow_id)
        run = self._world.runs.get(key) if key is not None else None
        if key is None or run is None or workflow_id(run) != execution.workflow_id:
            return None
        if run.status.state in TERMINAL:
            return key
        memory = self._remember(run)
        believed = latest(memory.execution, execution)
        if believed != memory.execution:
            memory.execution = believed
            self.queue.mark(key)
        return key

    def refresh(self, key: Key) -> None:
        """Ask Temporal about a run again."""
        memory = self._memory.get(key)
        if memory is not None and (memory.execution is None or memory.execution.open):
            memory.execution, memory.absent = None, False
        self.queue.mark(key)

    def wake(self, *, tenant: str, worker: str | None = None) -> None:
        """Look again at the unfinished runs of a worker, or of a whole namespace."""
        for run in self._world.runs:
            concerned = run.namespace == tenant and worker in (None, run.spec.worker_ref.name)
            if concerned and run.status.state not in TERMINAL:
                self.queue.mark(run.key)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one run as far as it goes now; return when to look again."""
        trouble: Trouble | None = None
        failure: Unavailable | None = None
        for _ in range(STEPS):
            run = self._world.runs.get(key)
            if run is None:
                self._forget(key)
                return None
            memory = self._remember(run)
            plan = plan_run(run, self._surroundings(run, memory, trouble), now=self._world.now())
            if not plan.actions and (plan.status is None or plan.status == run.status):
                self._track(run, memory)
                if failure is not None and plan.requeue is None:
                    raise failure
                return plan.requeue
            try:
                await self._carry_out(run, memory, plan)
            except _TemporalTrouble as raised:
                trouble, failure = self._take_trouble(memory, raised)
        raise RuntimeError(f"AgentRun {key}: the plan did not settle in {STEPS} steps")

    def _surroundings(self, run: Run, memory: Memory, trouble: Trouble | None) -> RunWorld:
        worker = self._world.workers.get((run.namespace, run.spec.worker_ref.name))
        target = self._world.target(run.namespace, connection_name(run, worker))
        due = memory.progress_at is None or (self._world.now() - memory.progress_at).total_seconds() >= PROGRESS_EVERY
        return RunWorld(
            worker=worker,
            target=target,
            execution=memory.execution,
            absent=memory.absent,
            trouble=trouble,
            progress_due=due,
            unpolled=unpolled(run, worker),
        )

    async def _carry_out(self, run: Run, memory: Memory, plan: Plan[Any]) -> None:
        for announcement in plan.announcements:
            await announce(self._world.kube, RUNS, run, announcement, now=self._world.now())
        for action in plan.actions:
            await self._perform(run, memory, action)
            run = self._world.runs.get(run.key) or run
        if not plan.actions and plan.status is not None:
            await self._write(run, memory, plan.status)

    async def _write(self, run: Run, memory: Memory, status: Any) -> None:
        try:
            body = await write_status(self._world.kube, RUNS, run, status.wire(), run.status.wire())
        except NotFound:
            return  # deleted meanwhile: its event is on the way, and nothing is left to describe
        self._world.runs.put(body)
        if status.progress != run.status.progress:
            memory.progress_at = self._world.now()
        self._measure(run, memory, status)

    def _measure(self, run: Run, memory: Memory, status: Any) -> None:
        execution = memory.execution
        if status.state == run.status.state or execution is None:
            return
        if run.status.start_time is None and execution.start_time is not None:
            STARTED.observe(max((execution.start_time - run.created).total_seconds(), 0.0))
        if status.state in TERMINAL:
            FINISHED.labels(status.state).inc()
            if execution.close_time is not None:
                CLOSED.observe(max((self._world.now() - execution.close_time).total_seconds(), 0.0))

    async def _perform(self, run: Run, memory: Memory, action: object) -> None:
        match action:
            case AddFinalizer():
                self._world.runs.put(await set_finalizer(self._world.kube, RUNS, run, present=True))
            case RemoveFinalizer():
                await self._let_go(run)
            case Describe() | StartWorkflow() | ReadOutcome() | CancelWorkflow() | TerminateWorkflow():
                try:
                    await self._ask_temporal(memory, action)
                except DurafleetError as error:
                    raise _TemporalTrouble(error, action) from error
                memory.trouble_since = None
            case _:
                raise TypeError(f"no AgentRun can ask for {action!r}")

    async def _let_go(self, run: Run) -> None:
        try:
            self._world.runs.put(await set_finalizer(self._world.kube, RUNS, run, present=False))
        except NotFound:
            return

    async def _ask_temporal(
        self, memory: Memory, action: Describe | StartWorkflow | ReadOutcome | CancelWorkflow | TerminateWorkflow
    ) -> None:
        link = await self._world.pool.ready(action.target)
        match action:
            case StartWorkflow(request=request):
                await executions.start(link, request)
                memory.execution = await executions.describe(link, request.workflow_id)
            case Describe(workflow_id=workflow):
                memory.execution = await executions.describe(link, workflow)
                memory.absent = memory.execution is None
            case ReadOutcome(workflow_id=workflow, run_id=run_id) if memory.execution is not None:
                try:
                    outcome = await executions.read_outcome(link, workflow, run_id)
                except NotFound:
                    outcome = Outcome()
                memory.execution = replace(memory.execution, outcome=outcome)
            case CancelWorkflow(workflow_id=workflow) if memory.execution is not None:
                await executions.cancel(link, workflow, action.first_run_id, reason=action.reason)
                memory.execution = replace(memory.execution, cancel_requested=True)
            case TerminateWorkflow(workflow_id=workflow):
                await executions.terminate(link, workflow, action.first_run_id, reason=action.reason)
                memory.execution = await executions.describe(link, workflow)
                memory.absent = memory.execution is None

    def _take_trouble(self, memory: Memory, raised: "_TemporalTrouble") -> tuple[Trouble, Unavailable | None]:
        """Remember since when Temporal gives trouble; only the refusal of a start is final."""
        error, target = raised.error, raised.target
        memory.trouble_since = memory.trouble_since or self._world.now()
        passing = isinstance(error, Unavailable | NamespaceNotFound | Denied) or not raised.starting
        if isinstance(error, Refused) and raised.starting and "search attribute" in str(error).lower():
            passing = True  # registered a moment ago: the server's cache has not seen it yet
        if passing:
            failure = error if isinstance(error, Unavailable) else Unavailable(str(error))
            return Trouble(verdict_of(error, target), memory.trouble_since), failure
        verdict = Verdict(Reason.START_REJECTED, f"Temporal refused to start the workflow: {error}")
        return Trouble(verdict, memory.trouble_since, final=True), None

    def _track(self, run: Run, memory: Memory) -> None:
        workflow, execution = run.status.workflow, memory.execution
        if workflow is None or execution is None or not execution.open or run.status.state in TERMINAL:
            self.tracker.drop(run.key)
            return
        target = self._world.target(run.namespace, workflow.connection)
        if isinstance(target, Target):
            self.tracker.watch(run.key, target, execution)

    def _remember(self, run: Run) -> Memory:
        memory = self._memory.get(run.key)
        if memory is None or memory.uid != run.uid:
            memory = self._memory[run.key] = Memory(run.uid)
        return memory

    def _forget(self, key: Key) -> None:
        self._memory.pop(key, None)
        self.tracker.drop(key)
        self.queue.forget(key)


class _TemporalTrouble(Exception):
    """An error of Temporal, with what was asked."""

    def __init__(
        self,
        error: DurafleetError,
        action: Describe | StartWorkflow | ReadOutcome | CancelWorkflow | TerminateWorkflow,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.target = action.target
        self.starting = isinstance(action, StartWorkflow)
