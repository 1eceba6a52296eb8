"""AgentRun: one run of an agent, exactly one workflow execution."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, WithJsonSchema

from durafleet.api.contract import Progress
from durafleet.api.model import ANY_JSON, IMMUTABLE, Model, Name, ObjectRef, Rule
from durafleet.api.status import Reason, Status

INPUT_LIMIT = 64 * 1024
"""Longest input of a run, in bytes of JSON."""
PREVIEW_LIMIT = 4096
"""Longest part of a result that a status holds, in bytes of UTF-8."""


class Stop(StrEnum):
    CANCEL = "Cancel"
    TERMINATE = "Terminate"


class DeletionPolicy(StrEnum):
    CANCEL = "Cancel"
    TERMINATE = "Terminate"
    ABANDON = "Abandon"


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
    stop: Stop | None = Field(
        default=None, description="Cancel asks the workflow to end and lets it clean up; Terminate ends it at once."
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.CANCEL, description="What happens to a running workflow when the AgentRun is deleted."
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

    preview: str = Field(max_length=PREVIEW_LIMIT, description="The answer, or its first 4 KiB.")
    size: int = Field(ge=0, description="Bytes of the whole answer.")
    sha256: str = Field(max_length=64, description="SHA-256 of the whole answer, in hexadecimal.")


class Failure(Model):
    """Why the workflow did not complete, root cause first in `message`."""

    type: str = Field(max_length=253, description="Error type of the root cause, such as ModelAuthentication.")
    message: str = Field(max_length=4096, description="What happened, in words a person can act on.")
    causes: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list, max_length=10, description="The chain of failures, outermost first."
    )
    retryable: bool | None = Field(default=None, description="Whether the same call might succeed when tried again.")
    activity: str | None = Field(default=None, max_length=253, description="Type of the activity that failed.")


class AgentRunStatus(Status):
    """What became of the run."""

    # Not an enum in the schema: an operator newer than the CRD must be able to write its reasons.
    state: Annotated[Reason, WithJsonSchema({"type": "string", "maxLength": 63})] | None = Field(
        default=None, description="The reason of the condition Succeeded, for selectors and columns."
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


class AgentRun(Model):
    """One run of an agent: exactly one Temporal workflow execution."""

    kind: ClassVar[str] = "AgentRun"
    spec: AgentRunSpec
    status: AgentRunStatus = AgentRunStatus()
