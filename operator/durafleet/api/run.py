"""AgentRun: one run of an agent, as exactly one workflow execution."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, WithJsonSchema

from durafleet.api.contract import Limits, Progress
from durafleet.api.model import (
    ANY_JSON,
    IMMUTABLE,
    Duration,
    Model,
    Name,
    ObjectName,
    ObjectRef,
    Priority,
    Rule,
    longer_than_zero,
    shorter_than,
)
from durafleet.api.status import Reason, Status

INPUT_LIMIT = 64 * 1024
"""Maximum size of a run's input, in bytes of JSON."""
PREVIEW_LIMIT = 4096
"""Maximum size of the result's preview in the status, in bytes of UTF-8."""
ATTEMPTS_KEPT = 10
"""Maximum number of earlier attempts in the status."""


class Stop(StrEnum):
    CANCEL = "Cancel"
    TERMINATE = "Terminate"


class DeletionPolicy(StrEnum):
    CANCEL = "Cancel"
    TERMINATE = "Terminate"
    ABANDON = "Abandon"


class ReadyWhen(StrEnum):
    COMPLETED = "Completed"
    STARTED = "Started"


class RetryFrom(StrEnum):
    LAST_FAILURE = "LastFailure"
    START = "Start"


class KeyRef(Model):
    """Reference to a key of a ConfigMap or Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap or Secret, in the same namespace.")
    key: str = Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="Key in its data.")


class InputFrom(Model):
    """Source of the input, if it is not in the AgentRun. The operator reads it once, when it starts the workflow."""

    config_map_key_ref: KeyRef | None = Field(default=None, description="Key of a ConfigMap that holds the input.")
    secret_key_ref: KeyRef | None = Field(
        default=None,
        description="Key of a Secret that holds the input. Requires inputFromSecrets.enabled in the chart's values. "
        "Like any input, the text becomes part of the workflow's history in Temporal.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.configMapKeyRef) != has(self.secretKeyRef)", "set exactly one of configMapKeyRef and secretKeyRef"
        ),
    )


class RunTimeouts(Model):
    """Timeouts of this run, where they differ from the AgentWorker's."""

    workflow: Duration | None = Field(
        default=None,
        description="Workflow execution timeout: the maximum duration of one attempt of the run. When it is exceeded, "
        "Temporal closes the workflow, and the run is TimedOut. Must be longer than activity. Defaults to the "
        "AgentWorker's timeout.",
    )
    activity: Duration | None = Field(
        default=None,
        description="Start-to-close timeout: the maximum duration of one attempt of a model or tool call. When it is "
        "exceeded, the attempt fails. Must be longer than heartbeat. Defaults to the AgentWorker's timeout.",
    )
    heartbeat: Duration | None = Field(
        default=None,
        description="Heartbeat timeout: the maximum time between two heartbeats of a model or tool call. When it is "
        "exceeded, the attempt fails. Must be longer than 0s. Defaults to the AgentWorker's timeout.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        longer_than_zero("heartbeat", optional=True),
        longer_than_zero("activity", optional=True),
        longer_than_zero("workflow", optional=True),
        shorter_than("heartbeat", "activity", optional=True),
        shorter_than("activity", "workflow", optional=True),
    )


class RetryRequest(Model):
    """Request for another attempt of a run that ended without success."""

    token: str = Field(
        min_length=1,
        max_length=63,
        description="Any text. Each change after the run ended without success requests one more attempt. The value "
        "that is set when the run starts requests none.",
        examples=["2026-11-24", "2"],
    )
    # `from` is a Python keyword.
    from_: RetryFrom = Field(
        default=RetryFrom.LAST_FAILURE,
        alias="from",
        description="Where the attempt begins. LastFailure keeps the steps before the failure; Start repeats "
        "everything. Defaults to LastFailure.",
    )


class AgentRunSpec(Model):
    """What to run, and how to control it.

    What to run is immutable; suspend, stop, retry, ttlSecondsAfterFinished, deletionPolicy and readyWhen can change.
    """

    worker_ref: ObjectRef = Field(
        description="AgentWorker that runs it, in the same namespace.", json_schema_extra=IMMUTABLE
    )
    agent: Name | None = Field(
        default=None,
        description="Name of an agent that the AgentWorker declares. Set exactly one of agent and workflowType.",
        json_schema_extra=IMMUTABLE,
    )
    workflow_type: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="Workflow type that the worker's image provides. Set exactly one of agent and workflowType.",
        json_schema_extra=IMMUTABLE,
    )
    input: Any = Field(
        default=None,
        description="Input of the run: a prompt, or any JSON value, of at most 64 KiB. With workflowType, it is the "
        "workflow's single argument. An agent requires an input, here or in inputFrom. The chart's admission policy "
        "(enabled by default) rejects changes of the input.",
        json_schema_extra=ANY_JSON,
    )
    input_from: InputFrom | None = Field(
        default=None,
        description="Source of the input. Set only one of input and inputFrom. The input is then always text.",
        json_schema_extra=IMMUTABLE,
    )
    timeouts: RunTimeouts | None = Field(
        default=None,
        description="Timeouts of this run. They override the AgentWorker's timeouts, field by field.",
        json_schema_extra=IMMUTABLE,
    )
    limits: Limits | None = Field(
        default=None,
        description="Limits of this run. They override the AgentWorker's limits, field by field.",
        json_schema_extra=IMMUTABLE,
    )
    priority: Priority | None = Field(
        default=None,
        description="Priority in the queue and in Temporal: 1 to 5, where 1 comes first. Defaults to the AgentWorker's "
        "priority.",
        json_schema_extra=IMMUTABLE,
    )
    idempotency_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$",
        description="Identifies the run instead of its UID. An AgentRun of the same name and key that is created "
        "again, or restored from a backup, adopts the workflow that the earlier one started.",
        json_schema_extra=IMMUTABLE,
    )
    suspend: bool = Field(
        default=False,
        description="Suspends the run. A run that is not started yet does not start. The workflow of a started run is "
        "paused, if the Temporal server supports it. Defaults to false.",
    )
    stop: Stop | None = Field(
        default=None,
        description="Stops the run. Cancel requests cancellation, so that the workflow can clean up. Terminate ends "
        "the workflow immediately.",
    )
    retry: RetryRequest | None = Field(
        default=None, description="Requests another attempt after the run ended without success."
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        le=315_360_000,
        description="Seconds from the end of the run until the AgentRun is deleted; 0 deletes it at once. If unset, "
        "it is not deleted. An AgentRun that Argo CD, Flux or Helm tracks is never deleted; instead, its status is "
        "reduced to the outcome.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.CANCEL,
        description="What happens to an open workflow when the AgentRun is deleted. Cancel requests cancellation and "
        "terminates a workflow that is still open after 60 s. Terminate terminates it immediately. Abandon leaves it "
        "running. Defaults to Cancel.",
    )
    ready_when: ReadyWhen = Field(
        default=ReadyWhen.COMPLETED,
        description="When the condition Ready becomes True, for pipelines that wait for it. Completed: when the run "
        "completes. Started: as soon as it runs. Defaults to Completed.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.agent) != has(self.workflowType)", "set exactly one of agent and workflowType"),
    )


class WorkflowRef(Model):
    """The workflow execution of a run."""

    id: str = Field(max_length=1000, description="Workflow id.")
    run_id: str | None = Field(
        default=None,
        max_length=63,
        description="Temporal's run id of the latest execution of this workflow. A retry, a "
        "reset or continue-as-new adds an execution.",
    )
    first_run_id: str | None = Field(
        default=None,
        max_length=63,
        description="Temporal's run id of the first execution of this workflow since it was last started.",
    )
    namespace: str = Field(max_length=255, description="Temporal namespace.")
    connection: str | None = Field(
        default=None,
        max_length=253,
        description="TemporalConnection through which the workflow was started. Absent for the operator's default "
        "connection.",
    )
    task_queue: str = Field(max_length=255, description="Task queue.")
    type: str = Field(max_length=255, description="Workflow type.")


class ResultRef(Model):
    """Result of the workflow."""

    preview: str | None = Field(
        default=None,
        max_length=PREVIEW_LIMIT,
        description="The answer, or its first 4 KiB. Absent once the status is compacted.",
    )
    size: int = Field(ge=0, description="Size of the whole answer, in bytes.")
    sha256: str = Field(max_length=64, description="SHA-256 of the whole answer, in hexadecimal.")
    ref: str | None = Field(
        default=None,
        max_length=1400,
        description="Location of the whole answer: temporal://<namespace>/<workflow id>?run=<run id>.",
    )


class Failure(Model):
    """Why the workflow did not complete. `message` begins with the root cause."""

    type: str = Field(max_length=253, description="Error type of the root cause, such as ModelAuthentication.")
    message: str = Field(max_length=4096, description="Human-readable explanation, and what to do about it.")
    causes: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list, max_length=10, description="Chain of failures, outermost first."
    )
    retryable: bool | None = Field(default=None, description="Whether the same call might succeed if it is retried.")
    activity: str | None = Field(default=None, max_length=253, description="Type of the activity that failed.")
    attempt: int | None = Field(default=None, ge=1, description="Number of the activity's last attempt.")
    timeout: str | None = Field(
        default=None,
        max_length=63,
        description="Timeout that was exceeded, if any: StartToClose, ScheduleToStart, ScheduleToClose, Heartbeat or "
        "Workflow.",
    )


class Attempt(Model):
    """An earlier attempt of the run, before a retry."""

    run_id: str | None = Field(
        default=None, max_length=63, description="Run id of the attempt's last execution, if it had one."
    )
    state: str = Field(max_length=63, description="State in which the attempt ended.")
    start_time: str | None = Field(
        default=None,
        max_length=32,
        json_schema_extra={"format": "date-time"},
        description="Time when the attempt started.",
    )
    completion_time: str | None = Field(
        default=None,
        max_length=32,
        json_schema_extra={"format": "date-time"},
        description="Time when the attempt ended.",
    )
    message: str = Field(default="", max_length=512, description="Why the attempt ended, cut at 512 bytes.")


class AgentRunStatus(Status):
    """Observed state of the run."""

    # Not an enum in the schema: an operator newer than the CRD must be able to write its reasons.
    state: Annotated[Reason, WithJsonSchema({"type": "string", "maxLength": 63})] | None = Field(
        default=None, description="Reason of the condition Succeeded, for field selectors and columns."
    )
    queue_position: int | None = Field(
        default=None,
        ge=1,
        description="Position in the queue for the AgentWorker's maxConcurrentRuns; 1 is next. The operator updates it "
        "when the position has halved or grown, so the actual position can be lower.",
    )
    workflow: WorkflowRef | None = Field(default=None, description="Workflow execution of the run.")
    start_time: str | None = Field(
        default=None,
        max_length=32,
        json_schema_extra={"format": "date-time"},
        description="Time when the workflow started.",
    )
    completion_time: str | None = Field(
        default=None, max_length=32, json_schema_extra={"format": "date-time"}, description="Time when the run ended."
    )
    progress: Progress | None = Field(default=None, description="Progress that the workflow last reported.")
    result: ResultRef | None = Field(default=None, description="Result of the workflow.")
    failure: Failure | None = Field(default=None, description="Why the workflow did not complete.")
    attempts: list[Attempt] | None = Field(
        default=None,
        max_length=ATTEMPTS_KEPT,
        description="The last ten earlier attempts, oldest first.",
    )
    retry_token: str | None = Field(
        default=None, max_length=63, description="The spec.retry.token that the operator has last seen."
    )
    compacted: bool | None = Field(
        default=None,
        description="Whether the status was reduced to the outcome after ttlSecondsAfterFinished, because Argo CD, "
        "Flux or Helm tracks the object.",
    )


class AgentRun(Model):
    """One run of an agent, as exactly one Temporal workflow execution."""

    kind: ClassVar[str] = "AgentRun"
    spec: AgentRunSpec
    status: AgentRunStatus = AgentRunStatus()
