"""Python callables as tools: found by name, run in activities, their results kept to a size.

Plain `def` functions run in threads, so that one that blocks does not silence the heartbeats of the
others. What a tool returns is cut to size inside the activity, before it is written to the history.
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
"""Part of the activity type, hence of histories: it must never change."""


class PythonToolset(FunctionToolset[None]):
    """Tools of one agent, whose results are bounded where they are made."""

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[None], tool: ToolsetTool[None]
    ) -> Any:
        return bounded(await super().call_tool(name, tool_args, ctx, tool))


def bounded(result: Any) -> Any:
    """Return a tool's result as it is, or its beginning as text if it is longer than the model may see."""
    try:
        text = result.encode() if isinstance(result, str) else to_json(result)
    except (PydanticSerializationError, UnicodeEncodeError) as error:
        # No other attempt would return anything else: UserError is not retried.
        raise UserError(f"the tool returned a value that cannot be written as JSON: {error}") from error
    if len(text) <= TOOL_RESULT_LIMIT:
        return result
    note = f"\n[cut off: the result has {len(text)} bytes, of which {TOOL_RESULT_LIMIT} are shown]"
    return text[:TOOL_RESULT_LIMIT].decode(errors="ignore") + note


def build_toolset(agent: str, tools: Sequence[PythonTool]) -> PythonToolset | None:
    """Import an agent's tools; None if it has none.

    Raises:
        ConfigurationError: one cannot be imported, or is not what a tool can be.
    """
    if not tools:
        return None
    toolset = PythonToolset(id=TOOLSET_ID)
    for tool in tools:
        function = load_callable(agent, tool.python)
        try:
            toolset.add_tool(Tool(function, name=tool.python.rpartition(":")[2]))
        except Exception as error:  # whatever the library finds wrong with the signature or the name
            raise ConfigurationError(f"Agent {agent!r}: {tool.python!r} cannot be a tool: {_line(error)}.") from error
    return toolset


def load_callable(agent: str, reference: str) -> Callable[..., Any]:
    """Import "module:function".

    Raises:
        ConfigurationError: the module cannot be imported, or has no such function.
    """
    where, _, name = reference.partition(":")
    try:
        module = importlib.import_module(where)
    except Exception as error:  # a module's own code may raise anything
        raise ConfigurationError(
            f"Agent {agent!r}: the module {where!r} of the tool {reference!r} cannot be imported "
            f"({type(error).__name__}: {_line(error)}); put it into the worker's image, on PYTHONPATH."
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
    return " ".join(str(error).split()) or type(error).__name__
