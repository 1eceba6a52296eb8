"""Conditions and reasons: the part of every status that scripts and GitOps tools read.

`Succeeded` (runs) and `Ready` are always there; `Reconciling` and `Stalled` exist only while they are True
and never together, because kstatus reads them that way.
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
    """Why a condition is as it is. Names are API: they are never renamed."""

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
    # why an AgentRun waits
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
    """One condition, in the form of metav1.Condition."""

    type: str = Field(min_length=1, max_length=63, description="Succeeded, Ready, Reconciling or Stalled.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: int = Field(ge=0, description="The generation of the spec that was looked at.")
    last_transition_time: str = Field(
        max_length=32, json_schema_extra={"format": "date-time"}, description="When `status` last changed."
    )
    reason: str = Field(
        min_length=1, max_length=128, pattern=r"^[A-Za-z]+$", description="Why, as one word that scripts may rely on."
    )
    message: str = Field(max_length=4096, description="Why, for people, with what to do about it.")


class Status(Model):
    """What every kind's status has."""

    observed_generation: int = Field(
        default=-1,
        description="The generation of the spec that this status describes; -1 until the operator has seen it.",
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=8,
        description="What holds now.",
        json_schema_extra=list_map("type"),
    )

    def condition(self, kind: ConditionType) -> Condition | None:
        """Return the condition of this type, None if it is absent."""
        return next((c for c in self.conditions if c.type == kind), None)
