"""`make load`: the name that pods use, the precedence of buildah, and the errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev.cluster import loading
from dev.cluster.external import choose_cluster
from dev.cluster.layout import ROOT, ClusterError, State

IMAGE = "localhost/ledger-worker:1"


@pytest.fixture(autouse=True)
def private_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DURAFLEET_CLUSTER", raising=False)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is all of PATH, for programs that a test writes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def buildah(folder: Path, *has: str) -> None:
    """Install a buildah whose storage has these images; `push` writes its arguments to the archive."""
    names = "|".join(has) or "none"
    program(
        folder / "buildah",
        f"""
case "$1" in
inspect) case "$4" in {names}) exit 0 ;; *) exit 1 ;; esac ;;
push) rest=${{4#docker-archive:}}; echo "$3 as ${{rest#*:}}" >"${{rest%%:*}}" ;;
esac""",
    )


def docker(folder: Path, *, answer: str | None = None) -> None:
    """Install a docker that has every image, or one that fails with this answer."""
    program(folder / "docker", 'echo "$5" >"$4"' if answer is None else f'echo "{answer}" >&2; exit 1')


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        (IMAGE, IMAGE),
        ("localhost/ledger-worker", "localhost/ledger-worker:latest"),
        ("ledger-worker:1", "docker.io/library/ledger-worker:1"),
        ("me/ledger-worker:1", "docker.io/me/ledger-worker:1"),
        ("docker.io/ledger-worker:1", "docker.io/library/ledger-worker:1"),
        ("index.docker.io/me/ledger:1", "docker.io/me/ledger:1"),
        ("ghcr.io/me/tools/ledger:v1.2_a", "ghcr.io/me/tools/ledger:v1.2_a"),
        ("registry:5000/ledger", "registry:5000/ledger:latest"),
        ("localhost:5000/ledger:1", "localhost:5000/ledger:1"),
    ],
)
def test_an_image_gets_the_name_that_containerd_looks_for(image: str, reference: str):
    assert loading.pod_reference(image) == reference


@pytest.mark.parametrize("image", ["-x", "a b", "A:1", "a:", "a//b", "a:1\n", "../a", "a@sha256:" + "0" * 64, "a;b"])
def test_a_name_that_is_not_valid_is_refused(image: str):
    with pytest.raises(ClusterError, match="is not a valid image name; use"):
        loading.pod_reference(image)


def test_an_image_in_buildah_takes_precedence(programs: Path, tmp_path: Path):
    buildah(programs, IMAGE)
    docker(programs)
    assert loading.export(IMAGE, tmp_path / "a.tar") == "buildah"
    assert (tmp_path / "a.tar").read_text() == f"{IMAGE} as {IMAGE}\n"


def test_a_short_image_name_in_buildah_is_loaded_under_the_name_that_pods_use(programs: Path, tmp_path: Path):
    buildah(programs, "ledger-worker:1")
    loading.export("ledger-worker:1", tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_text() == "ledger-worker:1 as docker.io/library/ledger-worker:1\n"


@pytest.mark.parametrize("with_buildah", [True, False])
def test_an_image_in_docker_is_used_if_buildah_does_not_have_it(programs: Path, tmp_path: Path, with_buildah: bool):
    if with_buildah:
        buildah(programs)
    docker(programs)
    assert loading.export(IMAGE, tmp_path / "a.tar") == "docker"
    assert (tmp_path / "a.tar").read_text() == f"{IMAGE}\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "docker is not installed"),
        ("Error response from daemon: reference does not exist", "docker: Error response from daemon: reference"),
        ("Cannot connect\nto the daemon", "docker: Cannot connect to the daemon"),
    ],
)
def test_an_image_that_was_never_built_is_an_error_with_the_command_that_builds_it(
    programs: Path, tmp_path: Path, answer: str | None, words: str
):
    buildah(programs)
    if answer:
        docker(programs, answer=answer)
    with pytest.raises(ClusterError) as error:
        loading.export(IMAGE, tmp_path / "a.tar")
    message = str(error.value)
    assert words in message
    assert f"build it first: buildah build --tag {IMAGE} <folder>" in message
    assert "\n" not in message


def test_a_cluster_that_runs_no_pods_is_an_error_with_the_command_that_starts_it():
    with pytest.raises(ClusterError, match=r"cluster 'other' runs no pods; start it with: make up NAME=other"):
        loading.load(State("other"), IMAGE)
    assert not State("other").dir.exists()


def test_on_the_users_own_cluster_the_error_names_tools_that_load_images(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DURAFLEET_CLUSTER", "kubeconfig")
    with pytest.raises(ClusterError) as error:
        choose_cluster("demo").load(IMAGE)
    message = str(error.value)
    assert f"kind load docker-image {IMAGE}" in message
    assert f"k3d image import {IMAGE}" in message
    assert "push" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no image given; run: make load IMAGE=localhost/ledger-worker:1"),
        (("--image", ""), "no image given; run: make load IMAGE=localhost/ledger-worker:1"),
        (("--image", "A B"), "'A B' is not a valid image name"),
        (("--image", IMAGE, "--name", "other"), "cluster 'other' runs no pods; start it with: make up NAME=other"),
    ],
)
def test_a_failed_make_load_prints_a_one_line_error(arguments: tuple[str, ...], words: str):
    command = [sys.executable, "-m", "dev.cluster", "load", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert words in line
