"""Build the objects that an AgentWorker owns: a Deployment, and a ConfigMap with its declared agents.

The manifests are for server-side apply: they have only the fields that the operator owns.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from durafleet.api.agents import AgentsFile
from durafleet.api.contract import Env
from durafleet.api.durations import parse_duration
from durafleet.api.model import API_VERSION
from durafleet.core.objects import Worker
from durafleet.core.places import Target
from durafleet.core.workers.names import fleet_of, task_queue_of
from durafleet.core.workers.timeouts import activity_options

WORKER_LABEL = "durafleet.dev/worker"
"""Label of all objects of a fleet; its value is the name of the AgentWorker."""
CONTAINER = "worker"
AGENTS_PATH = "/etc/durafleet/agents.json"
READY_FILE = "/tmp/ready"  # noqa: S108 - an emptyDir of the pod, named by the worker image's contract
DRAIN_MARGIN = 10
"""Seconds from the end of the drain timeout to the end of the pod's termination grace period."""


@dataclass(frozen=True, kw_only=True)
class WorkerDefaults:
    """Settings of the Helm release for AgentWorkers that do not set them."""

    image: str | None
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()


def labels(worker: Worker) -> dict[str, str]:
    """Return the labels of a fleet's objects. The CRD limits the name of an AgentWorker to 63 characters."""
    return {
        "app.kubernetes.io/managed-by": "durafleet",
        "app.kubernetes.io/component": "agent-worker",
        WORKER_LABEL: worker.name,
    }


def selector(worker: Worker) -> str:
    """Return the label selector of the fleet's pods, as text."""
    return f"{WORKER_LABEL}={worker.name}"


def agents_name(worker: Worker) -> str:
    return f"{worker.name}-agents"


def agents_json(worker: Worker) -> str:
    """Return the agents file as stable text, so that its hash changes only if the agents change."""
    return json.dumps(AgentsFile(agents=worker.spec.agents).wire(), sort_keys=True, ensure_ascii=False)


def config_map(worker: Worker) -> dict[str, Any]:
    """Build the ConfigMap with the declared agents."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(worker, agents_name(worker)),
        "data": {"agents.json": agents_json(worker)},
    }


def deployment(worker: Worker, target: Target, defaults: WorkerDefaults) -> dict[str, Any]:
    """Build the fleet's Deployment."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(worker, worker.name),
        "spec": {
            "replicas": worker.spec.replicas,
            "selector": {"matchLabels": {WORKER_LABEL: worker.name}},
            "progressDeadlineSeconds": 600,
            "template": _pod_template(worker, target, defaults),
        },
    }


def _metadata(worker: Worker, name: str) -> dict[str, Any]:
    owner = {
        "apiVersion": API_VERSION,
        "kind": "AgentWorker",
        "name": worker.name,
        "uid": worker.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {"name": name, "namespace": worker.namespace, "labels": labels(worker), "ownerReferences": [owner]}


def _pod_template(worker: Worker, target: Target, defaults: WorkerDefaults) -> dict[str, Any]:
    drain = int(parse_duration(worker.spec.drain_timeout).total_seconds())
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    annotations = {}
    if worker.spec.agents:
        volumes.append({"name": "agents", "configMap": {"name": agents_name(worker)}})
        annotations["durafleet.dev/agents-hash"] = hashlib.sha256(agents_json(worker).encode()).hexdigest()[:16]
    spec: dict[str, Any] = {
        "automountServiceAccountToken": worker.spec.service_account_name is not None,
        "terminationGracePeriodSeconds": drain + DRAIN_MARGIN,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(worker, target, defaults)],
        "volumes": volumes,
    }
    if worker.spec.service_account_name is not None:
        spec["serviceAccountName"] = worker.spec.service_account_name
    if defaults.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in defaults.image_pull_secrets]
    return {"metadata": {"labels": labels(worker), "annotations": annotations}, "spec": spec}


def _container(worker: Worker, target: Target, defaults: WorkerDefaults) -> dict[str, Any]:
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the root file system is read-only
    if worker.spec.agents:
        mounts.append({"name": "agents", "mountPath": AGENTS_PATH.rpartition("/")[0], "readOnly": True})  # type: ignore[dict-item]
    container: dict[str, Any] = {
        "name": CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",  # shown in the condition after a crash
        "image": worker.spec.image or defaults.image,
        "env": environment(worker, target),
        "resources": worker.spec.resources.wire(),
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if worker.spec.agents:  # images with their own workflows need not write the ready file
        container["readinessProbe"] = {"exec": {"command": ["test", "-f", READY_FILE]}, "periodSeconds": 2}
    policy = worker.spec.image_pull_policy or (None if worker.spec.image else defaults.image_pull_policy)
    if policy is not None:
        container["imagePullPolicy"] = policy
    if worker.spec.env_from:
        container["envFrom"] = worker.spec.env_from
    return container


def _plain(seconds: float) -> str:
    """Format seconds without an exponent, and whole seconds without a fraction."""
    return str(int(seconds)) if seconds == int(seconds) else repr(seconds)


def reserved_variables() -> frozenset[str]:
    """Return the environment variables that users cannot set: those of the worker contract."""
    return frozenset(Env)


def environment(worker: Worker, target: Target) -> list[dict[str, Any]]:
    """Build the container's environment: the variables of the worker contract, then those of the user."""
    spec, options = worker.spec, activity_options(worker.spec, worker.spec.timeouts)
    seconds = {
        Env.WORKFLOW_TIMEOUT: parse_duration(spec.timeouts.workflow).total_seconds(),
        Env.ACTIVITY_TIMEOUT: options.start_to_close,
        Env.HEARTBEAT_TIMEOUT: options.heartbeat,
        Env.DRAIN_TIMEOUT: parse_duration(spec.drain_timeout).total_seconds(),
    }
    contract = {
        Env.TEMPORAL_ADDRESS: target.address,
        Env.TEMPORAL_NAMESPACE: target.namespace,
        Env.TEMPORAL_TASK_QUEUE: task_queue_of(worker),
        Env.FLEET: fleet_of(worker),
        **{name: _plain(value) for name, value in seconds.items()},
        Env.MAX_WORKFLOW_TASKS: str(spec.concurrency.workflow_tasks),
        Env.MAX_ACTIVITIES: str(spec.concurrency.activities),
    }
    if spec.agents:
        contract[Env.AGENTS_FILE] = AGENTS_PATH
    pod_name = {"name": Env.POD_NAME.value, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    return [{"name": str(name), "value": value} for name, value in contract.items()] + [pod_name] + spec.env
