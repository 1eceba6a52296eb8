"""Build durable agents from the agents file, once, when the worker starts.

The workflow looks them up in `registry` by name. The names and ids given here are part of activity types, and so
of the histories of runs in flight: they must not change.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_ai import Agent
from pydantic_ai.durable_exec.temporal import TemporalDurability
from temporalio.workflow import ActivityConfig

from durafleet.api.agents import Agent as AgentSpec
from durafleet.api.agents import AgentsFile
from durafleet_worker.errors import ConfigurationError
from durafleet_worker.hooks import RunHooks
from durafleet_worker.limits import RETRIES
from durafleet_worker.models import Endpoint, build_model
from durafleet_worker.output import output_check, output_type
from durafleet_worker.tools import build_toolset


@dataclass(frozen=True)
class DeclaredAgent:
    """An agent that is ready to run, and the endpoint of its model."""

    agent: Agent[None, Any]
    endpoint: Endpoint

    @property
    def name(self) -> str:
        assert self.agent.name is not None  # set by build_agent
        return self.agent.name


registry: dict[str, DeclaredAgent] = {}
"""The agents of this process. The workflow sandbox passes this module through, so workflows use the same dict."""


def read_agents(path: Path) -> AgentsFile:
    """Read the agents file.

    Raises:
        ConfigurationError: the file cannot be read, or its content is not valid.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The agents file {path} cannot be read: {error}.") from error
    try:
        agents = AgentsFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigurationError(f"The agents file {path} is not valid: {where}: {first['msg']}.") from error
    names = [agent.name for agent in agents.agents]
    if not names or len(set(names)) < len(names):
        raise ConfigurationError(f"The agents file {path} must declare one agent or more, each under its own name.")
    return agents


def build_agent(spec: AgentSpec, *, activity: ActivityConfig, env: Mapping[str, str] = os.environ) -> DeclaredAgent:
    """Build one agent.

    Args:
        spec: the declaration of the agent.
        activity: timeouts and retry policy of its activities, for runs that set none.
        env: environment variables that configure the model's client.

    Raises:
        ConfigurationError: the declaration cannot work.
    """
    model, endpoint = build_model(spec, env)
    toolset = build_toolset(spec.name, spec.tools)
    schema = spec.output_schema
    agent: Agent[None, Any] = Agent(
        model,
        name=spec.name,
        deps_type=type(None),
        instructions=spec.instructions,
        output_type=str if schema is None else output_type(spec.name, schema),
        toolsets=[toolset] if toolset else [],
        capabilities=[RunHooks(), TemporalDurability(activity_config=activity)],
        retries=RETRIES,
    )
    if schema is not None:
        agent.output_validator(output_check(schema))
    return DeclaredAgent(agent, endpoint)


def register(agents: Iterable[DeclaredAgent]) -> None:
    """Make these the agents that the workflows of this process use."""
    registry.clear()
    registry.update({declared.name: declared for declared in agents})
