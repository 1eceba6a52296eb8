"""The workload: a worker process with a workflow that does nothing, and one that waits.

    python -m bench.workload HOST:PORT

All figures are about what surrounds a run, so the run itself is as small as it can be. Several task queue
pollers, no sandbox: the worker must not be what limits the others.
"""

import asyncio
import sys

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

TASK_QUEUE = "bench"


@workflow.defn(name="Nothing")
class Nothing:
    """Returns at once."""

    @workflow.run
    async def run(self) -> str:
        return "done"


@workflow.defn(name="Forever")
class Forever:
    """Stays open until it is told to finish."""

    def __init__(self) -> None:
        self._finished = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self._finished)
        return "done"

    @workflow.signal
    def finish(self) -> None:
        self._finished = True


async def main(address: str) -> None:
    """Work until the process is ended."""
    client = await Client.connect(address)
    await Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Nothing, Forever],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=2000,
    ).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
