"""The contract between operator and worker: environment variables, names in Temporal, input and result of a run.

A worker in any language needs only this: it polls TEMPORAL_TASK_QUEUE at TEMPORAL_ADDRESS and hosts the
workflow type of the runs. The memo and the search attributes are optional and make a run easier to observe.
"""

from enum import StrEnum
from typing import Any

from pydantic import Field

from durafleet.api.model import Model

WORKFLOW_TYPE = "AgentRun"
"""Workflow type of runs of declared agents."""

WORKFLOW_ID_PREFIX = "agent-run/"
OWNER_MEMO = "agentRun"
"""Memo key of the AgentRun's `<namespace>/<name>`. The operator did not start a workflow without it."""
PROGRESS_MEMO = "progress"
"""Memo key under which a workflow reports `Progress`."""


class Env(StrEnum):
    """Environment variables that the operator sets in every worker container."""

    TEMPORAL_ADDRESS = "TEMPORAL_ADDRESS"
    TEMPORAL_NAMESPACE = "TEMPORAL_NAMESPACE"
    TEMPORAL_TASK_QUEUE = "TEMPORAL_TASK_QUEUE"
    FLEET = "DURAFLEET_FLEET"  # <namespace>/<AgentWorker name>
    AGENTS_FILE = "DURAFLEET_AGENTS_FILE"
    WORKFLOW_TIMEOUT = "DURAFLEET_WORKFLOW_TIMEOUT_SECONDS"
    ACTIVITY_TIMEOUT = "DURAFLEET_ACTIVITY_TIMEOUT_SECONDS"
    HEARTBEAT_TIMEOUT = "DURAFLEET_HEARTBEAT_TIMEOUT_SECONDS"
    DRAIN_TIMEOUT = "DURAFLEET_DRAIN_TIMEOUT_SECONDS"
    MAX_WORKFLOW_TASKS = "DURAFLEET_MAX_CONCURRENT_WORKFLOW_TASKS"
    MAX_ACTIVITIES = "DURAFLEET_MAX_CONCURRENT_ACTIVITIES"
    POD_NAME = "POD_NAME"


class SearchAttribute(StrEnum):
    """Custom search attributes of every run. The operator registers them."""

    FLEET = "AgentFleet"  # Keyword: <namespace>/<AgentWorker name>
    RUN_UID = "AgentRunUid"  # Keyword: UID of the AgentRun
    UPDATED = "AgentRunUpdated"  # Datetime: when the workflow last reported progress, including its end
    PHASE = "AgentRunPhase"  # Keyword: RunPhase


class RunPhase(StrEnum):
    """Values of the search attribute AgentRunPhase."""

    STARTED = "Started"
    RUNNING = "Running"
    AWAITING_APPROVAL = "AwaitingApproval"  # the workflow waits for a person
    DONE = "Done"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class RetryOptions(Model):
    """Retry policy of an activity, with all intervals in seconds."""

    maximum_attempts: int = 5
    initial_interval: float = 1.0
    backoff_coefficient: float = 2.0
    maximum_interval: float = 60.0


class ActivityOptions(Model):
    """Timeouts and retry policy of a run's activities, in seconds. The operator resolves them."""

    start_to_close: float = 300.0
    heartbeat: float = 30.0
    retry: RetryOptions = RetryOptions()


class Limits(Model):
    """Limits of a run of a declared agent. The run fails when it needs more."""

    turns: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Maximum number of requests to the model: 1 to 10000. Defaults to 200 if neither the AgentRun nor "
        "the AgentWorker sets it. A run that needs more fails with TurnLimitExceeded.",
    )
    tool_calls: int | None = Field(
        default=None,
        ge=0,
        le=100000,
        description="Maximum number of successful tool calls: 0 to 100000. Unlimited if neither the AgentRun nor the "
        "AgentWorker sets it. A run that needs more fails with ToolCallLimitExceeded.",
    )
    tokens: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="Maximum number of input and output tokens together: 1 to 1000000000. Unlimited if neither the "
        "AgentRun nor the AgentWorker sets it. It is checked after each answer, so the last answer can exceed it. The "
        "run then fails with TokenLimitExceeded.",
    )


class RunInput(Model):
    """The single argument of the workflow type AgentRun."""

    agent: str
    input: Any = Field(None, description="A prompt, or any JSON value, which the model receives as JSON text.")
    options: ActivityOptions = ActivityOptions()
    limits: Limits = Limits()


class Usage(Model):
    """Requests, tool calls and tokens that a run has consumed."""

    requests: int = Field(default=0, description="Requests to the model.", ge=0)
    tool_calls: int = Field(default=0, description="Successful tool calls.", ge=0)
    input_tokens: int = Field(default=0, description="Tokens sent to the model.", ge=0)
    output_tokens: int = Field(default=0, description="Tokens received from the model.", ge=0)


class Progress(Model):
    """Progress that a running workflow reports in its memo. It is small, and no value changes with time alone."""

    turns: int = Field(default=0, description="Answers received from the model so far.", ge=0)
    last_tool: str | None = Field(default=None, max_length=253, description="Name of the tool that was called last.")
    usage: Usage | None = Field(default=None, description="Consumption so far.")


class RunResult(Model):
    """The return value of the workflow type AgentRun."""

    output: Any = None
    usage: Usage = Usage()
    turns: int = 0


class ErrorType(StrEnum):
    """Application error types of the workflow type AgentRun. As values of `status.failure.type` they are API."""

    UNKNOWN_AGENT = "UnknownAgent"
    INVALID_INPUT = "InvalidInput"
    MODEL_AUTHENTICATION = "ModelAuthentication"  # terminal: the key is wrong
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_REJECTED = "ModelRejectedRequest"  # another 4xx
    MODEL_QUOTA = "ModelQuotaExceeded"
    MODEL_UNAVAILABLE = "ModelUnavailable"  # 429, 5xx or no connection, after all attempts
    CONTEXT_TOO_LARGE = "ContextTooLarge"
    OUTPUT_INVALID = "OutputInvalid"  # the model never met the output schema
    TURN_LIMIT = "TurnLimitExceeded"
    TOOL_CALL_LIMIT = "ToolCallLimitExceeded"
    TOKEN_LIMIT = "TokenLimitExceeded"  # noqa: S105 - a budget, not a secret
    TOOL_FAILED = "ToolFailed"
    ACTIVITY_TIMED_OUT = "ActivityTimedOut"
