"""Why nobody works on an open run: what the run's own workflow cannot tell."""

from durafleet.api.status import ConditionType, Reason
from durafleet.core.conditions import Verdict
from durafleet.core.objects import Run, Worker
from durafleet.core.targets import task_queue_of


def unpolled(run: Run, worker: Worker | None) -> Verdict | None:
    """Say why nobody works on a run, None if somebody does or soon will."""
    name = run.spec.worker_ref.name
    if worker is None:
        return Verdict(
            Reason.WORKER_NOT_FOUND,
            f"The workflow is open, but AgentWorker {name!r} is gone; create it again and the run goes on, or stop it.",
        )
    started_on = run.status.workflow.task_queue if run.status.workflow else ""
    if started_on and started_on != task_queue_of(worker):
        return Verdict(
            Reason.WAITING_FOR_POLLERS,
            f"The workflow waits on task queue {started_on!r}, and AgentWorker {name!r} now polls "
            f"{task_queue_of(worker)!r}; set its spec.taskQueue back until this run has ended, or stop the run.",
        )
    ready = worker.status.condition(ConditionType.READY)
    if worker.spec.replicas == 0:
        return Verdict(Reason.SCALED_TO_ZERO, f"AgentWorker {name!r} has 0 replicas; the run goes on when it has more.")
    if worker.status.condition(ConditionType.STALLED) is not None and ready is not None:
        return Verdict(
            Reason.WAITING_FOR_POLLERS, f"No worker polls: AgentWorker {name!r} is {ready.reason}: {ready.message}"
        )
    return None
