"""What a plan can ask for. Each action is a value; a controller turns it into one outbound call."""

from dataclasses import dataclass, field
from typing import Any, Generic, Never, TypeVar

from durafleet.api.connection import TemporalConnectionStatus
from durafleet.api.run import AgentRunStatus, InputFrom, RetryFrom
from durafleet.api.worker import AgentWorkerStatus
from durafleet.core.runs.execution import StartRequest, Target

StatusT = TypeVar("StatusT")
ActionT = TypeVar("ActionT")


@dataclass(frozen=True)
class AddFinalizer:
    """Keep the AgentRun until its workflow has ended."""


@dataclass(frozen=True)
class RemoveFinalizer:
    """Let the AgentRun go."""


@dataclass(frozen=True)
class StartWorkflow:
    target: Target
    request: StartRequest


@dataclass(frozen=True)
class Describe:
    """Ask Temporal for the execution of this workflow id."""

    target: Target
    workflow_id: str


@dataclass(frozen=True)
class ReadOutcome:
    """Read the close event of this run."""

    target: Target
    workflow_id: str
    run_id: str


@dataclass(frozen=True)
class CancelWorkflow:
    target: Target
    workflow_id: str
    first_run_id: str
    reason: str


@dataclass(frozen=True)
class TerminateWorkflow:
    target: Target
    workflow_id: str
    first_run_id: str
    reason: str


@dataclass(frozen=True)
class PauseWorkflow:
    target: Target
    workflow_id: str
    run_id: str


@dataclass(frozen=True)
class UnpauseWorkflow:
    target: Target
    workflow_id: str
    run_id: str


@dataclass(frozen=True)
class RetryWorkflow:
    """Another attempt: a reset of this run, or the start of a new one where the history does not allow it.

    Attributes:
        run_id: the run that ended; if the workflow has moved on from it, nothing is to be done.
        start: how to start anew; None if the AgentWorker or the input that it takes is not there.
    """

    target: Target
    workflow_id: str
    run_id: str
    retry_from: RetryFrom
    start: StartRequest | None


@dataclass(frozen=True)
class ReadInput:
    """Read the input from where spec.inputFrom says."""

    source: InputFrom


@dataclass(frozen=True)
class DeleteRun:
    """Delete the AgentRun; its time after the end is up."""


@dataclass(frozen=True)
class ApplyObject:
    """Server-side apply of an owned object."""

    manifest: dict[str, Any]


@dataclass(frozen=True)
class DeleteObject:
    """Delete an owned object that is no longer wanted."""

    api_version: str
    kind: str
    name: str


AskTemporal = (
    StartWorkflow
    | Describe
    | ReadOutcome
    | CancelWorkflow
    | TerminateWorkflow
    | PauseWorkflow
    | UnpauseWorkflow
    | RetryWorkflow
)
RunAction = AddFinalizer | RemoveFinalizer | ReadInput | DeleteRun | AskTemporal
WorkerAction = ApplyObject | DeleteObject


@dataclass(frozen=True)
class Announcement:
    """A Kubernetes Event; posted at most once per object and reason."""

    type: str  # Normal or Warning
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Plan(Generic[StatusT, ActionT]):
    """What to do now, and the status once it is done.

    Attributes:
        actions: in the order they must happen; the status is due only when none is left.
        status: the whole status after them; None leaves it alone.
        announcements: due together with a changed status.
        requeue: look again after so many seconds; None waits for an observation.
    """

    actions: tuple[ActionT, ...] = ()
    status: StatusT | None = None
    announcements: tuple[Announcement, ...] = field(default=())
    requeue: float | None = None


RunPlan = Plan[AgentRunStatus, RunAction]
WorkerPlan = Plan[AgentWorkerStatus, WorkerAction]
ConnectionPlan = Plan[TemporalConnectionStatus, Never]
