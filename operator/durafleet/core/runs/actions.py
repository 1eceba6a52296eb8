"""The actions in the plan of an AgentRun. An action is a plain value; the controller makes one call for it."""

from dataclasses import dataclass

from durafleet.api.run import AgentRunStatus, InputFrom, RetryFrom
from durafleet.core.places import Target
from durafleet.core.plans import Plan
from durafleet.core.runs.execution import StartRequest


@dataclass(frozen=True)
class AddFinalizer:
    """Add our finalizer, which keeps the AgentRun until its workflow has ended."""


@dataclass(frozen=True)
class RemoveFinalizer:
    """Remove our finalizer, which releases the AgentRun."""


@dataclass(frozen=True)
class StartWorkflow:
    target: Target
    request: StartRequest


@dataclass(frozen=True)
class Describe:
    """Call DescribeWorkflowExecution, which returns the latest execution of the workflow id."""

    target: Target
    workflow_id: str


@dataclass(frozen=True)
class ReadOutcome:
    """Read the close event of one execution."""

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
    """Make another attempt: reset the execution, or start a new one if its history does not allow a reset.

    Attributes:
        run_id: the execution that ended. If the workflow has a later execution, there is nothing to do.
        start: the request for a new start; None if the AgentWorker or the input is missing.
    """

    target: Target
    workflow_id: str
    run_id: str
    retry_from: RetryFrom
    start: StartRequest | None


@dataclass(frozen=True)
class ReadInput:
    """Read the input from the ConfigMap or Secret that spec.inputFrom names."""

    source: InputFrom


@dataclass(frozen=True)
class DeleteRun:
    """Delete the AgentRun, because its time to live after the end is over."""


TemporalCall = (
    StartWorkflow
    | Describe
    | ReadOutcome
    | CancelWorkflow
    | TerminateWorkflow
    | PauseWorkflow
    | UnpauseWorkflow
    | RetryWorkflow
)
RunAction = AddFinalizer | RemoveFinalizer | ReadInput | DeleteRun | TemporalCall
RunPlan = Plan[AgentRunStatus, RunAction]
