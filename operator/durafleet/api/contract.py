"""What the operator and a worker agree on: variables, names in Temporal, and the run's input and result.

A worker in any language needs only this: it polls TEMPORAL_TASK_QUEUE at TEMPORAL_ADDRESS and hosts the
workflow type of the runs. The rest (memo, search attributes) is optional and makes a run easier to see.
"""

from enum import StrEnum
from typing import Any

from pydantic import Field

from durafleet.api.model import Model

WORKFLOW_TYPE = "AgentRun"
"""Workflow type of runs of declared agents."""

WORKFLOW_ID_PREFIX = "agent-run/"
OWNER_MEMO = "agentRun"
"""Memo key that names the AgentRun, `<namespace>/<name>`; a workflow without it was not started by the operator."""
PROGRESS_MEMO = "progress"
"""Memo key under which a workflow reports `Progress`."""


class Env(StrEnum):
    """Variables that the operator sets in every worker container."""

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
    """Custom search attributes of every run; the operator registers them."""

    FLEET = "AgentFleet"  # Keyword: <namespace>/<AgentWorker name>
    RUN_UID = "AgentRunUid"  # Keyword: UID of the AgentRun
    UPDATED = "AgentRunUpdated"  # Datetime: when the workflow last reported progress, its end included
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
    """Retries of an activity, resolved: seconds and numbers only."""

    maximum_attempts: int = 5
    initial_interval: float = 1.0
    backoff_coefficient: float = 2.0
    maximum_interval: float = 60.0


class ActivityOptions(Model):
    """How the run's activities are bounded; seconds. The operator fills it from the AgentWorker."""

    start_to_close: float = 300.0
    heartbeat: float = 30.0
    retry: RetryOptions = RetryOptions()


class Limits(Model):
    """What a run of a declared agent may consume; it ends as failed when it needs more."""

    turns: int | None = Field(default=None, ge=1, le=10000, description="Requests to the model; 200 unless set.")
    tool_calls: int | None = Field(default=None, ge=0, le=100000, description="Tool calls that succeed.")
    tokens: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="Tokens sent and answered, together; looked at after each answer, so the last one may exceed it.",
    )


class RunInput(Model):
    """The single argument of the workflow type AgentRun."""

    agent: str
    input: Any = Field(None, description="A prompt, or any JSON value, which the model then sees as JSON text.")
    options: ActivityOptions = ActivityOptions()
    limits: Limits = Limits()


class Usage(Model):
    """What a run has consumed so far."""

    requests: int = Field(default=0, description="Calls of the model.", ge=0)
    tool_calls: int = Field(default=0, description="Tool calls that succeeded.", ge=0)
    input_tokens: int = Field(default=0, description="Tokens sent to the model.", ge=0)
    output_tokens: int = Field(default=0, description="Tokens the model answered with.", ge=0)


class Progress(Model):
    """What a running workflow reports in its memo: small, and nothing that ticks."""

    turns: int = Field(default=0, description="Answers of the model so far.", ge=0)
    last_tool: str | None = Field(default=None, max_length=253, description="The tool that was called last.")
    usage: Usage | None = Field(default=None, description="What was consumed so far.")


class RunResult(Model):
    """What the workflow type AgentRun returns."""

    output: Any = None
    usage: Usage = Usage()
    turns: int = 0


class ErrorType(StrEnum):
    """Application error types of the generic workflow; documented API of `status.failure.type`."""

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
