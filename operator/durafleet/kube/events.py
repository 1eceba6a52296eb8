"""Kubernetes Events, which `kubectl describe` shows."""

from datetime import datetime
from typing import Any

from durafleet.core.objects import Object, format_time
from durafleet.core.plans import Announcement
from durafleet.errors import Conflict, NotFound
from durafleet.kube.client import KubeClient
from durafleet.kube.resources import EVENTS, Resource

COMPONENT = "durafleet-operator"


def event_of(
    resource: Resource, subject: Object[Any, Any], announcement: Announcement, *, now: datetime
) -> dict[str, Any]:
    """Return an Event. Its name follows from object, generation and reason, so a repeat creates no second one."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{subject.name[:180]}.{subject.uid[:8]}.{subject.generation}.{announcement.reason.lower()}",
            "namespace": subject.namespace,
        },
        "involvedObject": {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        },
        "type": announcement.type,
        "reason": announcement.reason,
        "message": announcement.message[:1024],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": format_time(now),
        "lastTimestamp": format_time(now),
        "count": 1,
    }


async def post_event(client: KubeClient, event: dict[str, Any]) -> None:
    """Post an Event. It is no error if an earlier try has posted it, or if the namespace is being deleted.

    Raises:
        Unavailable, Refused: the Event was not posted.
    """
    try:
        await client.request("POST", EVENTS.path(event["metadata"]["namespace"]), body=event)
    except (Conflict, NotFound):
        return
