"""The workflow type AgentRun: one run of one declared agent.

Model requests and tool calls are activities. The loop between them is replayed from the history on any worker of
the task queue. A change here must replay the histories in tests/unit/worker/histories, because runs in flight
continue with the code of the worker that takes them over.
"""

import asyncio
import json
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError
    from pydantic_ai import UsageLimits
    from pydantic_ai.exceptions import AgentRunError, UserError

    from durafleet.api.contract import (
        WORKFLOW_TYPE,
        ActivityOptions,
        ErrorType,
        Limits,
        RunInput,
        RunPhase,
        RunResult,
    )
    from durafleet_worker.agents import DeclaredAgent, registry
    from durafleet_worker.failures import origin, run_failure
    from durafleet_worker.limits import TURN_LIMIT
    from durafleet_worker.progress import ProgressReport


@workflow.defn(name=WORKFLOW_TYPE)
class AgentRun:
    """Runs the agent named in the input. The result holds the answer and the usage."""

    def __init__(self) -> None:
        self.options: ActivityOptions | None = None  # read by the interceptor in durafleet_worker.options
        self.progress = ProgressReport()

    @workflow.run
    async def run(self, argument: Any = None) -> RunResult:
        # Any, because the SDK would retry an argument that it cannot decode until the run times out.
        # No `finally`: when a worker evicts a run from its cache, it unwinds this frame although the run continues.
        try:
            given = _given(argument)
            self.options = given.options
            output = await self._answer(given)
        except asyncio.CancelledError:
            self.progress.end(RunPhase.CANCELLED)
            raise
        except ApplicationError:
            self.progress.end(RunPhase.FAILED)
            raise
        self.progress.end(RunPhase.DONE)
        return RunResult(output=output, usage=self.progress.consumed(), turns=self.progress.turns)

    async def _answer(self, given: RunInput) -> Any:
        declared = _declared(given.agent)
        try:
            result = await declared.agent.run(
                _prompt(given.input),
                usage=self.progress.usage,
                usage_limits=_usage_limits(given.limits),
            )
        except (AgentRunError, UserError, ActivityError) as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            raise run_failure(error, declared.endpoint) from origin(error)
        return result.output


def _given(argument: Any) -> RunInput:
    try:
        return RunInput.model_validate(argument)
    except ValidationError as error:
        raise ApplicationError(
            f"The argument of the workflow is not valid for the type {WORKFLOW_TYPE}: {' '.join(str(error).split())}",
            type=ErrorType.INVALID_INPUT,
            non_retryable=True,
        ) from error


def _usage_limits(limits: Limits) -> UsageLimits:
    return UsageLimits(
        request_limit=limits.turns or TURN_LIMIT,
        tool_calls_limit=limits.tool_calls,
        total_tokens_limit=limits.tokens,
    )


def _declared(name: str) -> DeclaredAgent:
    if declared := registry.get(name):
        return declared
    raise ApplicationError(
        f"This worker declares no agent {name!r} (declared: {', '.join(sorted(registry)) or 'none'}). "
        "Correct spec.agent in a new run, or add the agent to the AgentWorker.",
        type=ErrorType.UNKNOWN_AGENT,
        non_retryable=True,
    )


def _prompt(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if value is None or not text.strip():
        raise ApplicationError(
            "The input is empty. Create a new run with a prompt in spec.input.",
            type=ErrorType.INVALID_INPUT,
            non_retryable=True,
        )
    return text
