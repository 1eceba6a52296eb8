"""Declared agents: what an AgentWorker says about them, read again by the worker from its agents file."""

from typing import Any

from pydantic import Field

from durafleet.api.model import ANY_JSON, Model, Name, Rule


class PythonTool(Model):
    """A Python callable that the agent may call. Its signature and docstring are what the model sees."""

    python: str = Field(
        max_length=253,
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$",
        description='"module:function", importable in the worker image.',
        examples=["tools:lookup_order"],
    )


class Agent(Model):
    """An agent that needs no code: a model, instructions and tools."""

    name: Name = Field(description="The name that an AgentRun's spec.agent refers to.")
    model: str = Field(
        min_length=1,
        max_length=253,
        description='Which model answers: "openai:<model>" for any OpenAI-compatible endpoint, '
        'or "test" for a model that makes up answers without a network.',
        pattern=r"^(test|openai:.+)$",
        examples=["openai:gpt-4o"],
    )
    base_url: str | None = Field(
        default=None,
        max_length=2048,
        pattern=r"^https?://.+",
        alias="baseURL",
        description="Address of the OpenAI-compatible API; without it the variable OPENAI_BASE_URL of the "
        "worker's env, else OpenAI itself. The key is the variable OPENAI_API_KEY.",
        examples=["http://model.models:8080/v1"],
    )
    instructions: str | None = Field(default=None, max_length=16384, description="The system prompt.")
    tools: list[PythonTool] = Field(default_factory=list, max_length=64, description="What the agent may call.")
    output_schema: dict[str, Any] | None = Field(
        default=None,
        description="JSON Schema that the answer must satisfy; the model is asked again when it does not. "
        "Without it the answer is text.",
        json_schema_extra=ANY_JSON,
    )


class AgentsFile(Model):
    """The file that the operator mounts into worker pods, as JSON; DURAFLEET_AGENTS_FILE names it."""

    agents: list[Agent]


AGENT_LIST_RULE = Rule("self.all(a, self.exists_one(b, b.name == a.name))", "agents must have different names")
