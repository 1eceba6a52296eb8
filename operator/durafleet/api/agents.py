"""Declared agents: a field of AgentWorker, and the format of the agents file that the worker reads."""

from typing import Any

from pydantic import Field

from durafleet.api.model import ANY_JSON, Model, Name, Rule


class PythonTool(Model):
    """A Python function that the agent can call. The model sees its signature and its docstring."""

    python: str = Field(
        max_length=253,
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$",
        description='Function to call, as "module:function". The worker image must be able to import the module.',
        examples=["tools:lookup_order"],
    )


class Agent(Model):
    """An agent that needs no code: a model, instructions and tools."""

    name: Name = Field(description="Name of the agent. An AgentRun refers to it in spec.agent.")
    model: str = Field(
        min_length=1,
        max_length=253,
        description='Model of the agent: "openai:<model>" for any OpenAI-compatible endpoint, or "test" for a stub '
        "that makes up answers and needs no network.",
        pattern=r"^(test|openai:.+)$",
        examples=["openai:gpt-4o"],
    )
    base_url: str | None = Field(
        default=None,
        max_length=2048,
        pattern=r"^https?://.+",
        alias="baseURL",
        description="Base URL of the OpenAI-compatible API. Defaults to the worker's environment variable "
        "OPENAI_BASE_URL, then to the OpenAI API. The API key is the variable OPENAI_API_KEY.",
        examples=["http://model.models:8080/v1"],
    )
    instructions: str | None = Field(default=None, max_length=16384, description="System prompt of the agent.")
    tools: list[PythonTool] = Field(default_factory=list, max_length=64, description="Tools that the agent can call.")
    output_schema: dict[str, Any] | None = Field(
        default=None,
        description="JSON Schema of the answer. Its type must be object. The model gets two more attempts to correct "
        "an answer that does not match; then the run fails with OutputInvalid. If unset, the answer is text.",
        json_schema_extra=ANY_JSON,
    )


class AgentsFile(Model):
    """The JSON file that the operator mounts into worker pods. DURAFLEET_AGENTS_FILE holds its path."""

    agents: list[Agent]


AGENT_LIST_RULE = Rule("self.all(a, self.exists_one(b, b.name == a.name))", "agents must have different names")
