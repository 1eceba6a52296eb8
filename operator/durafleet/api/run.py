"""AgentRun: one run of an agent, exactly one workflow execution."""

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
"""Longest input of a run, in bytes of JSON."""
PREVIEW_LIMIT = 4096
"""Longest part of a result that a status holds, in bytes of UTF-8."""
ATTEMPTS_KEPT = 10
"""Most earlier attempts that a status tells of."""


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
    """A key of a ConfigMap or Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap or Secret, in this namespace.")
    key: str = Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="The key in its data.")


class InputFrom(Model):
    """Where the input stands, if not in the AgentRun. Read once, when the workflow starts."""

    config_map_key_ref: KeyRef | None = Field(default=None, description="A key of a ConfigMap.")
    secret_key_ref: KeyRef | None = Field(
        default=None,
        description="A key of a Secret. The operator needs the chart's value inputFromSecrets.enabled, and the input "
        "then stands in the workflow's history, as any input does.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.configMapKeyRef) != has(self.secretKeyRef)", "set exactly one of configMapKeyRef and secretKeyRef"
        ),
    )


class RunTimeouts(Model):
    """What this run may take, where it differs from its AgentWorker's timeouts."""

    workflow: Duration | None = Field(default=None, description="The whole run, from start to close.")
    activity: Duration | None = Field(default=None, description="One attempt of a model or tool call; start-to-close.")
    heartbeat: Duration | None = Field(default=None, description="Silence after which a worker counts as lost.")

    rules: ClassVar[tuple[Rule, ...]] = (
        longer_than_zero("heartbeat", optional=True),
        longer_than_zero("activity", optional=True),
        longer_than_zero("workflow", optional=True),
        shorter_than("heartbeat", "activity", optional=True),
        shorter_than("activity", "workflow", optional=True),
    )


class RetryRequest(Model):
    """Ask for another attempt of a run that ended without success."""

    token: str = Field(
        min_length=1,
        max_length=63,
        description="Any text; each change asks once. What it is when the run starts asks for nothing.",
        examples=["2026-11-24", "2"],
    )
    # `from` is a word of Python's.
    from_: RetryFrom = Field(
        default=RetryFrom.LAST_FAILURE,
        alias="from",
        description="LastFailure keeps what was done before the failure; Start does everything again.",
    )


class AgentRunSpec(Model):
    """What is run, fixed once created, and what is done with it, which may change."""

    worker_ref: ObjectRef = Field(description="The AgentWorker that runs it.", json_schema_extra=IMMUTABLE)
    agent: Name | None = Field(
        default=None,
        description="A declared agent of that worker; or else set workflowType.",
        json_schema_extra=IMMUTABLE,
    )
    workflow_type: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="A workflow type that the worker's image brings; or else set agent.",
        json_schema_extra=IMMUTABLE,
    )
    input: Any = Field(
        default=None,
        description="The prompt, or any JSON value, up to 64 KiB. With workflowType: the workflow's single argument.",
        json_schema_extra=ANY_JSON,
    )
    input_from: InputFrom | None = Field(
        default=None, description="Where the input stands, instead of input; always text.", json_schema_extra=IMMUTABLE
    )
    timeouts: RunTimeouts | None = Field(
        default=None, description="What differs from the AgentWorker's timeouts.", json_schema_extra=IMMUTABLE
    )
    limits: Limits | None = Field(
        default=None, description="What differs from the AgentWorker's limits.", json_schema_extra=IMMUTABLE
    )
    priority: Priority | None = Field(
        default=None,
        description="From 1 (first) to 5 (last), in the queue and in Temporal; the AgentWorker's unless set.",
        json_schema_extra=IMMUTABLE,
    )
    idempotency_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$",
        description="Stands for this run's work instead of the UID: an AgentRun of the same name and key, created "
        "again or restored from a backup, adopts the workflow that was started then.",
        json_schema_extra=IMMUTABLE,
    )
    suspend: bool = Field(
        default=False,
        description="Hold the run: before its start, or by pausing its workflow where the Temporal server can.",
    )
    stop: Stop | None = Field(
        default=None, description="Cancel asks the workflow to end and lets it clean up; Terminate ends it at once."
    )
    retry: RetryRequest | None = Field(default=None, description="Another attempt, after an end without success.")
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        le=315_360_000,
        description="Delete the AgentRun so many seconds after its end. One that Argo CD, Flux or Helm tracks is "
        "never deleted, only cut down to its outcome.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.CANCEL, description="What happens to a running workflow when the AgentRun is deleted."
    )
    ready_when: ReadyWhen = Field(
        default=ReadyWhen.COMPLETED,
        description="When the condition Ready becomes True, for pipelines that wait for it: at the run's success, or "
        "as soon as it runs.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.agent) != has(self.workflowType)", "set exactly one of agent and workflowType"),
    )


class WorkflowRef(Model):
    """The workflow execution behind a run."""

    id: str = Field(max_length=1000, description="Workflow id.")
    run_id: str | None = Field(default=None, max_length=63, description="Run id of the latest execution in the chain.")
    first_run_id: str | None = Field(
        default=None, max_length=63, description="Run id of the first execution in the chain."
    )
    namespace: str = Field(max_length=255, description="Temporal namespace.")
    connection: str | None = Field(
        default=None,
        max_length=253,
        description="TemporalConnection it was started through; absent: the operator's default.",
    )
    task_queue: str = Field(max_length=255, description="Task queue.")
    type: str = Field(max_length=255, description="Workflow type.")


class ResultRef(Model):
    """What the workflow returned."""

    preview: str | None = Field(
        default=None, max_length=PREVIEW_LIMIT, description="The answer, or its first 4 KiB; absent once compacted."
    )
    size: int = Field(ge=0, description="Bytes of the whole answer.")
    sha256: str = Field(max_length=64, description="SHA-256 of the whole answer, in hexadecimal.")
    ref: str | None = Field(
        default=None,
        max_length=1400,
        description="Where the whole answer is: temporal://<namespace>/<workflow id>?run=<run id>.",
    )


class Failure(Model):
    """Why the workflow did not complete, root cause first in `message`."""

    type: str = Field(max_length=253, description="Error type of the root cause, such as ModelAuthentication.")
    message: str = Field(max_length=4096, description="What happened, in words a person can act on.")
    causes: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list, max_length=10, description="The chain of failures, outermost first."
    )
    retryable: bool | None = Field(default=None, description="Whether the same call might succeed when tried again.")
    activity: str | None = Field(default=None, max_length=253, description="Type of the activity that failed.")
    attempt: int | None = Field(default=None, ge=1, description="Which attempt of the activity was the last.")
    timeout: str | None = Field(
        default=None,
        max_length=63,
        description="Which timeout it was, if one: StartToClose, ScheduleToStart, ScheduleToClose, Heartbeat or "
        "Workflow.",
    )


class Attempt(Model):
    """An earlier attempt of the run, before spec.retry asked for another."""

    run_id: str | None = Field(default=None, max_length=63, description="Run id of its last execution, if it had one.")
    state: str = Field(max_length=63, description="How it ended.")
    start_time: str | None = Field(
        default=None, max_length=32, json_schema_extra={"format": "date-time"}, description="When it started."
    )
    completion_time: str | None = Field(
        default=None, max_length=32, json_schema_extra={"format": "date-time"}, description="When it ended."
    )
    message: str = Field(default="", max_length=512, description="Why, cut at 512 bytes.")


class AgentRunStatus(Status):
    """What became of the run."""

    # Not an enum in the schema: an operator newer than the CRD must be able to write its reasons.
    state: Annotated[Reason, WithJsonSchema({"type": "string", "maxLength": 63})] | None = Field(
        default=None, description="The reason of the condition Succeeded, for selectors and columns."
    )
    queue_position: int | None = Field(
        default=None,
        ge=1,
        description="Place among the runs that wait for the AgentWorker's maxConcurrentRuns, 1 being the next. "
        "Written again when it has halved, so it is at most this.",
    )
    workflow: WorkflowRef | None = Field(default=None, description="The workflow execution behind the run.")
    start_time: str | None = Field(
        default=None, max_length=32, json_schema_extra={"format": "date-time"}, description="When the workflow started."
    )
    completion_time: str | None = Field(
        default=None, max_length=32, json_schema_extra={"format": "date-time"}, description="When it closed."
    )
    progress: Progress | None = Field(default=None, description="What the workflow last reported of itself.")
    result: ResultRef | None = Field(default=None, description="What the workflow returned.")
    failure: Failure | None = Field(default=None, description="Why the workflow did not complete.")
    attempts: list[Attempt] | None = Field(
        default=None,
        max_length=ATTEMPTS_KEPT,
        description="Attempts before this one, oldest first; the last ten of them.",
    )
    retry_token: str | None = Field(
        default=None, max_length=63, description="The spec.retry.token that was last acted upon."
    )
    compacted: bool | None = Field(
        default=None,
        description="Details were dropped after ttlSecondsAfterFinished, because a GitOps tool tracks the object.",
    )


class AgentRun(Model):
    """One run of an agent: exactly one Temporal workflow execution."""

    kind: ClassVar[str] = "AgentRun"
    spec: AgentRunSpec
    status: AgentRunStatus = AgentRunStatus()
