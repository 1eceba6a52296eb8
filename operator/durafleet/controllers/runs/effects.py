"""Carrying out what a plan asks for an AgentRun: one outbound call an action, and what it taught is remembered."""

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
    AskTemporal,
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


class TemporalTrouble(Exception):
    """An error of Temporal, with what was asked."""

    def __init__(self, error: DurafleetError, action: AskTemporal) -> None:
        super().__init__(str(error))
        self.error = error
        self.target = action.target
        self.starting = isinstance(action, StartWorkflow)


def take_trouble(memory: Memory, raised: TemporalTrouble, *, now: datetime) -> tuple[Trouble, Unavailable | None]:
    """Remember since when Temporal gives trouble; only the refusal of a start is final."""
    error, target = raised.error, raised.target
    memory.trouble_since = memory.trouble_since or now
    passing = isinstance(error, Unavailable | NamespaceNotFound | Denied) or not raised.starting
    if isinstance(error, Refused) and raised.starting and "search attribute" in str(error).lower():
        passing = True  # registered a moment ago: the server's cache has not seen it yet
    if passing:
        failure = error if isinstance(error, Unavailable) else Unavailable(str(error))
        return Trouble(verdict_of(error, target), memory.trouble_since), failure
    verdict = Verdict(
        Reason.START_REJECTED,
        f"Temporal refused to start the workflow: {str(error).rstrip('.')}. Correct the cause, then change "
        "spec.retry.token or create a new AgentRun.",
    )
    return Trouble(verdict, memory.trouble_since, final=True), None


async def perform(world: World, runs: RunStore, run: Run, memory: Memory, action: RunAction) -> None:
    """Carry out one action.

    Raises:
        TemporalTrouble: Temporal refused, or gave no answer.
        DurafleetError: the API server did.
    """
    match action:
        case AddFinalizer():
            keep(runs, memory, await set_finalizer(world.kube, RUNS, run, present=True))
        case RemoveFinalizer():
            await _let_go(world, runs, run, memory)
        case ReadInput(source=source):
            memory.given = await read_input(world.kube, run.namespace, source)
        case DeleteRun():
            await delete_as_seen(world.kube, RUNS, run)
        case _:
            try:
                await _ask(await world.pool.ready(action.target), run, memory, action)
            except DurafleetError as error:
                raise TemporalTrouble(error, action) from error
            memory.trouble_since = None


def keep(runs: RunStore, memory: Memory, body: dict[str, Any]) -> None:
    """Keep an AgentRun as a write of ours has left it."""
    memory.written.append(body["metadata"]["resourceVersion"])
    runs.put(body)


async def _let_go(world: World, runs: RunStore, run: Run, memory: Memory) -> None:
    try:
        keep(runs, memory, await set_finalizer(world.kube, RUNS, run, present=False))
    except NotFound:
        return


async def _ask(link: Link, run: Run, memory: Memory, action: AskTemporal) -> None:
    match action:
        case StartWorkflow(request=request):
            memory.doubt()
            started = await executions.start(link, request)
            memory.see(started or await executions.describe(link, request.workflow_id))
        case Describe(workflow_id=workflow):
            memory.see(await executions.describe(link, workflow))
        case RetryWorkflow():
            memory.doubt()
            memory.see(await retry(link, action))
        case ReadOutcome(workflow_id=workflow, run_id=run_id):
            await _read_outcome(link, memory, workflow, run_id)
        case CancelWorkflow(workflow_id=workflow):
            await control.cancel(link, workflow, action.first_run_id, reason=action.reason)
            if memory.execution is not None:
                memory.execution = replace(memory.execution, cancel_requested=True)
        case TerminateWorkflow(workflow_id=workflow):
            await control.terminate(link, workflow, action.first_run_id, reason=action.reason)
            memory.see(await executions.describe(link, workflow))
        case PauseWorkflow(workflow_id=workflow, run_id=run_id):
            await _pause(link, run, memory, workflow, run_id)
        case UnpauseWorkflow(workflow_id=workflow, run_id=run_id):
            await control.unpause(link, workflow, run_id, reason="spec.suspend is false, or the run is to end")
            memory.see(await executions.describe(link, workflow))


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
    memory.see(await executions.describe(link, workflow))
