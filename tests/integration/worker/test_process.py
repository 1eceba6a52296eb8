"""The worker process: startup, crashes, drain and exit codes."""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from tests.support.ledger import Ledger, ledger
from tests.support.model import ModelServer, Step, calls, model_server, says
from tests.support.temporal import dev_server, free_port
from tests.support.waiting import until
from tests.support.worker import ROOT, environment, worker_process

# Short, so that Temporal notices a lost worker soon.
OPTIONS = {"startToClose": 60, "heartbeat": 2, "retry": {"maximumAttempts": 5, "initialInterval": 0.1}}


@dataclass
class Harness:
    """The servers and settings for the workers of one test."""

    folder: Path
    address: str
    model: ModelServer
    ledger: Ledger
    task_queue: str = field(default_factory=lambda: str(uuid.uuid4()))

    def env(self, **env: str) -> dict[str, str]:
        """Return the environment of a worker with one agent that records effects."""
        agents = [
            {
                "name": "clerk",
                "model": "openai:any",
                "baseURL": self.model.url,
                "tools": [{"python": "tools:record_effect"}],
            }
        ]
        return environment(
            self.folder,
            address=self.address,
            task_queue=self.task_queue,
            agents=agents,
            LEDGER_URL=self.ledger.url,
            **env,
        )

    async def start(self, prompt: str) -> WorkflowHandle[Any, Any]:
        client = await Client.connect(self.address)
        argument = {"agent": "clerk", "input": prompt, "options": OPTIONS}
        return await client.start_workflow("AgentRun", argument, id=str(uuid.uuid4()), task_queue=self.task_queue)


@pytest.fixture
def harness(tmp_path: Path, temporal_server: str) -> Iterator[Harness]:
    with model_server() as model, ledger() as book:
        yield Harness(tmp_path, temporal_server, model, book)


async def test_a_run_completes_after_its_worker_is_killed_and_each_tool_is_called_once(harness: Harness):
    gate = threading.Event()
    first, second, third = (((("record_effect", {"effect": effect}),)) for effect in ("a", "b", "c"))
    harness.model.script(
        "Record.", Step(calls=first), Step(calls=second), Step(calls=third, gate=gate), says("All recorded.")
    )
    with worker_process(harness.folder, harness.env()) as worker:
        await worker.until_ready()
        handle = await harness.start("Record.")
        await until(lambda: harness.model.asked("Record.") == 3, what="two tools are done and the model is called")
        worker.kill()
    with worker_process(harness.folder, harness.env()) as successor:
        await successor.until_ready()
        gate.set()
        assert (await handle.result())["output"] == "All recorded."
    assert harness.ledger.effects == ["a", "b", "c"]


async def test_a_worker_finishes_its_tool_call_on_sigterm_and_exits_with_code_0(harness: Harness):
    gate = harness.ledger.gates["slow"] = threading.Event()
    harness.model.script("Record.", calls("record_effect", effect="slow"), says("Recorded."))
    with worker_process(harness.folder, harness.env()) as worker:
        await worker.until_ready()
        handle = await harness.start("Record.")
        await until(lambda: harness.ledger.effects == ["slow"], what="the tool runs")
        worker.terminate()
        await until(lambda: not worker.ready, what="the worker is no longer ready")
        assert worker.process.poll() is None
        gate.set()
        assert await worker.exit_code() == 0
    with worker_process(harness.folder, harness.env()) as successor:
        await successor.until_ready()
        assert (await handle.result())["output"] == "Recorded."
    assert harness.ledger.effects == ["slow"]


async def test_a_tool_call_longer_than_the_drain_timeout_is_retried_on_another_worker(harness: Harness):
    harness.ledger.gates["stuck"] = threading.Event()
    harness.model.script("Record.", calls("record_effect", effect="stuck"), says("Recorded."))
    with worker_process(harness.folder, harness.env(DURAFLEET_DRAIN_TIMEOUT_SECONDS="0.5")) as worker:
        await worker.until_ready()
        handle = await harness.start("Record.")
        await until(lambda: harness.ledger.effects == ["stuck"], what="the tool runs")
        worker.terminate()
        assert await worker.exit_code() == 0
    harness.ledger.gates.pop("stuck").set()
    with worker_process(harness.folder, harness.env()) as successor:
        await successor.until_ready()
        assert (await handle.result())["output"] == "Recorded."
    assert harness.ledger.effects == ["stuck", "stuck"]


async def test_a_worker_waits_until_temporal_is_reachable(harness: Harness):
    port = free_port()
    harness.address = f"127.0.0.1:{port}"
    with worker_process(harness.folder, harness.env(DURAFLEET_LOG_FORMAT="plain")) as worker:
        await until(
            lambda: f"Temporal at {harness.address} cannot be reached" in worker.output(),
            what="the worker reports the address",
        )
        assert not worker.ready
        with dev_server(port=port):
            await worker.until_ready()
            worker.terminate()
            assert await worker.exit_code() == 0


async def test_a_worker_that_waits_for_temporal_exits_at_once_on_sigterm(harness: Harness):
    harness.address = f"127.0.0.1:{free_port()}"
    with worker_process(harness.folder, harness.env()) as worker:
        await until(lambda: "cannot be reached" in worker.output(), what="the worker waits")
        worker.terminate()
        assert await worker.exit_code() == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"TEMPORAL_TASK_QUEUE": ""}, "The variable TEMPORAL_TASK_QUEUE is not set"),
        ({"PYTHONPATH": ""}, "the module 'tools' of the tool 'tools:record_effect' cannot be imported"),
        ({"DURAFLEET_AGENTS_FILE": "/nonexistent/agents.json"}, "The agents file /nonexistent/agents.json cannot be"),
    ],
)
async def test_a_worker_with_an_invalid_configuration_exits_with_code_2_and_one_line(
    harness: Harness, change: dict[str, str], words: str
):
    with worker_process(harness.folder, harness.env() | change) as worker:
        assert await worker.exit_code() == 2
        lines = worker.output().splitlines()
    assert len(lines) == 1
    assert words in lines[0]


async def test_the_bring_your_own_worker_example_runs_its_workflow(harness: Harness):
    command = [str(ROOT / "examples" / "byo-worker" / "worker.py")]
    with worker_process(harness.folder, harness.env(), command=command) as worker:
        client = await Client.connect(harness.address)
        handle = await client.start_workflow(
            "OrderFollowUp",
            {"number": "A-17", "wait_seconds": 0.1},
            id=str(uuid.uuid4()),
            task_queue=harness.task_queue,
        )
        assert await handle.result() == {"parcels": 3, "note": "reminded the customer of order A-17"}
        worker.terminate()
        assert await worker.exit_code() == 0
