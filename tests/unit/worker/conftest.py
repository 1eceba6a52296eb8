"""Runs of declared agents in this process, on a time-skipping Temporal server."""

import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic_ai.durable_exec.temporal import PydanticAIPlugin
from pydantic_ai.models.openai import OpenAIChatModel
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from durafleet.api.agents import Agent
from durafleet.api.contract import ActivityOptions, Limits, RetryOptions, RunInput
from durafleet_worker.agents import build_agent, register
from durafleet_worker.options import activity_config
from durafleet_worker.settings import Settings
from durafleet_worker.worker import build_worker
from tests.support.model import ModelServer, model_server
from tests.support.temporal import binary

QUICK = ActivityOptions(retry=RetryOptions(maximum_attempts=3, initial_interval=0.01, maximum_interval=0.05))


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest_asyncio.fixture(scope="session")
async def temporal() -> AsyncIterator[Client]:
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=binary("temporal"),
        dev_server_extra_args=["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"],
        plugins=[PydanticAIPlugin()],
    )
    async with environment:
        yield environment.client


@dataclass(frozen=True)
class Runner:
    """Runs the workflow of one agent to its end."""

    client: Client
    model: ModelServer

    async def __call__(
        self, prompt: Any, *, options: ActivityOptions | None = None, limits: Limits | None = None, **agent: Any
    ) -> WorkflowHandle[Any, Any]:
        """Run an agent that `agent` declares as in an AgentWorker; return the handle of its closed workflow."""
        spec = Agent.model_validate({"name": "subject", "model": "openai:any", "baseURL": self.model.url} | agent)
        declared = build_agent(spec, activity=activity_config(ActivityOptions()), env={})
        register([declared])
        settings = Settings(
            address="",
            namespace="default",
            task_queue=str(uuid.uuid4()),
            identity="test",
            agents_file=Path("unused"),
        )
        argument = RunInput(agent="subject", input=prompt, options=options or QUICK, limits=limits or Limits())
        async with build_worker(self.client, settings, [declared]):
            handle = await self.client.start_workflow(
                "AgentRun", argument.wire(), id=str(uuid.uuid4()), task_queue=settings.task_queue
            )
            with contextlib.suppress(WorkflowFailureError):
                await handle.result()
        if isinstance(declared.agent.model, OpenAIChatModel):
            await declared.agent.model.client.close()
        return handle


@pytest.fixture
def run(temporal: Client, model: ModelServer) -> Runner:
    return Runner(temporal, model)
