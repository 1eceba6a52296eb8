"""Workflows of the scenarios; each records one effect, so that a repeated effect shows."""

from collections import Counter
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

TASK_QUEUE = "scenarios"
"""Shared by all tests: one worker per test would take longer than a scenario."""
EFFECTS: Counter[str] = Counter()
"""Number of effects by workflow id."""
FIXED: set[str | None] = set()
"""Workflow ids of `FailUntilFixed` whose step no longer fails."""
STARTED: dict[str, set[str]] = {}
"""Run ids of the executions that a worker has started, by workflow id."""


@activity.defn(name="record-effect")
async def record_effect() -> None:
    EFFECTS[str(activity.info().workflow_id)] += 1


@workflow.defn(name="RecordEffect")
class RecordEffect:
    """Records its effect and returns its input."""

    @workflow.run
    async def run(self, value: Any) -> Any:
        await _start()
        return value


@workflow.defn(name="Fail")
class Fail:
    """Records its effect and fails with its input as the message."""

    @workflow.run
    async def run(self, message: str) -> None:
        await _start()
        raise ApplicationError(message, type="Broken", non_retryable=True)


@workflow.defn(name="WaitForSignal")
class WaitForSignal:
    """Records its effect, waits for the signal `finish` and returns the signal's argument; can be cancelled."""

    def __init__(self) -> None:
        self._result: str | None = None

    @workflow.run
    async def run(self) -> str:
        await _start()
        await workflow.wait_condition(lambda: self._result is not None)
        return str(self._result)

    @workflow.signal
    def finish(self, result: str) -> None:
        self._result = result


@workflow.defn(name="FailUntilFixed")
class FailUntilFixed:
    """Records its effect, then runs a step that fails until it is fixed."""

    @workflow.run
    async def run(self) -> str:
        await _start()
        await workflow.execute_activity(run_step, start_to_close_timeout=timedelta(seconds=60))
        return "fixed"


@activity.defn(name="run-step")
async def run_step() -> None:
    if activity.info().workflow_id not in FIXED:
        raise ApplicationError("the step is not fixed", type="NotFixed", non_retryable=True)


async def _start() -> None:
    info = workflow.info()
    STARTED.setdefault(info.workflow_id, set()).add(info.run_id)
    await workflow.execute_activity(record_effect, start_to_close_timeout=timedelta(seconds=60))


def scenario_worker(client: Client) -> Worker:
    """Return the worker for these workflows; enter it to run it."""
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[RecordEffect, Fail, WaitForSignal, FailUntilFixed],
        activities=[record_effect, run_step],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
