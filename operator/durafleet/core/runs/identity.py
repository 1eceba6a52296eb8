"""The workflow of an AgentRun: its id, the owner in its memo, and the connection it uses."""

from typing import Protocol

from durafleet.api.contract import WORKFLOW_ID_PREFIX
from durafleet.core.objects import Run, Worker


class Named(Protocol):
    """An object with a namespace and a name."""

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...


def run_identity(run: Run) -> str:
    """Return the identity of the run: its idempotency key, or else its UID."""
    return run.spec.idempotency_key or run.uid


def workflow_id(run: Run) -> str:
    """Return the run's workflow id. It is always derived; the operator does not trust a stored one.

    It has at most 63 + 253 + 128 characters and a prefix, well below Temporal's limit of 1000.
    """
    return f"{WORKFLOW_ID_PREFIX}{run.namespace}/{run.name}/{run_identity(run)}"


def owner_of(run: Named) -> str:
    """Return the owner that the memo of this run's workflow names."""
    return f"{run.namespace}/{run.name}"


def run_key(workflow: str) -> tuple[str, str] | None:
    """Return the namespace and name of the AgentRun of a workflow id; None if the id is not one of ours."""
    prefix, *parts = workflow.split("/")
    if f"{prefix}/" != WORKFLOW_ID_PREFIX or len(parts) != 3:
        return None
    return parts[0], parts[1]


def connection_name(run: Run, worker: Worker | None) -> str | None:
    """Return the connection of a run: the one that its workflow was started through, or else its AgentWorker's."""
    if run.status.workflow is not None:
        return run.status.workflow.connection
    if worker is not None and worker.spec.connection_ref is not None:
        return worker.spec.connection_ref.name
    return None
