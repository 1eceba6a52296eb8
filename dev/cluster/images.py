"""Images: built from the project's Dockerfile by buildah, and put into the node's containerd.

A tag is the hash of what the image was built from, so an unchanged source builds and loads nothing.
"""

import fcntl
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dev.cluster.components import PAUSE_IMAGE
from dev.cluster.host import enter
from dev.cluster.layout import ROOT, ClusterError, State, cache_dir
from dev.cluster.toolchain import versions

SOURCES = ("Dockerfile", "pyproject.toml", "uv.lock", "operator", "worker_image")
_CERTIFICATES = "/etc/ssl/certs"
_LENT = "/run/lent-certificates"  # where the Dockerfile looks for them
_PIP_CONFIG = ("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf")


def digest(paths: Sequence[Path], *more: str) -> str:
    """Return a short hash of files, folders (without caches) and strings."""
    result = hashlib.sha256("\0".join(more).encode())
    for top in paths:
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                result.update(str(path.relative_to(top.parent)).encode() + b"\0" + path.read_bytes())
    return result.hexdigest()[:12]


def build_project(target: str, *, say: Any = print) -> str:
    """Build the operator's or the worker's image; return its reference."""
    tag = digest([ROOT / name for name in SOURCES], target)
    name = f"localhost/durafleet-{target}:{tag}"
    return build(ROOT, name=name, target=target, arguments={"BASE": base_image(say=say)}, say=say)


def build_on_worker(context: Path, *, name: str, worker_image: str, say: Any = print) -> str:
    """Build a folder whose Dockerfile is FROM ${WORKER_IMAGE}; return the reference."""
    reference = f"localhost/{name}:{digest([context], worker_image)}"
    return build(context, name=reference, arguments={"WORKER_IMAGE": worker_image}, say=say)


def build(
    context: Path, *, name: str, target: str | None = None, arguments: Mapping[str, str] | None = None, say: Any = print
) -> str:
    """Build an image unless that name exists.

    Raises:
        ClusterError: buildah failed, with the end of its output.
    """
    if exists(name):
        return name
    say(f"building image {name}")
    started = time.monotonic()
    command = ["buildah", "build", "--isolation", "chroot", "--pull=never", "--network", "host", "--layers"]
    command += [part for volume in _build_volumes() for part in ("--volume", volume)]
    command += [part for key, value in (arguments or {}).items() for part in ("--build-arg", f"{key}={value}")]
    command += ["--target", target] if target else []
    done = _run(*command, "--tag", name, "--file", str(context / "Dockerfile"), str(context), check=False)
    if done.returncode:
        raise ClusterError(f"building {name} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    say(f"built {name} in {time.monotonic() - started:.0f} s")
    return name


def base_image(*, say: Any = print) -> str:
    """Return the base image: pulled where a registry answers, else a stand-in from Debian's packages."""
    wanted = str(versions()["toolchain"]["base_image"])
    for name in (wanted, f"docker.io/library/{wanted}", f"localhost/{wanted}"):
        if exists(name):
            return name
    if _run("timeout", "20", "buildah", "pull", "--quiet", f"docker.io/library/{wanted}", check=False).returncode == 0:
        return f"docker.io/library/{wanted}"
    return _stand_in(f"localhost/{wanted}", say=say)


def _stand_in(name: str, *, say: Any) -> str:
    """Build the base by debootstrap: the same packages as the official slim image, certificates left out."""
    suite = str(versions()["toolchain"]["debian_suite"])
    archive = cache_dir() / "rootfs" / f"{suite}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with archive.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another command may be making the same
        if not archive.exists():
            say(f"no registry answers: making {name} from Debian's packages (once per machine)")
            _bootstrap(suite, archive)
    folder = archive.parent / "context"
    folder.mkdir(exist_ok=True)
    shutil.copy(archive, folder / "rootfs.tar")
    (folder / "Dockerfile").write_text('FROM scratch\nADD rootfs.tar /\nCMD ["bash"]\n')
    done = _run("buildah", "build", "--isolation", "chroot", "--tag", name, str(folder), check=False)
    shutil.rmtree(folder)
    if done.returncode:
        raise ClusterError(f"building {name} failed:\n{done.stderr[-2000:]}")
    return name


def _bootstrap(suite: str, archive: Path) -> None:
    root = archive.parent / suite
    shutil.rmtree(root, ignore_errors=True)
    # In a mount namespace of its own: a failed run leaves /proc mounted in its folder.
    done = _run("unshare", "--mount", "debootstrap", "--variant=minbase", suite, str(root), check=False)
    if done.returncode:
        raise ClusterError(f"debootstrap {suite} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    for junk in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / junk, ignore_errors=True)
        (root / junk).mkdir(parents=True)
    _run("tar", "-C", str(root), "--numeric-owner", "-cf", str(archive.with_suffix(".part")), ".")
    archive.with_suffix(".part").rename(archive)
    shutil.rmtree(root)


def _build_volumes() -> list[str]:
    """Lend the host's certificates and index settings to the build; volumes leave nothing in the image."""
    volumes = [f"{_CERTIFICATES}:{_LENT}:ro"] if Path(_CERTIFICATES).is_dir() else []
    for candidate in _PIP_CONFIG:
        path = Path(candidate).expanduser()
        if path.exists():
            volumes.append(f"{path}:/etc/pip.conf:ro")
            break
    return volumes


def load(state: State, name: str) -> None:
    """Put an image into the node's containerd unless it is there.

    Raises:
        ClusterError: containerd took nothing.
    """
    if name in enter(state, "ctr", "-n", "k8s.io", "images", "ls", "-q").stdout.decode().split():
        return
    archive = state.dir / "image.tar"
    archive.unlink(missing_ok=True)
    export(name, archive)
    load_archive(state, archive)
    archive.unlink()


def exists(name: str) -> bool:
    """Whether buildah's storage has an image."""
    return _run("buildah", "inspect", "--type", "image", name, check=False).returncode == 0


def export(name: str, archive: Path, *, under: str | None = None) -> None:
    """Write an image to an archive that containerd, kind and k3d read, under its name or another."""
    _run("buildah", "push", "--quiet", name, f"docker-archive:{archive}:{under or name}")


def load_archive(state: State, archive: Path) -> None:
    """Import an archive. `ctr` needs --local: without it an image of an unknown name is dropped in silence."""
    with archive.open("rb") as file:
        done = enter(state, "ctr", "-n", "k8s.io", "images", "import", "--local", "-", stdin=file.fileno())
    if b"unpacking" not in done.stdout + done.stderr:
        raise ClusterError(f"containerd imported nothing from {archive}: {done.stderr.decode()[-500:]}")


def pause_archive(program: Path, archive: Path) -> None:
    """Write the image of the program that holds a pod's namespaces: one file, no builder needed."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo("pause")
        entry.size, entry.mode = program.stat().st_size, 0o755
        tar.addfile(entry, io.BytesIO(program.read_bytes()))
    blobs: dict[str, bytes] = {}

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        sha = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{sha}"] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{sha}", "size": len(content)}

    layers = [blob(layer.getvalue(), "layer.v1.tar")]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    config = {
        "architecture": machine,
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [layers[0]["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(json.dumps(config).encode(), "config.v1+json"),
        "layers": layers,
    }
    top = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    top["annotations"] = {"io.containerd.image.name": PAUSE_IMAGE}
    blobs["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()
    blobs["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    with tarfile.open(archive, "w") as tar:
        for name, content in blobs.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "STORAGE_DRIVER": os.environ.get("STORAGE_DRIVER", "overlay")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    except FileNotFoundError as error:
        raise ClusterError(f"{command[0]} is missing; run dev/bootstrap, which installs it") from error
    if check and done.returncode:
        raise ClusterError(f"{' '.join(command[:3])} failed: {done.stderr[-1000:]}")
    return done
