"""What Temporal says of a workflow execution, as plain values."""

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
    """How a closed execution ended: the result as JSON text, or the failure."""

    result: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """One workflow execution as last observed.

    Attributes:
        first_run_id: of its chain; empty where a list does not say.
        described: Temporal was asked for the latest execution of this id, and named this one. A row of a
            list may be one that a reset has left behind.
        owner: the AgentRun that its memo names, as <namespace>/<name>; None if it names none.
        phase: what the workflow says of itself; None if nothing.
        paused_by: identity and reason of who paused it; known only if described.
        outcome: read once after the execution closed; None before.
        problem: why its workflow tasks keep failing, in Temporal's words; None if they do not.
        answered: when Temporal answered our start, by our clock; it stands in for the start time until
            Temporal has told that, but never decides which of two executions is the later.
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

    def doubtful(self, recorded: str | None) -> bool:
        """Tell whether Temporal has to be asked before this is believed; `recorded` is the run id in the status.

        A row of a list tells less than a description: not which chain it belongs to, nor who paused
        it. And one that says closed may be an execution that a reset has left behind: always
        possible of a terminated one, and of any other than the recorded one.
        """
        if self.described:
            return False
        recorded = recorded or (self.run_id if self.answered else None)  # ours, though no status says so yet
        if recorded is None or self.status in {ExecutionStatus.TERMINATED, ExecutionStatus.PAUSED}:
            return True
        return not self.open and self.run_id != recorded


def latest(before: Execution | None, seen: Execution) -> Execution:
    """Return which of two observations of one workflow id to believe.

    Visibility lags: an open row never follows a closed one of the same run, and an older run of a
    chain (continue-as-new, reset) never follows a younger one.
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


def only_dated(before: Execution | None, after: Execution) -> bool:
    """Tell whether all that is new is when it started: the answer to a start does not say it, each list does."""
    return before is not None and replace(after, start_time=before.start_time) == before


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """All that a start needs, resolved; the same AgentRun gives the same request.

    Attributes:
        request_id: key of the AgentRun; a repeat with it returns the first execution.
        uid: of the AgentRun.
        again: another attempt, after one of the same workflow id has closed.
        input: arguments of the workflow; JSON values.
        priority: 1 comes first, 5 last.
        fairness_key: what shares a task queue evenly.
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
