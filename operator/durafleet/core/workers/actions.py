"""What the plan of an AgentWorker can ask for: its owned objects, each written or deleted by one call."""

from dataclasses import dataclass
from typing import Any

from durafleet.api.worker import AgentWorkerStatus
from durafleet.core.plans import Plan


@dataclass(frozen=True)
class ApplyObject:
    """Server-side apply of an owned object."""

    manifest: dict[str, Any]


@dataclass(frozen=True)
class DeleteObject:
    """Delete an owned object that is no longer wanted."""

    api_version: str
    kind: str
    name: str


WorkerAction = ApplyObject | DeleteObject
WorkerPlan = Plan[AgentWorkerStatus, WorkerAction]
