"""The workload: a worker process with a workflow that returns at once and one that waits.

    python -m bench.workload HOST:PORT

The benchmark measures the overhead around a run, so the run itself is as small as possible. The worker uses several
task queue pollers and no sandbox, so that it is not the bottleneck.
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
    """Stays open until the signal `finish`."""

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
    """Run the worker until the process ends."""
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
