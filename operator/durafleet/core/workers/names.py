"""What an AgentWorker is called outside its own object: its task queue and its name across the cluster."""

from durafleet.core.objects import Worker


def task_queue_of(worker: Worker) -> str:
    """Return the worker's task queue, `<namespace>/<name>` unless set."""
    return worker.spec.task_queue or fleet_of(worker)


def fleet_of(worker: Worker) -> str:
    """Return the worker's name across the cluster."""
    return f"{worker.namespace}/{worker.name}"
