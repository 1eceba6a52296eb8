"""A workflow execution as Temporal reports it, in plain values.

An execution is observed in one of two ways. It is described: DescribeWorkflowExecution returned it as the latest
execution of its workflow id. Or it is a row: a visibility query listed it. A row has fewer fields and can be outdated.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from durafleet.api.contract import Progress, RunPhase
from durafleet.api.run import Failure


class ExecutionStatus(StrEnum):
    """Temporal's statuses of a workflow execution."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"
    TERMINATED = "Terminated"
    CONTINUED_AS_NEW = "ContinuedAsNew"
    TIMED_OUT = "TimedOut"
    PAUSED = "Paused"


OPEN = frozenset({ExecutionStatus.RUNNING, ExecutionStatus.PAUSED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a closed execution: the result as JSON text, or the failure."""

    result: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """One workflow execution as last observed.

    Attributes:
        first_run_id: first run id of its chain of executions; empty in a row that does not contain it.
        described: DescribeWorkflowExecution returned it as the latest execution of its workflow id. A row may be an
            earlier execution that a reset has replaced.
        owner: the AgentRun that its memo names, as <namespace>/<name>; None if the memo names none.
        phase: the phase that the workflow reports; None if it reports none.
        paused_by: identity and reason of the pause; known only if described.
        outcome: read once, after the execution closed; None before.
        problem: why its workflow tasks keep failing, as Temporal reports it; None if they do not fail.
        answered: when Temporal answered our start, by the operator's clock. It replaces the start time until
            Temporal has reported that, but never decides which of two executions is the later one.
    """

    workflow_id: str
    run_id: str
    first_run_id: str
    status: ExecutionStatus
    described: bool = False
    owner: str | None = None
    type: str = ""
    task_queue: str = ""
    start_time: datetime | None = None
    close_time: datetime | None = None
    cancel_requested: bool = False
    phase: RunPhase | None = None
    paused_by: tuple[str, str] | None = None
    progress: Progress | None = None
    problem: str | None = None
    outcome: Outcome | None = None
    answered: datetime | None = None

    @property
    def began(self) -> datetime | None:
        return self.start_time or self.answered

    @property
    def open(self) -> bool:
        return self.status in OPEN

    def needs_describe(self, recorded: str | None) -> bool:
        """Return whether this row has to be verified with DescribeWorkflowExecution before it is trusted.

        A row does not contain the chain of executions or who paused it. And a closed row may be an execution that a
        reset has replaced. This is always possible for a terminated execution, and for every execution other than
        the recorded one.

        Args:
            recorded: the run id in the AgentRun's status.
        """
        if self.described:
            return False
        recorded = recorded or (self.run_id if self.answered else None)  # ours, but not yet in a status
        if recorded is None or self.status in {ExecutionStatus.TERMINATED, ExecutionStatus.PAUSED}:
            return True
        return not self.open and self.run_id != recorded


def latest(before: Execution | None, seen: Execution) -> Execution:
    """Return the later of two observations of one workflow id, with the fields that only the other one has.

    Visibility lags behind. So an open row never replaces a closed observation of the same execution, and an earlier
    execution of a chain (continue-as-new, reset) never replaces a later one.
    """
    if before is None:
        return seen
    if before.run_id != seen.run_id:
        older = before.start_time and seen.start_time and seen.start_time < before.start_time
        return before if older else replace(seen, first_run_id=seen.first_run_id or before.first_run_id)
    if seen.open and not before.open:
        return before
    same = seen.status is before.status
    return replace(
        seen,
        first_run_id=seen.first_run_id or before.first_run_id,
        described=seen.described or (same and before.described),
        paused_by=seen.paused_by or (before.paused_by if same else None),
        outcome=seen.outcome or before.outcome,
        cancel_requested=seen.cancel_requested or before.cancel_requested,
        progress=seen.progress or before.progress,
        answered=seen.answered or before.answered,
    )


def adds_only_start_time(before: Execution | None, after: Execution) -> bool:
    """Return whether only the start time is new: the response to a start does not contain it, but each row does."""
    return before is not None and replace(after, start_time=before.start_time) == before


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """The parameters of a workflow start. The same AgentRun always gives the same request.

    Attributes:
        request_id: identity of the AgentRun; a repeated start with the same request id returns the first execution.
        uid: UID of the AgentRun.
        again: this is another attempt, after an execution of the same workflow id has closed.
        input: arguments of the workflow; JSON values.
        priority: from 1 (first) to 5 (last).
        fairness_key: Temporal divides a task queue evenly between these keys.
    """

    workflow_id: str
    request_id: str
    uid: str
    again: bool = False
    workflow_type: str
    task_queue: str
    input: tuple[Any, ...]
    execution_timeout: float
    fleet: str
    summary: str
    priority: int
    fairness_key: str
    memo: tuple[tuple[str, str], ...] = ()
