"""Why no worker polls for an open run, and which changes of an AgentWorker can change that answer."""

from durafleet.api.status import ConditionType, Reason
from durafleet.core.conditions import Verdict
from durafleet.core.objects import Run, Worker
from durafleet.core.workers.names import task_queue_of


def matters_to_runs(before: Worker | None, after: Worker | None) -> bool:
    """Return whether a change of an AgentWorker requires a reconcile of its runs.

    An AgentWorker can have ten thousand runs, and most of its changes are status updates by the operator itself.
    """
    if before is None or after is None:
        return before is not after
    return before.spec != after.spec or _stalled(before) != _stalled(after)


def _stalled(worker: Worker) -> tuple[str, str] | None:
    """Return reason and message of a stalled AgentWorker; None if it works or will work soon."""
    ready = worker.status.condition(ConditionType.READY)
    if worker.status.condition(ConditionType.STALLED) is None or ready is None:
        return None
    return ready.reason, ready.message


def unpolled(run: Run, worker: Worker | None) -> Verdict | None:
    """Return why no worker polls for a run; None if a worker polls or will poll soon."""
    name = run.spec.worker_ref.name
    if worker is None:
        return Verdict(
            Reason.WORKER_NOT_FOUND,
            f"The workflow is open, but AgentWorker {name!r} does not exist. Create the AgentWorker again to continue "
            "the run, or stop the run with spec.stop.",
        )
    started_on = run.status.workflow.task_queue if run.status.workflow else ""
    if started_on and started_on != task_queue_of(worker):
        return Verdict(
            Reason.WAITING_FOR_POLLERS,
            f"The workflow waits on task queue {started_on!r}, but AgentWorker {name!r} now polls "
            f"{task_queue_of(worker)!r}. Set the AgentWorker's spec.taskQueue back until this run has ended, or stop "
            "the run with spec.stop.",
        )
    if worker.spec.replicas == 0:
        return Verdict(
            Reason.SCALED_TO_ZERO, f"AgentWorker {name!r} has 0 replicas; raise its spec.replicas to continue the run."
        )
    if (stalled := _stalled(worker)) is not None:
        reason, message = stalled
        return Verdict(
            Reason.WAITING_FOR_POLLERS,
            f"No worker polls the task queue, because AgentWorker {name!r} is not ready. {reason}: {message}",
        )
    return None
