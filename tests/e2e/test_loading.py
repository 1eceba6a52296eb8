"""`make load`: pods get the image that was built last under a name, and an unknown image is an error."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster import Cluster
from dev.cluster.layout import ClusterError
from tests.support.site import Site

NAME = "localhost/durafleet-test-loading:1"


@pytest.fixture
def image(tmp_path: Path, cluster: Cluster) -> Iterator[Path]:
    """The folder of an image that runs the program `pause`; nothing of it stays."""
    (tmp_path / "pause").write_bytes((cluster.state.dir / "bin/pause").read_bytes())
    (tmp_path / "pause").chmod(0o755)
    yield tmp_path
    subprocess.run(["buildah", "rmi", "--force", NAME], capture_output=True, check=False)


def build(folder: Path, version: str) -> None:
    (folder / "Dockerfile").write_text(f'FROM scratch\nCOPY pause /\nENV VERSION={version}\nENTRYPOINT ["/pause"]\n')
    subprocess.run(["buildah", "build", "--quiet", "--tag", NAME, str(folder)], capture_output=True, check=True)


async def image_of_a_pod(site: Site, name: str) -> str:
    """Start a pod of the image; return which one it got."""
    site.kubectl("run", name, f"--image={NAME}", "--restart=Never")
    await site.until(lambda: site.get("pod", name)["status"].get("phase") == "Running", f"pod {name} runs")
    return str(site.get("pod", name)["status"]["containerStatuses"][0]["imageID"])


async def test_an_image_that_was_built_again_replaces_the_earlier_one(site: Site, cluster: Cluster, image: Path):
    build(image, "one")
    assert cluster.load(NAME) == NAME
    assert cluster.load(NAME) == NAME
    first = await image_of_a_pod(site, "first")
    build(image, "two")
    cluster.load(NAME)
    assert await image_of_a_pod(site, "second") != first
    assert site.get("pod", "first")["status"]["phase"] == "Running"


async def test_an_image_that_was_never_built_is_an_error(cluster: Cluster):
    with pytest.raises(ClusterError, match="localhost/never-built:1 is not in buildah's storage"):
        cluster.load("localhost/never-built:1")
