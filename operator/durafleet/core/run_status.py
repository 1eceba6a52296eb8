"""The status of an AgentRun in each situation: one function a situation, all of them pure."""

from datetime import datetime, timedelta
from typing import Any

from durafleet.api.durations import format_duration
from durafleet.api.run import AgentRunStatus, Stop, WorkflowRef
from durafleet.api.status import Reason
from durafleet.core.actions import Announcement, Plan
from durafleet.core.conditions import Summary, Verdict
from durafleet.core.execution import Execution, ExecutionStatus, Target
from durafleet.core.objects import Run, Worker, format_time
from durafleet.core.results import summarise_result
from durafleet.core.targets import task_queue_of

TERMINAL = frozenset(
    {
        Reason.COMPLETED,
        Reason.WORKFLOW_FAILED,
        Reason.TIMED_OUT,
        Reason.CANCELLED,
        Reason.TERMINATED,
        Reason.START_REJECTED,
        Reason.INVALID_SPEC,
    }
)
"""States that a run never leaves."""

_CLOSED = {
    ExecutionStatus.COMPLETED: Reason.COMPLETED,
    ExecutionStatus.FAILED: Reason.WORKFLOW_FAILED,
    ExecutionStatus.CANCELED: Reason.CANCELLED,
    ExecutionStatus.TERMINATED: Reason.TERMINATED,
    ExecutionStatus.TIMED_OUT: Reason.TIMED_OUT,
}


def with_summary(run: Run, summary: Summary, *, state: Reason, now: datetime, **fields: Any) -> AgentRunStatus:
    """Return the run's status with this summary; `fields` replace, the rest stays."""
    conditions = summary.conditions(run.status.conditions, generation=run.generation, now=now)
    update = {"observed_generation": run.generation, "conditions": conditions, "state": state, **fields}
    return run.status.model_copy(update=update)


def waiting_status(run: Run, verdict: Verdict, *, stalled: bool, now: datetime) -> AgentRunStatus:
    """A run that cannot go on yet: its state stays what it was, or Pending."""
    state = run.status.state or Reason.PENDING
    summary = Summary(
        succeeded="Unknown",
        state=Verdict(state, verdict.message),
        ready="False" if stalled else "Unknown",
        verdict=verdict,
        reconciling=not stalled,
        stalled=stalled,
    )
    return with_summary(run, summary, state=state, now=now)


def workflow_ref(run: Run, execution: Execution, target: Target, worker: Worker | None) -> WorkflowRef:
    """Name the execution; what was already recorded wins over what the worker says today."""
    before = run.status.workflow
    from_worker = task_queue_of(worker) if worker is not None else ""
    return WorkflowRef(
        id=execution.workflow_id,
        run_id=execution.run_id,
        first_run_id=execution.first_run_id,
        namespace=target.namespace,
        connection=target.connection,
        task_queue=execution.task_queue or (before.task_queue if before else from_worker),
        type=execution.type or (before.type if before else ""),
    )


def running_status(
    run: Run,
    execution: Execution,
    target: Target,
    worker: Worker | None,
    *,
    unpolled: Verdict | None,
    progress_due: bool,
    now: datetime,
) -> Plan[AgentRunStatus]:
    """An open execution: why it runs slowly or not at all, if it does."""
    verdict = Verdict(Reason.RUNNING, "The workflow is running.")
    if execution.problem is not None:
        verdict = Verdict(
            Reason.WORKFLOW_TASK_FAILING,
            f"Temporal reports that the workflow's tasks keep failing: {execution.problem}. "
            "Mend the worker (its logs say more); the run then goes on where it is.",
        )
    elif execution.cancel_requested:
        verdict = Verdict(Reason.CANCELLING, "Cancellation was requested; waiting for the workflow to end.")
    elif unpolled is not None:
        verdict = unpolled
    summary = Summary(
        succeeded="Unknown",
        state=Verdict(Reason.RUNNING, verdict.message),
        ready="Unknown",
        verdict=verdict,
        reconciling=True,
    )
    fields: dict[str, Any] = {
        "workflow": workflow_ref(run, execution, target, worker),
        "start_time": format_time(execution.start_time) if execution.start_time else run.status.start_time,
    }
    if progress_due and execution.progress is not None:
        fields["progress"] = execution.progress
    status = with_summary(run, summary, state=Reason.RUNNING, now=now, **fields)
    return Plan(
        status=status,
        announcements=_announce(run, Reason.RUNNING, f"Workflow {execution.workflow_id} started."),
    )


def closed_status(
    run: Run, execution: Execution, target: Target, worker: Worker | None, *, now: datetime
) -> Plan[AgentRunStatus]:
    """A closed execution whose outcome was read."""
    outcome = execution.outcome
    state = _CLOSED[execution.status]
    by_spec = (state == Reason.CANCELLED and run.spec.stop is not None) or (
        state == Reason.TERMINATED and run.spec.stop is Stop.TERMINATE
    )
    verdict = Verdict(state, _closing_words(execution, by_spec=by_spec))
    completed = state == Reason.COMPLETED
    good = completed or by_spec
    summary = Summary(
        succeeded="True" if completed else "False",
        ready="True" if good else "False",
        verdict=verdict,
        stalled=not good,
    )
    fields: dict[str, Any] = {
        "workflow": workflow_ref(run, execution, target, worker),
        "start_time": format_time(execution.start_time) if execution.start_time else run.status.start_time,
        "completion_time": format_time(execution.close_time) if execution.close_time else format_time(now),
        "result": summarise_result(outcome.result) if outcome and completed else None,
        "failure": outcome.failure if outcome else None,
        "progress": execution.progress or run.status.progress,
    }
    status = with_summary(run, summary, state=state, now=now, **fields)
    return Plan(status=status, announcements=_announce(run, state, verdict.message, good=good))


def _closing_words(execution: Execution, *, by_spec: bool) -> str:
    took = ""
    if execution.start_time and execution.close_time:
        span = max(execution.close_time - execution.start_time, timedelta(0))
        took = f" after {format_duration(span)}"
    failure = execution.outcome.failure if execution.outcome else None
    match execution.status:
        case ExecutionStatus.COMPLETED:
            return f"The workflow completed{took}."
        case ExecutionStatus.TIMED_OUT:
            return (
                f"The workflow timed out{took}; raise the AgentWorker's spec.timeouts.workflow if the run needs longer."
            )
        case ExecutionStatus.CANCELED:
            return f"The workflow was cancelled{took}{' by spec.stop' if by_spec else ' from outside this AgentRun'}."
        case ExecutionStatus.TERMINATED:
            return f"The workflow was terminated{took}: {failure.message if failure else 'no reason given'}"
        case _:
            return f"{failure.type}: {failure.message}" if failure else f"The workflow failed{took}."


def _announce(run: Run, reason: Reason, message: str, *, good: bool = True) -> tuple[Announcement, ...]:
    if run.status.state == reason:
        return ()
    return (Announcement("Normal" if good else "Warning", reason, message),)
