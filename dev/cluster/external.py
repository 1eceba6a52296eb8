"""The user's own cluster instead of the local one, only if DURAFLEET_CLUSTER=kubeconfig.

This module neither starts nor stops it. The cluster must reach a Temporal server (TEMPORAL_ADDRESS, as its
pods reach it) and have the images: loaded from the archives that are built here, or pushed to a registry and
named in DURAFLEET_OPERATOR_IMAGE and DURAFLEET_WORKER_IMAGE.
"""

import os
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from dev.cluster import images, loading
from dev.cluster.cluster import PARTS, Cluster
from dev.cluster.layout import ClusterError, cache_dir

MODE = "DURAFLEET_CLUSTER"
_NAMED = {"operator": "DURAFLEET_OPERATOR_IMAGE", "worker": "DURAFLEET_WORKER_IMAGE"}


class ExternalCluster(Cluster):
    """The cluster of the current kubectl context."""

    def up(  # nothing is started, so the arguments have no effect
        self,
        parts: Collection[str] = PARTS,  # noqa: ARG002
        *,
        audit: bool = False,  # noqa: ARG002
        temporal_in_memory: bool = False,  # noqa: ARG002
    ) -> None:
        """Check that the cluster answers and meets the requirements of the demo.

        Raises:
            ClusterError: names what is missing.
        """
        for program in ("kubectl", "helm"):
            if shutil.which(program) is None:
                raise ClusterError(f"{program} is not on PATH; install it, because {MODE}=kubeconfig uses your own")
        self._say(f"using your cluster: {self.kubectl('config', 'current-context').strip()}")
        self.kubectl("get", "--raw", "/readyz")
        if "TEMPORAL_ADDRESS" not in os.environ:
            raise ClusterError(
                "set TEMPORAL_ADDRESS to the host:port of a Temporal server that pods of your cluster can reach"
            )

    def down(self) -> None:
        """Do nothing: the cluster belongs to the user."""
        self._say("your own cluster is not changed; to remove Durafleet: helm -n durafleet-system uninstall durafleet")

    @property
    def running(self) -> bool:
        return True

    @property
    def temporal_in_cluster(self) -> str:
        return os.environ["TEMPORAL_ADDRESS"]

    @property
    def env(self) -> dict[str, str]:
        return {}

    def images(self) -> dict[str, str]:
        """Return the images that the environment names.

        Raises:
            ClusterError: it does not name both. They have been built; the message describes how to load them.
        """
        named = {target: os.environ[name] for target, name in _NAMED.items() if name in os.environ}
        if len(named) == len(_NAMED):
            return named
        archives = [self._archive(target) for target in _NAMED]
        commands = "\n".join(
            f"  kind load image-archive {path}    # or: k3d image import {path}" for _, path in archives
        )
        variables = " ".join(
            f"{name}={reference}" for name, (reference, _) in zip(_NAMED.values(), archives, strict=True)
        )
        raise ClusterError(
            f"load the images into your cluster, or push them to its registry:\n{commands}\nthen set {variables}"
        )

    def load(self, image: str) -> str:
        """Refuse: each kind of cluster has its own way to load an image.

        Raises:
            ClusterError: always; names the ways.
        """
        reference = loading.pod_reference(image)
        raise ClusterError(
            f"{MODE}=kubeconfig: push {reference} to your cluster's registry, or run: "
            f"kind load docker-image {reference} (k3d: k3d image import {reference}); "
            f"if buildah built it, first run: buildah push {reference} docker-daemon:{reference}"
        )

    def _archive(self, target: str) -> tuple[str, Path]:
        reference = images.build_project(target, say=self._say)
        folder = cache_dir() / "images"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{reference.rpartition('/')[2].replace(':', '-')}.tar"
        if not path.exists():
            images.export(reference, path)
        return reference, path

    def run(self, program: str, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        done = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False)
        if done.returncode and check:
            raise ClusterError(f"{program} {' '.join(arguments[:3])}: {done.stderr.strip()}")
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr


def choose_cluster(name: str, **options: object) -> Cluster:
    """Return the local cluster of this name, or the user's own if DURAFLEET_CLUSTER is set to kubeconfig.

    Raises:
        ClusterError: DURAFLEET_CLUSTER has another value.
    """
    mode = os.environ.get(MODE, "local")
    if mode not in ("local", "kubeconfig"):
        raise ClusterError(f"{MODE}={mode!r}: use local (the default) or kubeconfig")
    return (ExternalCluster if mode == "kubeconfig" else Cluster)(name, **options)  # type: ignore[arg-type]
