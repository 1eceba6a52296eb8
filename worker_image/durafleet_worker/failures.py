"""Why a run failed: a failure type of the API, and a message that a person can act on.

Every failure here ends the run, because the retry policy of the activity has already made all attempts. Only
transient failures are marked as retryable, so that status.failure.retryable shows whether another attempt may succeed.
Runs are started without a retry policy of their own, so Temporal retries none of them.
"""

from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRequestRejectedError,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
)
from pydantic_core import to_json
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, TimeoutType

from durafleet.api.contract import ErrorType
from durafleet_worker.limits import RETRIES
from durafleet_worker.models import API_KEY, Endpoint

_DETAIL = 600
_PASSING = frozenset({ErrorType.MODEL_UNAVAILABLE, ErrorType.ACTIVITY_TIMED_OUT})
_MODEL_ACTIVITY = "__model_"
_LIMITS = {
    "request_limit": (ErrorType.TURN_LIMIT, "turns"),
    "tool_calls_limit": (ErrorType.TOOL_CALL_LIMIT, "toolCalls"),
    "total_tokens_limit": (ErrorType.TOKEN_LIMIT, "tokens"),
}
_TIMEOUTS = {
    TimeoutType.START_TO_CLOSE: "exceeded the start-to-close timeout (spec.timeouts.activity of the AgentRun "
    "or its AgentWorker)",
    TimeoutType.HEARTBEAT: "exceeded the heartbeat timeout (spec.timeouts.heartbeat): "
    "its worker is lost or its code blocks",
    TimeoutType.SCHEDULE_TO_START: "was not started by any worker in time",
    TimeoutType.SCHEDULE_TO_CLOSE: "exceeded the schedule-to-close timeout of all its attempts together",
}


def run_failure(error: Exception, endpoint: Endpoint) -> ApplicationError:
    """Translate the error that ended an agent's loop. Raise the result `from` `origin(error)`."""
    if isinstance(error, ApplicationError):
        return error
    kind, message = _explain(error, endpoint)
    return ApplicationError(message, type=kind, non_retryable=kind not in _PASSING)


def origin(error: Exception) -> Exception:
    """Return the activity failure from which the library built this error, else the error itself."""
    return error.__cause__ if isinstance(error.__cause__, ActivityError) else error


def tool_report(error: ActivityError) -> str:
    """Return the text that tells the model why a tool failed."""
    cause = error.cause
    if isinstance(cause, TimeoutError):
        return f"The tool {_timed_out(cause)}."
    if isinstance(cause, ApplicationError):
        return f"The tool failed: {_cut(f'{cause.type}: {cause.message}')}"
    return f"The tool failed: {_cut(str(cause or error))}"


def _explain(error: Exception, endpoint: Endpoint) -> tuple[ErrorType, str]:
    if isinstance(error, ModelAPIError):
        return _model_error(error, endpoint)
    if isinstance(error, ActivityError):
        return _activity_error(error, endpoint)
    if isinstance(error, UsageLimitExceeded):
        return _limit(error)
    if isinstance(error, ContentFilterError):
        return ErrorType.MODEL_REJECTED, (
            f"The content filter of {endpoint.url} stopped the answer ({_cut(str(error))}). "
            "Change the instructions, then change spec.retry.token and set spec.retry.from to Start; or create a new "
            "run with another input."
        )
    if isinstance(error, UnexpectedModelBehavior):
        return _model_behaviour(error)
    return ErrorType.INVALID_INPUT, f"The run cannot continue: {_cut(str(error))}"


def _model_error(error: ModelAPIError, endpoint: Endpoint) -> tuple[ErrorType, str]:
    said = _said(error)
    match error:
        case ModelAuthenticationError():
            return ErrorType.MODEL_AUTHENTICATION, (
                f"{endpoint.url} rejected the API key ({said}). Correct the variable {API_KEY} in the AgentWorker's "
                "spec.env or spec.envFrom, then change spec.retry.token."
            )
        case ModelNotFoundError():
            return ErrorType.MODEL_NOT_FOUND, (
                f"{endpoint.url} has no model {endpoint.model!r} ({said}). Correct model or baseURL of the agent."
            )
        case ModelContextWindowExceededError():
            return ErrorType.CONTEXT_TOO_LARGE, (
                f"The conversation is too long for the model {endpoint.model!r} ({said}). "
                "Let tools return less, shorten the input, or use a model with a larger context."
            )
        case ModelQuotaExceededError():
            return ErrorType.MODEL_QUOTA, (
                f"The account behind the API key has no quota left at {endpoint.url} ({said}). "
                "Raise it with the provider, then change spec.retry.token."
            )
        case ModelRequestRejectedError():
            return ErrorType.MODEL_REJECTED, (
                f"{endpoint.url} rejected the request ({said}). Correct the agent, then change spec.retry.token; "
                "or create a new run with another input."
            )
        case _:
            return ErrorType.MODEL_UNAVAILABLE, (
                f"{endpoint.url} did not answer for the model {endpoint.model!r} in any attempt (last error: {said}). "
                "Check the endpoint, then change spec.retry.token. For more attempts in new runs, raise the "
                "AgentWorker's spec.retry."
            )


def _activity_error(error: ActivityError, endpoint: Endpoint) -> tuple[ErrorType, str]:
    subject = (
        f"The request to the model {endpoint.model!r}" if _MODEL_ACTIVITY in error.activity_type else "A tool call"
    )
    if isinstance(error.cause, TimeoutError):
        where = f" at {endpoint.url}" if _MODEL_ACTIVITY in error.activity_type and endpoint.url else ""
        return ErrorType.ACTIVITY_TIMED_OUT, f"{subject}{where} {_timed_out(error.cause)}, in every attempt."
    kind = ErrorType.MODEL_UNAVAILABLE if _MODEL_ACTIVITY in error.activity_type else ErrorType.TOOL_FAILED
    return kind, f"{subject} failed: {_cut(str(error.cause or error))}"


def _limit(error: UsageLimitExceeded) -> tuple[ErrorType, str]:
    """Recognise the limit by its name in the library's message, because the error has no other field for it."""
    kind, field = next((limit for name, limit in _LIMITS.items() if name in error.message), _LIMITS["request_limit"])
    return kind, (
        f"The run reached its limit before it had an answer ({_cut(error.message)}). Make the instructions clearer, "
        f"split the task into several runs, or raise spec.limits.{field} of the AgentWorker or of a new run."
    )


def _model_behaviour(error: UnexpectedModelBehavior) -> tuple[ErrorType, str]:
    reason = f" ({_cut(str(error.__cause__))})" if error.__cause__ else ""
    if error.message.startswith("Tool "):  # the library's message: Tool 'x' exceeded max retries count of 2
        name = error.message.split("'")[1] if error.message.count("'") > 1 else "?"
        return ErrorType.TOOL_FAILED, (
            f"The model called the tool {name!r} incorrectly {RETRIES + 1} times{reason}. "
            "Make the tool's docstring and the instructions clearer."
        )
    return ErrorType.OUTPUT_INVALID, (
        f"The model gave no valid answer in {RETRIES + 1} attempts: {_cut(error.message).rstrip('.')}{reason}. "
        "Simplify outputSchema, or name its fields in the instructions."
    )


def _timed_out(error: TimeoutError) -> str:
    return _TIMEOUTS.get(error.type, "took too long") if error.type is not None else "took too long"


def _said(error: ModelAPIError) -> str:
    if not isinstance(error, ModelHTTPError):
        return _cut(str(error))
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("error") or body
    text = body if isinstance(body, str) else to_json(body, fallback=str).decode() if body else "no details"
    return _cut(f"HTTP {error.status_code}: {text}")


def _cut(text: str) -> str:
    return text if len(text) <= _DETAIL else text[:_DETAIL] + "..."
