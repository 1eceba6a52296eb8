"""Conditions and reasons: the part of every status that scripts and GitOps tools read.

`Succeeded` (AgentRun only) and `Ready` are always present. `Reconciling` and `Stalled` are present only while
they are True, and never together, because kstatus expects that.
"""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from durafleet.api.model import Model, list_map


class ConditionType(StrEnum):
    SUCCEEDED = "Succeeded"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(StrEnum):
    """Reasons of conditions. They are API and are never renamed."""

    # AgentRun: also the values of status.state
    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    AWAITING_APPROVAL = "AwaitingApproval"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    WORKFLOW_FAILED = "WorkflowFailed"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"
    TERMINATED = "Terminated"
    START_REJECTED = "StartRejected"
    INVALID_SPEC = "InvalidSpec"
    # AgentRun: reasons to wait
    CANCELLING = "Cancelling"
    WORKER_NOT_FOUND = "WorkerNotFound"
    AGENT_NOT_FOUND = "AgentNotFound"
    INPUT_NOT_FOUND = "InputNotFound"
    SUSPEND_UNSUPPORTED = "SuspendUnsupported"
    WAITING_FOR_POLLERS = "WaitingForPollers"
    WORKFLOW_TASK_FAILING = "WorkflowTaskFailing"
    # Temporal
    TEMPORAL_UNAVAILABLE = "TemporalUnavailable"
    CONNECTION_NOT_FOUND = "ConnectionNotFound"
    NAMESPACE_NOT_FOUND = "NamespaceNotFound"
    ACCESS_DENIED = "AccessDenied"
    REACHABLE = "Reachable"
    THROTTLED = "Throttled"
    # AgentWorker
    AVAILABLE = "Available"
    SCALED_TO_ZERO = "ScaledToZero"
    ROLLING_OUT = "RollingOut"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CRASH_LOOP = "CrashLoop"
    POD_REJECTED = "PodRejected"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    FOREIGN_OBJECT = "ForeignObject"


class Condition(Model):
    """A condition, in the form of metav1.Condition."""

    type: str = Field(min_length=1, max_length=63, description="Type of the condition, such as Ready.")
    status: Literal["True", "False", "Unknown"] = Field(description="Status of the condition.")
    observed_generation: int = Field(ge=0, description="Generation of the spec that the condition is based on.")
    last_transition_time: str = Field(
        max_length=32, json_schema_extra={"format": "date-time"}, description="Time when `status` last changed."
    )
    reason: str = Field(
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z]+$",
        description="Why the condition has this status, as one word that scripts can rely on.",
    )
    message: str = Field(max_length=4096, description="Human-readable explanation, and what to do about it.")


class Status(Model):
    """The fields that the status of every kind has."""

    observed_generation: int = Field(
        default=-1,
        description="Generation of the spec that this status describes. -1 until the operator first writes the status.",
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=8,
        description="Current conditions of the object.",
        json_schema_extra=list_map("type"),
    )

    def condition(self, kind: ConditionType) -> Condition | None:
        """Return the condition of this type, None if it is absent."""
        return next((c for c in self.conditions if c.type == kind), None)
