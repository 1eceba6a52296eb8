"""What the plan of an AgentRun can ask for. Each action is a value; the controller makes it one outbound call."""

from dataclasses import dataclass

from durafleet.api.run import AgentRunStatus, InputFrom, RetryFrom
from durafleet.core.places import Target
from durafleet.core.plans import Plan
from durafleet.core.runs.execution import StartRequest


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
RunPlan = Plan[AgentRunStatus, RunAction]
