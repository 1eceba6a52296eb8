"""Convert raw Deployments and pods to the few values that plans use."""

from collections.abc import Mapping
from typing import Any

from durafleet.core.objects import parse_time
from durafleet.core.workers.deployment import CONTAINER
from durafleet.core.workers.plan import Rollout
from durafleet.core.workers.pollers import Pod


def rollout_of(body: Mapping[str, Any], *, owner_uid: str, applied: bool) -> Rollout:
    """Read the rollout status of a Deployment. `applied`: it is as the operator last applied it."""
    meta, spec, status = body["metadata"], body.get("spec", {}), body.get("status", {})
    wanted = spec.get("replicas", 1)
    settled = (
        status.get("observedGeneration", 0) >= meta.get("generation", 0)
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )
    progressing: Mapping[str, Any] = next((c for c in status.get("conditions") or () if c["type"] == "Progressing"), {})
    owners = meta.get("ownerReferences") or ()
    return Rollout(
        owned=any(owner.get("controller") and owner["uid"] == owner_uid for owner in owners),
        settled=settled,
        deadline_exceeded=progressing.get("reason") == "ProgressDeadlineExceeded",
        applied=applied,
        replicas=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
    )


def pod_of(body: Mapping[str, Any]) -> Pod:
    """Read a worker pod."""
    meta, status = body["metadata"], body.get("status", {})
    containers = {c["name"]: c for c in status.get("containerStatuses") or ()}
    container = containers.get(CONTAINER, {})
    state, last = container.get("state") or {}, (container.get("lastState") or {}).get("terminated") or {}
    waiting, running = state.get("waiting") or {}, state.get("running") or {}
    ended = state.get("terminated") or last
    return Pod(
        name=meta["name"],
        ready=bool(container.get("ready")),
        started=parse_time(running["startedAt"]) if running.get("startedAt") else None,
        created=parse_time(meta["creationTimestamp"]),
        waiting=(waiting.get("reason", ""), waiting.get("message", "")),
        restarts=container.get("restartCount", 0),
        last_words=(ended.get("message") or "").strip()[-1000:],
    )


def current_pods(bodies: list[dict[str, Any]]) -> list[Pod]:
    """Return the pods of the newest template that are not being deleted."""
    alive = [body for body in bodies if "deletionTimestamp" not in body["metadata"]]
    if not alive:
        return []
    newest = max(alive, key=lambda body: str(body["metadata"]["creationTimestamp"]))
    template = (newest["metadata"].get("labels") or {}).get("pod-template-hash")
    return [
        pod_of(body) for body in alive if (body["metadata"].get("labels") or {}).get("pod-template-hash") == template
    ]
