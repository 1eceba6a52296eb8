"""The status of an AgentRun that has not ended: one pure function for each situation."""

from datetime import datetime
from typing import Any

from durafleet.api.contract import RunPhase
from durafleet.api.run import AgentRunStatus, ReadyWhen, WorkflowRef
from durafleet.api.status import Reason
from durafleet.core.conditions import Summary, Verdict
from durafleet.core.objects import Run, Worker, format_time
from durafleet.core.places import Target
from durafleet.core.plans import Announcement, Plan
from durafleet.core.runs.actions import RunPlan
from durafleet.core.runs.admission import Turn, reported_position
from durafleet.core.runs.execution import Execution, ExecutionStatus
from durafleet.core.workers.names import task_queue_of

_WORKING = frozenset({Reason.RUNNING, Reason.AWAITING_APPROVAL})


def with_summary(run: Run, summary: Summary, *, state: Reason, now: datetime, **fields: Any) -> AgentRunStatus:
    """Return the run's status with this summary and these fields; all other fields stay.

    The status records the current spec.retry.token: only a token that changes after the end of the run requests a
    retry.
    """
    update: dict[str, Any] = {
        "observed_generation": run.generation,
        "conditions": summary.conditions(run.status.conditions, generation=run.generation, now=now),
        "state": state,
        "queue_position": None,
        "retry_token": run.spec.retry.token if run.spec.retry else None,
    }
    return run.status.model_copy(update={**update, **fields})


def waiting_status(run: Run, verdict: Verdict, *, stalled: bool, now: datetime) -> AgentRunStatus:
    """Return the status of a run that has to wait: Pending if it has no workflow, otherwise the state that it had."""
    state = run.status.state if run.status.workflow is not None and run.status.state else Reason.PENDING
    summary = Summary(
        succeeded="Unknown",
        state=Verdict(state, verdict.message),
        ready="False" if stalled else "Unknown",
        verdict=verdict,
        reconciling=not stalled,
        stalled=stalled,
    )
    return with_summary(run, summary, state=state, now=now)


def queued_status(run: Run, turn: Turn, *, now: datetime) -> AgentRunStatus:
    """Return the status of a run that waits for a slot of its AgentWorker."""
    reported = run.status.queue_position if run.status.state == Reason.QUEUED else None
    position = reported_position(reported, turn.position)
    place = "Next" if position == 1 else f"Position {position} or better"
    verdict = Verdict(
        Reason.QUEUED,
        f"{place} in the queue: AgentWorker {run.spec.worker_ref.name!r} allows {turn.limit} open runs "
        "(spec.maxConcurrentRuns).",
    )
    summary = Summary(succeeded="Unknown", ready="Unknown", verdict=verdict, reconciling=True)
    return with_summary(run, summary, state=Reason.QUEUED, now=now, queue_position=position)


def held_status(run: Run, *, now: datetime) -> AgentRunStatus:
    """Return the status of a run that spec.suspend keeps from starting. It is Ready: this is what the spec requires."""
    verdict = Verdict(Reason.SUSPENDED, "spec.suspend is true; the workflow starts when spec.suspend is false.")
    summary = Summary(succeeded="Unknown", ready="True", verdict=verdict)
    return with_summary(run, summary, state=Reason.SUSPENDED, now=now)


def workflow_ref(run: Run, execution: Execution, target: Target, worker: Worker | None) -> WorkflowRef:
    """Return the reference to the execution; recorded values take precedence over the AgentWorker's current ones."""
    before = run.status.workflow
    from_worker = task_queue_of(worker) if worker is not None else ""
    return WorkflowRef(
        id=execution.workflow_id,
        run_id=execution.run_id,
        first_run_id=execution.first_run_id or (before.first_run_id if before else None),
        namespace=target.namespace,
        connection=target.connection,
        task_queue=execution.task_queue or (before.task_queue if before else from_worker),
        type=execution.type or (before.type if before else ""),
    )


def open_status(
    run: Run,
    execution: Execution,
    target: Target,
    worker: Worker | None,
    *,
    trouble: Verdict | None,
    progress_due: bool,
    now: datetime,
) -> RunPlan:
    """Return the plan for an open execution; `trouble` is why no worker polls, or why it cannot be paused."""
    summary = _open_summary(run, execution, target, trouble)
    state = (summary.state or summary.verdict).reason
    fields: dict[str, Any] = {
        "workflow": workflow_ref(run, execution, target, worker),
        "start_time": _start_time(run, execution),
    }
    if progress_due and execution.progress is not None:
        fields["progress"] = execution.progress
    status = with_summary(run, summary, state=state, now=now, **fields)
    return Plan(status=status, announcements=_announce_open(run, execution))


def _start_time(run: Run, execution: Execution) -> str | None:
    """Return when the execution started. A recorded time stays, even if it comes from another clock."""
    recorded = run.status.workflow
    if recorded is not None and recorded.run_id == execution.run_id and run.status.start_time is not None:
        return run.status.start_time
    return format_time(execution.began) if execution.began else run.status.start_time


def _open_summary(run: Run, execution: Execution, target: Target, trouble: Verdict | None) -> Summary:
    state, by_spec = _open_state(run, execution, target)
    verdict = _obstacle(execution) or (None if state.reason == Reason.SUSPENDED else trouble)
    fine = verdict is None and (by_spec or (run.spec.ready_when is ReadyWhen.STARTED and state.reason in _WORKING))
    return Summary(
        succeeded="Unknown",
        state=Verdict(state.reason, (verdict or state).message),
        ready="True" if fine else "Unknown",
        verdict=verdict or state,
        reconciling=not fine,
    )


def _open_state(run: Run, execution: Execution, target: Target) -> tuple[Verdict, bool]:
    """Return the state of an open execution, and whether it is paused because the spec requires it."""
    if execution.status is ExecutionStatus.PAUSED:
        if run.spec.suspend:
            return Verdict(Reason.SUSPENDED, "spec.suspend is true; the workflow is paused."), True
        who, why = execution.paused_by or ("unknown", "")
        by = f"{who} ({why})" if why else who
        message = (
            f"The workflow was paused outside this AgentRun by {by}. Continue it with: "
            f"temporal workflow unpause --workflow-id {execution.workflow_id} --namespace {target.namespace}"
        )
        return Verdict(Reason.SUSPENDED, message), False
    if execution.phase is RunPhase.AWAITING_APPROVAL:
        return Verdict(Reason.AWAITING_APPROVAL, "The workflow waits for an answer from a person."), False
    return Verdict(Reason.RUNNING, "The workflow is running."), False


def _obstacle(execution: Execution) -> Verdict | None:
    """Return the reason in the execution itself why it makes no progress or is ending; None if there is none."""
    if execution.problem is not None:
        return Verdict(
            Reason.WORKFLOW_TASK_FAILING,
            f"Temporal reports that workflow tasks keep failing: {execution.problem.rstrip('.')}. "
            "Find the cause in the logs of the worker pods and fix it; the run then continues from where it is.",
        )
    if execution.cancel_requested:
        return Verdict(Reason.CANCELLING, "Cancellation was requested; waiting for the workflow to end.")
    return None


def _announce_open(run: Run, execution: Execution) -> tuple[Announcement, ...]:
    if run.status.start_time is None:
        return (Announcement("Normal", Reason.RUNNING, f"Workflow {execution.workflow_id} started."),)
    token = run.spec.retry.token if run.spec.retry else None
    if token is not None and token != run.status.retry_token:
        message = f"spec.retry.token {token!r} was ignored because the run is open. Change it again after the run ends."
        return (Announcement("Warning", "RetryIgnored", message),)
    return ()
