"""Installing Durafleet into a local cluster, with its Helm charts."""

from collections.abc import Callable, Mapping
from typing import Any

from dev.cluster import Cluster
from dev.cluster.layout import ROOT

SYSTEM = "durafleet-system"
"""Namespace of the operator."""


def install(cluster: Cluster, *, say: Callable[[str], Any] = print, values: Mapping[str, str] | None = None) -> None:
    """Install or upgrade both charts, and wait until the operator is ready.

    `values` are additional values of the chart durafleet, by path, such as "temporal.namespace".

    Raises:
        ClusterError: Helm failed; the message is Helm's.
    """
    references = cluster.images()
    settings = {
        **_image("image", references["operator"]),
        **_image("workerImage", references["worker"]),
        "temporal.address": cluster.temporal_in_cluster,
        **(values or {}),
    }
    say("helm upgrade --install durafleet-crds helm/durafleet-crds")
    cluster.helm("upgrade", "--install", "durafleet-crds", str(ROOT / "helm/durafleet-crds"), "--wait")
    say(f"helm upgrade --install durafleet helm/durafleet --namespace {SYSTEM} --wait")
    assignments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    cluster.helm(
        "upgrade", "--install", "durafleet", str(ROOT / "helm/durafleet"),
        "--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout", "120s", *assignments,
    )  # fmt: skip


def _image(value: str, reference: str) -> dict[str, str]:
    repository, _, tag = reference.rpartition(":")
    return {f"{value}.repository": repository, f"{value}.tag": tag}
