"""Run the worker: poll, report readiness, and stop without losing running work."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from pydantic_ai.durable_exec.temporal import AgentPlugin
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from durafleet_worker.agents import DeclaredAgent
from durafleet_worker.limits import CACHED_WORKFLOWS, STICKY_TIMEOUT
from durafleet_worker.options import RunOptions
from durafleet_worker.settings import Settings
from durafleet_worker.workflow import AgentRun

log = logging.getLogger(__name__)

_AFTER_DRAIN = timedelta(seconds=5)
"""Time for activities to react to their cancellation after the drain. The pod's grace period includes it."""
_POLL_CHECK = 0.2

# Workflow code and the worker share these modules. One of them holds the registry of agents, and importing them
# again for every run would cost more than the run.
_PASSED_THROUGH = ("durafleet", "durafleet_worker", "jsonschema", "jsonschema_specifications", "referencing", "rpds")


def build_worker(client: Client, settings: Settings, agents: Iterable[DeclaredAgent]) -> Worker:
    """Build the Temporal worker that hosts the workflow and the agents' activities."""
    return Worker(
        client,
        task_queue=settings.task_queue,
        identity=settings.identity,
        workflows=[AgentRun],
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions()),
        interceptors=[RunOptions()],
        plugins=[AgentPlugin(declared.agent) for declared in agents],
        max_cached_workflows=CACHED_WORKFLOWS,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        max_concurrent_workflow_tasks=settings.workflow_tasks,
        max_concurrent_activities=settings.activities,
        graceful_shutdown_timeout=settings.drain,
    )


def restrictions() -> SandboxRestrictions:
    """Return the restrictions of workflow code, with the modules that it shares with the worker."""
    return SandboxRestrictions.default.with_passthrough_modules(*_PASSED_THROUGH)


async def serve(worker: Worker, settings: Settings, stop: asyncio.Event) -> bool:
    """Run the worker until `stop` is set, then drain it.

    Returns:
        Whether all running work ended in time.

    Raises:
        Exception: the worker itself failed.
    """
    running = asyncio.create_task(worker.run(), name="worker")
    stopped = asyncio.create_task(stop.wait(), name="stop")
    ready = asyncio.create_task(_announce(worker, settings), name="ready")
    try:
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
        stopped.cancel()
        settings.ready_file.unlink(missing_ok=True)
    if running.done():
        await running
        return True
    return await _drain(worker, running, settings)


async def _drain(worker: Worker, running: asyncio.Task[None], settings: Settings) -> bool:
    log.info(
        "Stopping: the worker takes no new tasks. Running activities have %g s to finish.",
        settings.drain.total_seconds(),
    )
    shutdown = asyncio.create_task(worker.shutdown(), name="shutdown")
    _, late = await asyncio.wait({running, shutdown}, timeout=(settings.drain + _AFTER_DRAIN).total_seconds())
    if late:
        log.error("Some activities did not stop in time. Temporal retries them on another worker.")
        return False
    await running
    log.info("Stopped.")
    return True


async def _announce(worker: Worker, settings: Settings) -> None:
    """Write the ready file once Temporal reports that this worker polls."""
    while not await _polls(worker.client, settings):  # noqa: ASYNC110 - the event is in another process
        await asyncio.sleep(_POLL_CHECK)
    _touch(settings.ready_file)
    log.info("Polling the task queue %r in the namespace %r.", settings.task_queue, settings.namespace)


async def _polls(client: Client, settings: Settings) -> bool:
    request = DescribeTaskQueueRequest(
        namespace=settings.namespace,
        task_queue=TaskQueue(name=settings.task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        answer = await client.workflow_service.describe_task_queue(request)
    except RPCError as error:
        return (
            error.status == RPCStatusCode.PERMISSION_DENIED
        )  # not allowed to describe the queue; polling may still be allowed
    return any(poller.identity == settings.identity for poller in answer.pollers)


def _touch(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    path.touch()
