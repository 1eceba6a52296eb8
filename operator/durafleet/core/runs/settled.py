"""Settled AgentRuns: they have ended, and nothing is left to do for them.

There can be many of them, so the operator keeps only a small record of each. A complete object is about ten times
larger, mostly because of its input and its result. When a settled run has to be reconciled (its time to live is over,
or its workflow was reset), the operator reads it again. After an edit, the watch event contains it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from durafleet.api.lifecycle import RETRYABLE, TERMINAL
from durafleet.api.status import Reason
from durafleet.core.objects import FINALIZER, Key, Run, parse_time
from durafleet.core.runs.actions import RunPlan
from durafleet.core.runs.execution import Execution
from durafleet.core.runs.identity import owner_of, workflow_id
from durafleet.core.runs.retrying import asked_to_retry, may_be_at_later_execution


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledRun:
    """The record of a settled AgentRun.

    Attributes:
        workflow_id: derived from the AgentRun, never copied from its status.
        connection: the TemporalConnection that the workflow was started through; None for the operator's default.
        run_id: run id of the execution in the status; None if there was none.
        started: start time of that execution.
        expires: when the time to live is over; None if there is none.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    state: Reason
    workflow_id: str
    connection: str | None
    run_id: str | None
    started: datetime | None
    expires: datetime | None

    @property
    def key(self) -> Key:
        return self.namespace, self.name


def is_settled(run: Run, plan: RunPlan) -> bool:
    """Return whether the run has ended and its plan does nothing, except that it may wait for the time to live."""
    ended = run.status.state in TERMINAL and run.deleted is None and FINALIZER not in run.finalizers
    unchanged = not plan.actions and (plan.status is None or plan.status == run.status)
    return ended and unchanged and not asked_to_retry(run)


def settled(run: Run, plan: RunPlan, *, now: datetime) -> SettledRun:
    """Return the record of a settled run."""
    assert run.status.state is not None  # is_settled said so
    workflow, started = run.status.workflow, run.status.start_time
    return SettledRun(
        namespace=run.namespace,
        name=run.name,
        uid=run.uid,
        resource_version=run.resource_version,
        state=run.status.state,
        workflow_id=workflow_id(run),
        connection=workflow.connection if workflow is not None else None,
        run_id=workflow.run_id if workflow is not None else None,
        started=parse_time(started) if started is not None else None,
        expires=now + timedelta(seconds=plan.requeue) if plan.requeue is not None else None,
    )


def belongs_to(execution: Execution, run: Run | SettledRun) -> bool:
    """Return whether an execution belongs to the run's workflow."""
    return execution.workflow_id == (run.workflow_id if isinstance(run, SettledRun) else workflow_id(run))


def is_relevant(execution: Execution, run: Run | SettledRun) -> bool:
    """Return whether a row of the run's workflow can change the run."""
    if isinstance(run, SettledRun):
        return _may_be_later_execution(run, execution)
    return run.status.state not in TERMINAL or may_be_at_later_execution(run, execution)


def _may_be_later_execution(run: SettledRun, execution: Execution) -> bool:
    """Return whether this may be a later execution of a run that ended without success."""
    if run.state not in RETRYABLE or run.run_id is None or execution.owner != owner_of(run):
        return False
    older = run.started is not None and execution.start_time is not None and execution.start_time < run.started
    return execution.run_id != run.run_id and not older
