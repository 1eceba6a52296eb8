"""Which workflow belongs to an AgentRun: its id, the owner that its memo names, and the connection it uses."""

from typing import Protocol

from durafleet.api.contract import WORKFLOW_ID_PREFIX
from durafleet.core.objects import Run, Worker


class Named(Protocol):
    """What has a namespace and a name."""

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...


def run_identity(run: Run) -> str:
    """Return what makes this run the same run: its idempotency key, else its UID."""
    return run.spec.idempotency_key or run.uid


def workflow_id(run: Run) -> str:
    """Return the run's workflow id: derived, never stored to be believed.

    At most 63 + 253 + 128 characters and a prefix, well below the 1000 that Temporal takes.
    """
    return f"{WORKFLOW_ID_PREFIX}{run.namespace}/{run.name}/{run_identity(run)}"


def owner_of(run: Named) -> str:
    """Return how a workflow's memo names the run that it belongs to."""
    return f"{run.namespace}/{run.name}"


def run_key(workflow: str) -> tuple[str, str] | None:
    """Return namespace and name of the AgentRun behind a workflow id; None if it is not one of ours."""
    prefix, *parts = workflow.split("/")
    if f"{prefix}/" != WORKFLOW_ID_PREFIX or len(parts) != 3:
        return None
    return parts[0], parts[1]


def connection_name(run: Run, worker: Worker | None) -> str | None:
    """Return the connection a run uses: the one it started through, else its worker's."""
    if run.status.workflow is not None:
        return run.status.workflow.connection
    if worker is not None and worker.spec.connection_ref is not None:
        return worker.spec.connection_ref.name
    return None
