"""Execute the actions of an AgentRun's plan: one outbound call for each action. The results go to the run's memory."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from durafleet.api.status import Reason
from durafleet.controllers.runs.memory import Memory
from durafleet.controllers.runs.store import RunStore
from durafleet.controllers.world import World, verdict_of
from durafleet.core.conditions import Verdict
from durafleet.core.grace import Trouble
from durafleet.core.objects import Run
from durafleet.core.runs.actions import (
    AddFinalizer,
    CancelWorkflow,
    DeleteRun,
    Describe,
    PauseWorkflow,
    ReadInput,
    ReadOutcome,
    RemoveFinalizer,
    RetryWorkflow,
    RunAction,
    StartWorkflow,
    TemporalCall,
    TerminateWorkflow,
    UnpauseWorkflow,
)
from durafleet.core.runs.execution import Outcome
from durafleet.errors import Denied, DurafleetError, NamespaceNotFound, NotFound, Refused, Unavailable, Unsupported
from durafleet.kube.inputs import read_input
from durafleet.kube.resources import RUNS, delete_as_seen, set_finalizer
from durafleet.temporal import closes, control, executions
from durafleet.temporal.connections import Link
from durafleet.temporal.retries import retry


class TemporalCallError(Exception):
    """An error from Temporal, and the action that caused it."""

    def __init__(self, error: DurafleetError, action: TemporalCall) -> None:
        super().__init__(str(error))
        self.error = error
        self.target = action.target
        self.starting = isinstance(action, StartWorkflow)


def record_error(memory: Memory, raised: TemporalCallError, *, now: datetime) -> tuple[Trouble, Unavailable | None]:
    """Record since when calls to Temporal fail; only a refused start is final."""
    error, target = raised.error, raised.target
    memory.failing_since = memory.failing_since or now
    passing = isinstance(error, Unavailable | NamespaceNotFound | Denied) or not raised.starting
    if isinstance(error, Refused) and raised.starting and "search attribute" in str(error).lower():
        passing = True  # just registered: not in the server's cache yet
    if passing:
        failure = error if isinstance(error, Unavailable) else Unavailable(str(error))
        return Trouble(verdict_of(error, target), memory.failing_since), failure
    verdict = Verdict(
        Reason.START_REJECTED,
        f"Temporal refused to start the workflow: {str(error).rstrip('.')}. Correct the cause, then change "
        "spec.retry.token or create a new AgentRun.",
    )
    return Trouble(verdict, memory.failing_since, final=True), None


async def perform(world: World, runs: RunStore, run: Run, memory: Memory, action: RunAction) -> None:
    """Execute one action.

    Raises:
        TemporalCallError: Temporal refused the call, or did not answer.
        DurafleetError: the API server refused the call, or did not answer.
    """
    match action:
        case AddFinalizer():
            store_written(runs, memory, await set_finalizer(world.kube, RUNS, run, present=True))
        case RemoveFinalizer():
            await _release(world, runs, run, memory)
        case ReadInput(source=source):
            memory.given = await read_input(world.kube, run.namespace, source)
        case DeleteRun():
            await delete_as_seen(world.kube, RUNS, run)
        case _:
            try:
                await _call_temporal(await world.pool.ready(action.target), run, memory, action)
            except DurafleetError as error:
                raise TemporalCallError(error, action) from error
            memory.failing_since = None


def store_written(runs: RunStore, memory: Memory, body: dict[str, Any]) -> None:
    """Store an AgentRun as our write has returned it."""
    memory.written.append(body["metadata"]["resourceVersion"])
    runs.put(body)


async def _release(world: World, runs: RunStore, run: Run, memory: Memory) -> None:
    try:
        store_written(runs, memory, await set_finalizer(world.kube, RUNS, run, present=False))
    except NotFound:
        return


async def _call_temporal(link: Link, run: Run, memory: Memory, action: TemporalCall) -> None:
    match action:
        case StartWorkflow(request=request):
            memory.forget_execution()
            started = await executions.start(link, request)
            memory.observe(started or await executions.describe(link, request.workflow_id))
        case Describe(workflow_id=workflow):
            memory.observe(await executions.describe(link, workflow))
        case RetryWorkflow():
            memory.forget_execution()
            memory.observe(await retry(link, action))
        case ReadOutcome(workflow_id=workflow, run_id=run_id):
            await _read_outcome(link, memory, workflow, run_id)
        case CancelWorkflow(workflow_id=workflow):
            await control.cancel(link, workflow, action.first_run_id, reason=action.reason)
            if memory.execution is not None:
                memory.execution = replace(memory.execution, cancel_requested=True)
        case TerminateWorkflow(workflow_id=workflow):
            await control.terminate(link, workflow, action.first_run_id, reason=action.reason)
            memory.observe(await executions.describe(link, workflow))
        case PauseWorkflow(workflow_id=workflow, run_id=run_id):
            await _pause(link, run, memory, workflow, run_id)
        case UnpauseWorkflow(workflow_id=workflow, run_id=run_id):
            await control.unpause(link, workflow, run_id, reason="spec.suspend is false, or the run has to end")
            memory.observe(await executions.describe(link, workflow))


async def _read_outcome(link: Link, memory: Memory, workflow: str, run_id: str) -> None:
    try:
        outcome = await closes.read_outcome(link, workflow, run_id)
    except NotFound:
        outcome = Outcome()
    if memory.execution is not None and memory.execution.run_id == run_id:
        memory.execution = replace(memory.execution, outcome=outcome)


async def _pause(link: Link, run: Run, memory: Memory, workflow: str, run_id: str) -> None:
    try:
        await control.pause(link, workflow, run_id, reason="spec.suspend is true")
    except Unsupported:
        memory.unpausable = run.generation
        return
    memory.observe(await executions.describe(link, workflow))
