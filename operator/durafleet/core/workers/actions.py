"""The actions in the plan of an AgentWorker: apply or delete an owned object, with one call each."""

from dataclasses import dataclass
from typing import Any

from durafleet.api.worker import AgentWorkerStatus
from durafleet.core.plans import Plan


@dataclass(frozen=True)
class ApplyObject:
    """Write an owned object by server-side apply."""

    manifest: dict[str, Any]


@dataclass(frozen=True)
class DeleteObject:
    """Delete an owned object that the AgentWorker no longer needs."""

    api_version: str
    kind: str
    name: str


WorkerAction = ApplyObject | DeleteObject
WorkerPlan = Plan[AgentWorkerStatus, WorkerAction]
