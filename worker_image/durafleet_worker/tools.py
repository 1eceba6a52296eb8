"""Python functions as tools: imported by name, run in activities, with results of limited size.

Plain `def` functions run in threads, so that one that blocks does not stop the heartbeats of the others. A
result that is too long is cut inside the activity, before it is written to the history.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_ai import FunctionToolset, RunContext, Tool
from pydantic_ai.exceptions import UserError
from pydantic_ai.toolsets import ToolsetTool
from pydantic_core import PydanticSerializationError, to_json

from durafleet.api.agents import PythonTool
from durafleet_worker.errors import ConfigurationError
from durafleet_worker.limits import TOOL_RESULT_LIMIT

TOOLSET_ID = "python"
"""Part of the activity type, and so of histories. It must never change."""


class PythonToolset(FunctionToolset[None]):
    """The tools of one agent. Their results are bounded inside the activity."""

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[None], tool: ToolsetTool[None]
    ) -> Any:
        return bounded(await super().call_tool(name, tool_args, ctx, tool))


def bounded(result: Any) -> Any:
    """Return a tool's result, or its beginning as text if it exceeds the limit."""
    try:
        text = result.encode() if isinstance(result, str) else to_json(result)
    except (PydanticSerializationError, UnicodeEncodeError) as error:
        # Another attempt would return the same value, so this is a UserError, which is not retried.
        raise UserError(f"the tool returned a value that cannot be written as JSON: {error}") from error
    if len(text) <= TOOL_RESULT_LIMIT:
        return result
    note = f"\n[cut off: the result has {len(text)} bytes, of which {TOOL_RESULT_LIMIT} are shown]"
    return text[:TOOL_RESULT_LIMIT].decode(errors="ignore") + note


def build_toolset(agent: str, tools: Sequence[PythonTool]) -> PythonToolset | None:
    """Import an agent's tools; None if it has none.

    Raises:
        ConfigurationError: a tool cannot be imported, or cannot be a tool.
    """
    if not tools:
        return None
    toolset = PythonToolset(id=TOOLSET_ID)
    for tool in tools:
        function = load_callable(agent, tool.python)
        try:
            toolset.add_tool(Tool(function, name=tool.python.rpartition(":")[2]))
        except Exception as error:  # any complaint of the library about the signature or the name
            raise ConfigurationError(f"Agent {agent!r}: {tool.python!r} cannot be a tool: {_line(error)}.") from error
    return toolset


def load_callable(agent: str, reference: str) -> Callable[..., Any]:
    """Import the function that "module:function" refers to.

    Raises:
        ConfigurationError: the module cannot be imported, or has no such function.
    """
    where, _, name = reference.partition(":")
    try:
        module = importlib.import_module(where)
    except Exception as error:  # a module's own code may raise anything
        raise ConfigurationError(
            f"Agent {agent!r}: the module {where!r} of the tool {reference!r} cannot be imported "
            f"({type(error).__name__}: {_line(error)}); add it to the worker's image, on PYTHONPATH."
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        known = ", ".join(sorted(k for k, v in vars(module).items() if callable(v) and not k.startswith("_"))) or "none"
        raise ConfigurationError(
            f"Agent {agent!r}: the module {where!r} has no function {name!r} (functions: {known}); "
            f"correct the tool {reference!r}."
        )
    return function  # type: ignore[no-any-return]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
