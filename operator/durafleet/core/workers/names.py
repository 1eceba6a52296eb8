"""Names of an AgentWorker outside its own object: the task queue, and the cluster-wide name."""

from durafleet.core.objects import Worker


def task_queue_of(worker: Worker) -> str:
    """Return the AgentWorker's task queue; the default is `<namespace>/<name>`."""
    return worker.spec.task_queue or fleet_of(worker)


def fleet_of(worker: Worker) -> str:
    """Return the cluster-wide name of the AgentWorker, `<namespace>/<name>`."""
    return f"{worker.namespace}/{worker.name}"
