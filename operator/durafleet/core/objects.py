"""The operator's view of an object: identity and metadata as plain values, spec and status as models."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from durafleet.api.connection import TemporalConnectionSpec, TemporalConnectionStatus
from durafleet.api.run import AgentRunSpec, AgentRunStatus
from durafleet.api.worker import AgentWorkerSpec, AgentWorkerStatus

FINALIZER = "durafleet.dev/workflow"
"""The finalizer of an AgentRun, from just before its workflow may exist until the workflow has ended."""

Key = tuple[str, str]
"""Namespace and name of an object."""

SpecT = TypeVar("SpecT")
StatusT = TypeVar("StatusT")


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time as the API server writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def format_time(moment: datetime) -> str:
    """Format a time as metav1.Time: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True)
class Object(Generic[SpecT, StatusT]):
    """One custom resource as last read from the API server."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created: datetime
    deleted: datetime | None
    finalizers: tuple[str, ...]
    tracked: bool = False  # whether a GitOps tool tracks it, and would create it again
    spec: SpecT
    status: StatusT

    @property
    def key(self) -> Key:
        return self.namespace, self.name


Run = Object[AgentRunSpec, AgentRunStatus]
Worker = Object[AgentWorkerSpec, AgentWorkerStatus]
Connection = Object[TemporalConnectionSpec, TemporalConnectionStatus]


TRACKING_LABELS = frozenset(
    {
        "app.kubernetes.io/instance",  # the default of Argo CD, and a convention of Helm charts
        "argocd.argoproj.io/instance",
        "kustomize.toolkit.fluxcd.io/name",
        "helm.toolkit.fluxcd.io/name",
    }
)
TRACKING_ANNOTATIONS = frozenset({"argocd.argoproj.io/tracking-id", "meta.helm.sh/release-name"})
"""Metadata of tools that keep objects as in Git or a chart. They would create deleted runs again."""


def is_tracked(meta: Mapping[str, Any]) -> bool:
    """Tell whether Argo CD, Flux or Helm tracks this object."""
    return bool(
        TRACKING_LABELS & (meta.get("labels") or {}).keys()
        or TRACKING_ANNOTATIONS & (meta.get("annotations") or {}).keys()
    )


def metadata_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a raw object as arguments of `Object`."""
    meta = body["metadata"]
    deleted = meta.get("deletionTimestamp")
    return {
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
        "generation": meta.get("generation", 0),
        "resource_version": meta["resourceVersion"],
        "created": parse_time(meta["creationTimestamp"]),
        "deleted": parse_time(deleted) if deleted else None,
        "finalizers": tuple(meta.get("finalizers") or ()),
        "tracked": is_tracked(meta),
    }


def read_run(body: Mapping[str, Any]) -> Run:
    """Read a raw AgentRun.

    Raises:
        pydantic.ValidationError: the object does not match the schema (an older CRD is installed).
    """
    return Run(
        **metadata_of(body),
        spec=AgentRunSpec.model_validate(body.get("spec") or {}),
        status=AgentRunStatus.model_validate(body.get("status") or {}),
    )


def read_worker(body: Mapping[str, Any]) -> Worker:
    """Read a raw AgentWorker; raises like `read_run`."""
    return Worker(
        **metadata_of(body),
        spec=AgentWorkerSpec.model_validate(body.get("spec") or {}),
        status=AgentWorkerStatus.model_validate(body.get("status") or {}),
    )


def read_connection(body: Mapping[str, Any]) -> Connection:
    """Read a raw TemporalConnection; raises like `read_run`."""
    return Connection(
        **metadata_of(body),
        spec=TemporalConnectionSpec.model_validate(body.get("spec") or {}),
        status=TemporalConnectionStatus.model_validate(body.get("status") or {}),
    )
