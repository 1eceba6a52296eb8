"""A real API server for tests: started once per session, with the CRDs installed from their chart."""

import contextlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from dev.cluster import Cluster
from dev.cluster.cluster import all_clusters
from dev.cluster.layout import ROOT, ClusterError

CRD_CHART = ROOT / "helm" / "durafleet-crds"
CHART = ROOT / "helm" / "durafleet"
_PREFIX = "test-"


@dataclass(frozen=True)
class ControlPlane:
    """An API server, etcd and the controllers; there is no node, so no pod runs."""

    cluster: Cluster

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process that uses this API server (KUBECONFIG, PATH)."""
        return {**os.environ, **self.cluster.env}

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl; raises ClusterError with its output."""
        return self.cluster.kubectl(*arguments, stdin=stdin)

    def helm(self, *arguments: str) -> str:
        """Run Helm; raises ClusterError with its output."""
        return self.cluster.helm(*arguments)

    def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create an object and return it as the API server stored it."""
        flags = ["--dry-run=server"] if dry_run else []
        out = self.kubectl("create", "-f", "-", "-o", "json", *flags, stdin=json.dumps(manifest))
        return dict(json.loads(out))

    def refusal(self, manifest: Mapping[str, Any]) -> str:
        """Return the error with which the API server rejects an object; empty if it accepts the object."""
        return self._refused("create", "-f", "-", "--dry-run=server", stdin=json.dumps(manifest))

    def get(self, kind: str, name: str, *, namespace: str) -> dict[str, Any]:
        """Return an object."""
        return dict(json.loads(self.kubectl("-n", namespace, "get", kind, name, "-o", "json")))

    def patch(self, kind: str, name: str, patch: Mapping[str, Any], *, namespace: str, status: bool = False) -> str:
        """Merge a patch into an object; return the error if it was rejected, empty otherwise."""
        flags = ["--subresource=status"] if status else []
        return self._refused(
            "-n", namespace, "patch", kind, name, "--type=merge", "-p", json.dumps(patch), *flags
        )  # fmt: skip

    def audit(self, namespace: str) -> Iterator[dict[str, Any]]:
        """Yield the audit log entries of all completed requests in a namespace."""
        with (self.cluster.state.dir / "log" / "audit.jsonl").open() as lines:
            for line in lines:
                entry = json.loads(line)
                reference = entry.get("objectRef", {})
                if entry["stage"] == "ResponseComplete" and reference.get("namespace") == namespace:
                    yield entry

    def new_namespace(self, **labels: str) -> str:
        """Create a namespace for one test."""
        name = f"t-{uuid.uuid4().hex[:10]}"
        metadata = {"name": name, "labels": {key.replace("__", "/"): value for key, value in labels.items()}}
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return name

    def _refused(self, *arguments: str, stdin: str | None = None) -> str:
        try:
            self.kubectl(*arguments, stdin=stdin)
        except ClusterError as error:
            return str(error)
        return ""


@contextlib.contextmanager
def session_control_plane(*, purpose: str = "") -> Iterator[ControlPlane]:
    """Run a control plane within the context, after deleting the control planes of sessions that have ended.

    Args:
        purpose: the name of an additional control plane, for tests that would break the session's own.
    """
    _delete_stale_clusters()
    cluster = Cluster(f"{_PREFIX}{os.getpid()}{f'-{purpose}' if purpose else ''}")
    try:
        cluster.up(["control-plane"], audit=True)
        cluster.helm("install", "durafleet-crds", str(CRD_CHART), "--wait")
        yield ControlPlane(cluster)
    finally:
        cluster.down()


def _delete_stale_clusters() -> None:
    for name in all_clusters():
        pid = name.removeprefix(_PREFIX).partition("-")[0]
        if name.startswith(_PREFIX) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            Cluster(name).down()


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """The session's API server, with the CRDs installed."""
    with session_control_plane() as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A new namespace."""
    name = control_plane.new_namespace()
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")
