"""What is kept of an AgentRun that has ended and of which nothing is left to do: little, because there are many.

A whole object is some ten times larger, mostly by its input and its result. Where such a run has to be looked at
again (its time to live is over, its workflow was reset), it is read anew; an edit brings it by itself.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from durafleet.api.lifecycle import RETRYABLE, TERMINAL
from durafleet.api.status import Reason
from durafleet.core.objects import FINALIZER, Key, Run, parse_time
from durafleet.core.runs.actions import RunPlan
from durafleet.core.runs.execution import Execution
from durafleet.core.runs.identity import owner_of, workflow_id
from durafleet.core.runs.retrying import asked_to_retry, seems_to_go_on


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledRun:
    """An AgentRun that has ended.

    Attributes:
        workflow_id: derived, as always.
        connection: the TemporalConnection that it was started through; None for the operator's default.
        run_id: of the execution that its status records; None if it had none.
        started: when that one started.
        expires: when its time to live is over; None if it has none.
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
    """Tell whether this plan leaves nothing to do for a run that has ended but, at most, to wait for its expiry."""
    ended = run.status.state in TERMINAL and run.deleted is None and FINALIZER not in run.finalizers
    unchanged = not plan.actions and (plan.status is None or plan.status == run.status)
    return ended and unchanged and not asked_to_retry(run)


def settled(run: Run, plan: RunPlan, *, now: datetime) -> SettledRun:
    """Return what is kept of such a run."""
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


def is_of(execution: Execution, run: Run | SettledRun) -> bool:
    """Tell whether an execution is one of the run's workflow."""
    return execution.workflow_id == (run.workflow_id if isinstance(run, SettledRun) else workflow_id(run))


def is_news(execution: Execution, run: Run | SettledRun) -> bool:
    """Tell whether what a list showed of a run's workflow can matter to it."""
    if isinstance(run, SettledRun):
        return _may_go_on(run, execution)
    return run.status.state not in TERMINAL or seems_to_go_on(run, execution)


def _may_go_on(run: SettledRun, execution: Execution) -> bool:
    """Tell whether it may be a later execution of a run that ended without success."""
    if run.state not in RETRYABLE or run.run_id is None or execution.owner != owner_of(run):
        return False
    older = run.started is not None and execution.start_time is not None and execution.start_time < run.started
    return execution.run_id != run.run_id and not older
