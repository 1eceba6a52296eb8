"""Recorded runs: their agents and scripts, and the command that records a history.

    python -m tests.unit.worker.recorded <name>

writes histories/<name>.json. Record only new runs. An existing history stands for open runs whose worker is
replaced: if it no longer replays, the release would break these runs.
"""

import asyncio
import sys
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from tests.support.model import Step, calls, model_server, says
from tests.support.temporal import dev_server
from tests.support.worker import environment, worker_process

HISTORIES = Path(__file__).with_name("histories")
SCHEMA = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
AGENTS: list[dict[str, Any]] = [
    {"name": "clerk", "model": "openai:any", "instructions": "Be brief.", "tools": [{"python": "tools:slow_report"}]},
    {"name": "adder", "model": "openai:any", "outputSchema": SCHEMA},
]
RUNS: dict[str, tuple[str, tuple[Step, ...]]] = {
    "tools": (
        "clerk",
        (
            calls("slow_report", seconds=0.01),
            Step(calls=(("slow_report", {"seconds": 0.01}), ("slow_report", {"seconds": 0.02}))),
            calls("slow_report", seconds=10.5),  # long enough for a progress report during the run
            says("Three reports, and a long one."),
        ),
    ),
    "schema": ("adder", (Step(answer={"sum": 3}), Step(answer={"total": 3}))),
}


async def record(name: str) -> None:
    """Run a workflow on a real server and save its history."""
    agent, steps = RUNS[name]
    with model_server() as model, dev_server() as address, tempfile.TemporaryDirectory() as folder:
        model.script(name, *steps)
        agents = [spec | {"baseURL": model.url} for spec in AGENTS]
        env = environment(Path(folder), address=address, task_queue="recorded", agents=agents, POD_NAME="recorded")
        with worker_process(Path(folder), env) as worker:
            await worker.until_ready()
            client = await Client.connect(address, identity="recorder")
            handle = await client.start_workflow(
                "AgentRun",
                {"agent": agent, "input": name, "options": {"startToClose": 60, "heartbeat": 5}},
                id=f"agent-run/tests/{name}/{uuid.UUID(int=0)}",
                task_queue="recorded",
                search_attributes=_attributes(),
            )
            await handle.result()
            (HISTORIES / f"{name}.json").write_text((await handle.fetch_history()).to_json() + "\n")


def _attributes() -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(SearchAttributeKey.for_datetime("AgentRunUpdated"), datetime.now(UTC)),
            SearchAttributePair(SearchAttributeKey.for_keyword("AgentRunPhase"), "Started"),
        ]
    )


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1]))
