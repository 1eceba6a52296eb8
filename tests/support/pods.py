"""Sets the status of pods in place of a kubelet, on an API server without nodes."""

from datetime import UTC, datetime
from typing import Any

from tests.support.operator import Fleet
from tests.support.waiting import until


async def set_pods(fleet: Fleet, worker: str, container: dict[str, Any]) -> None:
    """Set the state of the container in each pod of an AgentWorker, once the pods exist."""

    def pods() -> list[str]:
        return fleet.kubectl("get", "pods", "-l", f"durafleet.dev/worker={worker}", "-o", "name").split()

    await until(lambda: bool(pods()), what=f"AgentWorker {worker} has pods")
    ready = {"type": "Ready", "status": str(container["ready"]), "lastTransitionTime": _now()}
    states = [{"name": "worker", "image": "i", "imageID": "i", "restartCount": 0, **container}]
    status = {"phase": "Running", "conditions": [ready], "containerStatuses": states}
    for pod in pods():
        name = pod.removeprefix("pod/")
        refused = fleet.plane.patch("pod", name, {"status": status}, namespace=fleet.namespace, status=True)
        assert not refused, refused


def running() -> dict[str, Any]:
    """Return the state of a ready container."""
    return {"ready": True, "state": {"running": {"startedAt": _now()}}}


def waiting(reason: str) -> dict[str, Any]:
    """Return the state of a container that cannot start."""
    return {"ready": False, "state": {"waiting": {"reason": reason, "message": "set by the test"}}}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
