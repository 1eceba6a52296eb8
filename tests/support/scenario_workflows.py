"""Workflows with an effect that is written down, so that a second effect shows."""

from collections import Counter
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

TASK_QUEUE = "errands"
"""One for all tests: a worker each would cost more than their lives."""
EFFECTS: Counter[str] = Counter()
"""How often each workflow id had its effect."""
LOWERED: set[str | None] = set()
"""Workflow ids whose hurdle can be taken."""
BEGUN: dict[str, set[str]] = {}
"""Run ids of the executions that a worker has begun, by workflow id."""


@activity.defn(name="take-effect")
async def take_effect() -> None:
    EFFECTS[str(activity.info().workflow_id)] += 1


@workflow.defn(name="Errand")
class Errand:
    """Has its effect and returns its input."""

    @workflow.run
    async def run(self, value: Any) -> Any:
        await _begin()
        return value


@workflow.defn(name="Fail")
class Fail:
    """Has its effect and fails with its input as the message."""

    @workflow.run
    async def run(self, message: str) -> None:
        await _begin()
        raise ApplicationError(message, type="Broken", non_retryable=True)


@workflow.defn(name="Linger")
class Linger:
    """Has its effect, waits for the signal `finish` and returns what comes with it; lets itself be cancelled."""

    def __init__(self) -> None:
        self._words: str | None = None

    @workflow.run
    async def run(self) -> str:
        await _begin()
        await workflow.wait_condition(lambda: self._words is not None)
        return str(self._words)

    @workflow.signal
    def finish(self, words: str) -> None:
        self._words = words


@workflow.defn(name="Climb")
class Climb:
    """Has its effect, then comes to a hurdle that may be too high."""

    @workflow.run
    async def run(self) -> str:
        await _begin()
        await workflow.execute_activity(take_hurdle, start_to_close_timeout=timedelta(seconds=60))
        return "over it"


@activity.defn(name="take-hurdle")
async def take_hurdle() -> None:
    if activity.info().workflow_id not in LOWERED:
        raise ApplicationError("the hurdle is too high", type="TooHigh", non_retryable=True)


async def _begin() -> None:
    info = workflow.info()
    BEGUN.setdefault(info.workflow_id, set()).add(info.run_id)
    await workflow.execute_activity(take_effect, start_to_close_timeout=timedelta(seconds=60))


def errands(client: Client) -> Worker:
    """Return what runs these workflows; enter it to run it."""
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Errand, Fail, Linger, Climb],
        activities=[take_effect, take_hurdle],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
