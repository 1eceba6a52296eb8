"""The status of an AgentRun that ends: with its workflow, without a workflow, or because its workflow is lost."""

from datetime import datetime, timedelta
from typing import Any

from durafleet.api.durations import format_duration
from durafleet.api.run import Stop
from durafleet.api.status import ConditionType, Reason
from durafleet.core.conditions import Summary, Verdict
from durafleet.core.objects import Run, Worker, format_time
from durafleet.core.places import Target
from durafleet.core.plans import Announcement, Plan
from durafleet.core.runs.actions import RunPlan
from durafleet.core.runs.execution import Execution, ExecutionStatus
from durafleet.core.runs.identity import workflow_id
from durafleet.core.runs.results import summarise_result
from durafleet.core.runs.status import with_summary, workflow_ref

_CLOSED = {
    ExecutionStatus.COMPLETED: Reason.COMPLETED,
    ExecutionStatus.FAILED: Reason.WORKFLOW_FAILED,
    ExecutionStatus.CANCELED: Reason.CANCELLED,
    ExecutionStatus.TERMINATED: Reason.TERMINATED,
    ExecutionStatus.TIMED_OUT: Reason.TIMED_OUT,
}

_RETRY_INTERVAL = 5.0
"""Seconds until the operator tries again to make an attempt that was not possible."""


def closed_status(run: Run, execution: Execution, target: Target, worker: Worker | None, *, now: datetime) -> RunPlan:
    """Return the final status for a closed execution whose outcome was read."""
    outcome = execution.outcome
    state = _CLOSED[execution.status]
    by_spec = (state == Reason.CANCELLED and run.spec.stop is not None) or (
        state == Reason.TERMINATED and run.spec.stop is Stop.TERMINATE
    )
    verdict = Verdict(state, _closing_message(execution, by_spec=by_spec))
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
        "start_time": format_time(execution.began) if execution.began else run.status.start_time,
        "completion_time": format_time(execution.close_time) if execution.close_time else format_time(now),
        "result": summarise_result(outcome.result, ref=result_ref(execution, target))
        if outcome and completed
        else None,
        "failure": outcome.failure if outcome else None,
        "progress": execution.progress or run.status.progress,
    }
    status = with_summary(run, summary, state=state, now=now, **fields)
    return Plan(status=status, announcements=(Announcement("Normal" if good else "Warning", state, verdict.message),))


def _closing_message(execution: Execution, *, by_spec: bool) -> str:
    took = ""
    if execution.began and execution.close_time:
        span = max(execution.close_time - execution.began, timedelta(0))
        took = f" after {format_duration(span)}"
    failure = execution.outcome.failure if execution.outcome else None
    match execution.status:
        case ExecutionStatus.COMPLETED:
            return f"The workflow completed{took}."
        case ExecutionStatus.TIMED_OUT:
            return (
                f"The workflow timed out{took}. Change spec.retry.token to retry it with the same timeout, or create "
                "a run with a longer spec.timeouts.workflow."
            )
        case ExecutionStatus.CANCELED:
            return f"The workflow was cancelled{took}{' by spec.stop' if by_spec else ' from outside this AgentRun'}."
        case ExecutionStatus.TERMINATED:
            return f"The workflow was terminated{took}: {failure.message if failure else 'no reason given'}"
        case _:
            return f"{failure.type}: {failure.message}" if failure else f"The workflow failed{took}."


def rejected(run: Run, verdict: Verdict, *, now: datetime) -> RunPlan:
    """End a run without a workflow."""
    by_spec = verdict.reason == Reason.CANCELLED
    summary = Summary(succeeded="False", ready="True" if by_spec else "False", verdict=verdict, stalled=not by_spec)
    announcement = Announcement("Normal" if by_spec else "Warning", verdict.reason, verdict.message)
    return Plan(
        status=with_summary(run, summary, state=verdict.reason, now=now, completion_time=format_time(now)),
        announcements=(announcement,),
    )


def vanished(run: Run, *, now: datetime) -> RunPlan:
    """End a run whose workflow was started, but no longer exists in Temporal."""
    verdict = Verdict(
        Reason.TERMINATED,
        "This run's workflow no longer exists in Temporal: it was deleted, or its retention period ended before the "
        "operator read its outcome. Change spec.retry.token to run it again from the start.",
    )
    return rejected(run, verdict, now=now)


def foreign(run: Run, execution: Execution, *, now: datetime) -> RunPlan:
    """End a run whose workflow id belongs to a workflow that the operator did not start for this run."""
    verdict = Verdict(
        Reason.START_REJECTED,
        f"Workflow {workflow_id(run)!r} exists, but was not started for this AgentRun (type {execution.type!r}; its "
        "memo does not name this AgentRun). The operator does not change that workflow. Create the run with another "
        "spec.idempotencyKey.",
    )
    return rejected(run, verdict, now=now)


def result_ref(execution: Execution, target: Target) -> str:
    """Return the reference to the complete result."""
    return f"temporal://{target.namespace}/{execution.workflow_id}?run={execution.run_id}"


def retry_delayed(run: Run, verdict: Verdict, *, now: datetime) -> RunPlan:
    """Keep the outcome, and report why the attempt that spec.retry requests is not possible yet."""
    state = run.status.state or Reason.TERMINATED
    before = run.status.condition(ConditionType.SUCCEEDED)
    waiting = Verdict(verdict.reason, f"spec.retry waits: {verdict.message}")
    summary = Summary(
        succeeded="False",
        state=Verdict(state, before.message if before else ""),
        ready="False",
        verdict=waiting,
        stalled=True,
    )
    token = run.status.retry_token  # the request is still open
    return Plan(status=with_summary(run, summary, state=state, now=now, retry_token=token), requeue=_RETRY_INTERVAL)


def retry_ignored(run: Run, *, token: str | None) -> tuple[Announcement, ...]:
    """Return the Event that a new spec.retry.token was ignored, because the run has completed."""
    if token is None or token == run.status.retry_token:
        return ()
    message = f"spec.retry.token {token!r} was ignored because the run has completed. Create a new AgentRun."
    return (Announcement("Warning", "RetryIgnored", message),)
