"""Open runs continue with newer code: histories that older code wrote still replay."""

import pytest
from pydantic_ai.durable_exec.temporal import PydanticAIPlugin
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from durafleet.api.agents import AgentsFile
from durafleet.api.contract import ActivityOptions
from durafleet_worker.agents import build_agent, register
from durafleet_worker.options import RunOptions, activity_config
from durafleet_worker.worker import restrictions
from durafleet_worker.workflow import AgentRun
from tests.support.worker import EXAMPLE_TOOLS
from tests.unit.worker.recorded import AGENTS, HISTORIES

RECORDED = {path.stem: path.read_text() for path in sorted(HISTORIES.glob("*.json"))}


@pytest.mark.parametrize("name", RECORDED)
async def test_a_recorded_history_replays(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(EXAMPLE_TOOLS))
    specs = AgentsFile.model_validate({"agents": [spec | {"baseURL": "http://model/v1"} for spec in AGENTS]}).agents
    agents = [build_agent(spec, activity=activity_config(ActivityOptions()), env={}) for spec in specs]
    register(agents)
    replayer = Replayer(
        workflows=[AgentRun],
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions()),
        interceptors=[RunOptions()],
        plugins=[PydanticAIPlugin()],
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(f"recorded-{name}", RECORDED[name]))


def test_the_expected_histories_are_recorded():
    assert RECORDED.keys() >= {"tools", "schema"}
