"""`make load`: an image from buildah's or docker's storage into the node's containerd, under the name that pods use.

The tags of the project's own images follow their content, so those are loaded once (images.py). Here the
user chooses the tag: an image that was built again replaces the earlier one.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dev.cluster import images
from dev.cluster.host import enter, node_pid
from dev.cluster.layout import ClusterError, State

_DOMAIN = r"(?:localhost|(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+|[A-Za-z0-9-]+(?=:[0-9]))(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?", re.A
)


def pod_reference(image: str) -> str:
    """Return the full name that containerd looks for when a pod names this image.

    Raises:
        ClusterError: no image is given, or its name is not valid.
    """
    if not image:
        raise ClusterError("no image given; run: make load IMAGE=localhost/ledger-worker:1")
    parts = _REFERENCE.fullmatch(image)
    if parts is None:
        raise ClusterError(
            f"{image!r} is not a valid image name; use <registry>/<name>:<tag>, such as localhost/ledger-worker:1"
        )
    domain, path = parts["domain"] or "docker.io", parts["path"]
    domain = "docker.io" if domain == "index.docker.io" else domain
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return f"{domain}/{path}:{parts['tag'] or 'latest'}"


def load(state: State, image: str, *, say: Callable[[str], Any] = print) -> str:
    """Load an image in place of one of the same name; return the name that pods use.

    Raises:
        ClusterError: the cluster runs no pods, or neither buildah nor docker has the image.
    """
    reference = pod_reference(image)
    if node_pid(state) is None or not state.facts.get("pods"):
        raise ClusterError(f"cluster {state.name!r} runs no pods; start it with: make up NAME={state.name}")
    before = digest_on_node(state, reference)
    with tempfile.TemporaryDirectory(dir=state.dir) as folder:
        archive = Path(folder) / "image.tar"
        source = export(image, archive)
        images.load_archive(state, archive)
    after = digest_on_node(state, reference)
    if after is None:
        raise ClusterError(f"containerd took the archive of {image}, but has no {reference}; see its log")
    news = (
        "" if before in (None, after) else "; it replaces the earlier image, which running pods keep until they restart"
    )
    say(f"loaded {reference} from {source}{news}")
    if reference.endswith(":latest"):
        say("by default pods pull the tag latest again; set imagePullPolicy: IfNotPresent, or use another tag")
    return reference


def digest_on_node(state: State, reference: str) -> str | None:
    """Return the digest of an image in the node's containerd; None if it is not there."""
    listing = enter(state, "ctr", "-n", "k8s.io", "images", "ls", f"name=={reference}").stdout.decode()
    rows = [line.split() for line in listing.splitlines()]
    return next((row[2] for row in rows if row and row[0] == reference), None)


def export(image: str, archive: Path) -> str:
    """Write an image to an archive, under the name that pods use; return where it was.

    A name without a registry means docker.io to docker and to pods, but localhost to buildah.

    Raises:
        ClusterError: neither buildah nor docker has it.
    """
    reference = pod_reference(image)
    if shutil.which("buildah"):
        for name in (reference, image):
            if images.exists(name):
                images.export(name, archive, under=reference)
                return "buildah"
    docker = "docker is not installed"
    if shutil.which("docker"):
        done = subprocess.run(
            ["docker", "image", "save", "--output", str(archive), reference],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return "docker"
        docker = f"docker: {' '.join(done.stderr.split())}"
    raise ClusterError(
        f"image {image} is not in buildah's storage, nor in docker's ({docker}); "
        f"build it first: buildah build --tag {image} <folder>"
    )
