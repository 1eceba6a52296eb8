"""Hooks of the agent's loop: progress, size limits and failed tools.

The hooks run in workflow code and reach their run through `workflow.instance()`. The loop itself is
the library's.
"""

# ruff: noqa: ARG002 - the signatures are the library's

from typing import Any, Protocol, cast

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelResponse, ToolCallPart
from pydantic_ai.models import ModelRequestContext
from pydantic_ai.tools import RunContext, ToolDefinition
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from durafleet.api.contract import ErrorType
from durafleet_worker.failures import tool_report
from durafleet_worker.limits import CONTEXT_LIMIT, HISTORY_LIMIT
from durafleet_worker.progress import ProgressReport


class Run(Protocol):
    """The part of the workflow that the hooks use."""

    progress: ProgressReport


class RunHooks(AbstractCapability[None]):
    """The hooks of every agent. They keep no state; the run does."""

    async def before_model_request(
        self, ctx: RunContext[None], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        """Fail a run before its conversation exceeds the limits of Temporal, which would hang the run."""
        size = len(ModelMessagesTypeAdapter.dump_json(request_context.messages))
        if size > CONTEXT_LIMIT:
            raise _too_large(f"the conversation has grown to {size} bytes; the limit is {CONTEXT_LIMIT}")
        history = workflow.info().get_current_history_size() if workflow.in_workflow() else 0
        if history > HISTORY_LIMIT:
            raise _too_large(f"the run's history has grown to {history} bytes; the limit is {HISTORY_LIMIT}")
        return request_context

    async def after_model_request(
        self, ctx: RunContext[None], *, request_context: ModelRequestContext, response: ModelResponse
    ) -> ModelResponse:
        if run := _run():
            run.progress.turn()
        return response

    async def before_tool_execute(
        self, ctx: RunContext[None], *, call: ToolCallPart, tool_def: ToolDefinition, args: Any
    ) -> Any:
        if run := _run():
            run.progress.tool(call.tool_name)
        return args

    async def on_tool_execute_error(
        self, ctx: RunContext[None], *, call: ToolCallPart, tool_def: ToolDefinition, args: Any, error: Exception
    ) -> Any:
        """Report a tool that failed in all its attempts to the model. The run continues."""
        if isinstance(error, ActivityError) and not is_cancelled_exception(error):
            raise ToolFailed(tool_report(error)) from error
        raise error


def _run() -> Run | None:
    return cast("Run", workflow.instance()) if workflow.in_workflow() else None


def _too_large(what: str) -> ApplicationError:
    return ApplicationError(
        f"{what[0].upper()}{what[1:]}. Let tools return less, or split the task into several runs.",
        type=ErrorType.CONTEXT_TOO_LARGE,
        non_retryable=True,
    )
