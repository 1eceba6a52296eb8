"""Building agents from the agents file, and the errors for an invalid file."""

from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.models.openai import OpenAIChatModel

from durafleet.api.agents import Agent
from durafleet.api.contract import ActivityOptions
from durafleet_worker.agents import DeclaredAgent, build_agent, read_agents
from durafleet_worker.errors import ConfigurationError
from durafleet_worker.options import activity_config

ENDPOINT = "http://model.models:8080/v1"


def greet(name: str) -> str:
    """Greet someone."""
    return f"Hello, {name}."


class Opaque:
    """A type that a model cannot produce."""


def strange(value: Opaque) -> str:
    """Take an argument without a JSON schema."""
    return str(value)


NOT_CALLABLE = "text"


def build(env: dict[str, str] | None = None, **agent: Any) -> DeclaredAgent:
    spec = Agent.model_construct(**({"name": "subject", "model": "openai:any", "base_url": ENDPOINT} | agent))
    return build_agent(spec, activity=activity_config(ActivityOptions()), env=env or {})


def client_of(declared: DeclaredAgent) -> Any:
    assert isinstance(declared.agent.model, OpenAIChatModel)
    return declared.agent.model.client


def test_the_endpoint_of_an_agent_overrides_that_of_the_environment():
    env = {"OPENAI_BASE_URL": "http://elsewhere/v1", "OPENAI_API_KEY": "key"}
    assert str(client_of(build(env)).base_url) == f"{ENDPOINT}/"
    assert str(client_of(build(env, base_url=None)).base_url) == "http://elsewhere/v1/"
    assert build(env, base_url=None).endpoint.url == "http://elsewhere/v1"


def test_the_model_client_never_retries_a_request_by_itself():
    assert client_of(build()).max_retries == 0


def test_a_custom_endpoint_needs_no_api_key():
    assert client_of(build()).api_key


def test_the_default_openai_endpoint_needs_an_api_key():
    with pytest.raises(ConfigurationError, match=r"'subject': the variable OPENAI_API_KEY is not set.*spec.env"):
        build(base_url=None)


def test_an_unknown_kind_of_model_is_refused():
    with pytest.raises(ConfigurationError, match="model 'magic:8-ball' is of an unknown kind"):
        build(model="magic:8-ball")


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("no_such_module:f", r"'no_such_module'.*cannot be imported \(ModuleNotFoundError"),
        (f"{__name__}:missing", r"has no function 'missing' \(functions: .*greet"),
        (f"{__name__}:NOT_CALLABLE", "has no function 'NOT_CALLABLE'"),
        (f"{__name__}:strange", "cannot be a tool"),
    ],
)
def test_a_tool_reference_that_cannot_be_used_is_refused(reference: str, words: str):
    with pytest.raises(ConfigurationError, match=words):
        build(tools=[Tool(reference)])


def test_a_tool_that_is_declared_twice_is_refused():
    with pytest.raises(ConfigurationError, match="cannot be a tool"):
        build(tools=[Tool(f"{__name__}:greet"), Tool(f"{__name__}:greet")])


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array"}, '"type": "object"'),
        ({"type": "objekt"}, r"not a JSON Schema \(at type"),
        ({"type": "object", "properties": {"a": {"$ref": "http://example.com/a"}}}, "only references into itself"),
    ],
)
def test_an_output_schema_that_cannot_be_used_is_refused(schema: dict[str, Any], words: str):
    with pytest.raises(ConfigurationError, match=words):
        build(output_schema=schema)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("{", "is not valid"),
        ('{"agents": [{"name": "a"}]}', r"agents\.0\.model: Field required"),
        ('{"agents": []}', "one agent or more"),
        ('{"agents": [{"name": "a", "model": "test"}, {"name": "a", "model": "test"}]}', "under its own name"),
    ],
)
def test_an_invalid_agents_file_is_refused(tmp_path: Path, content: str | None, words: str):
    path = tmp_path / "agents.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=words):
        read_agents(path)


class Tool:
    """Replaces a declared tool, for references that the CRD would refuse."""

    def __init__(self, reference: str) -> None:
        self.python = reference
