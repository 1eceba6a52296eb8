"""The cluster's Go programs, built once from pinned modules into the user's cache.

Each upstream project has its own module under `tools/`, because their dependencies conflict. Two small
programs of this project are next to it. The cache key of a tool is a hash of its sources and build flags, so
a changed pin causes a new build.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.cluster.layout import ROOT, ClusterError, cache_dir

TOOLS = Path(__file__).parent / "tools"
OWN = {name: Path(__file__).parent / name for name in ("pause", "verdict")}
"""Programs whose source is in this repository; all others are built from an upstream module."""

NAMES = {
    "kubernetes": (
        "kube-apiserver", "kube-controller-manager", "kubectl", "kube-scheduler", "kubelet", "kube-proxy",
    ),
    "etcd": ("etcd",),
    "containerd": ("containerd", "containerd-shim-runc-v2", "ctr"),
    "cni": ("ptp", "host-local", "loopback"),
    "coredns": ("coredns",),
    "helm": ("helm",),
    "pause": ("pause",),
    "verdict": ("verdict",),
}  # fmt: skip
CONTROL_PLANE = ("kubernetes", "etcd", "helm")
NODE = ("containerd", "cni", "coredns", "pause")
_RENAMED = {"server": "etcd"}  # etcd's main package is called server


def versions() -> dict[str, Any]:
    """Return the pinned versions of dev/versions.toml."""
    with (ROOT / "dev/versions.toml").open("rb") as file:
        return tomllib.load(file)


@dataclass(frozen=True)
class Tool:
    """One upstream project and its programs."""

    name: str

    @property
    def source(self) -> Path:
        return OWN.get(self.name, TOOLS / self.name)

    @property
    def flags(self) -> list[str]:
        flags = "-s -w"
        if self.name == "kubernetes":
            version = versions()["modules"]["kubernetes"].split()[1]
            _, minor, _ = version.split(".")
            package = "k8s.io/component-base/version"
            flags += f" -X {package}.gitVersion={version} -X {package}.gitMajor=1 -X {package}.gitMinor={minor}"
            flags += f" -X {package}.gitTreeState=clean -X {package}.gitCommit=unknown"
        return ["-trimpath", "-buildvcs=false", "-ldflags", flags]

    @property
    def key(self) -> str:
        digest = hashlib.sha256(" ".join(self.flags).encode())
        for file in sorted(self.source.glob("*")):
            digest.update(file.read_bytes())
        return f"{self.name}-{digest.hexdigest()[:16]}"

    @property
    def bin(self) -> Path:
        return cache_dir() / "bin" / self.key

    @property
    def built(self) -> bool:
        return all((self.bin / name).exists() for name in NAMES[self.name])


def ensure(names: Iterable[str], *, say: Any = print) -> dict[str, Path]:
    """Build the missing programs; return the path of every program by name.

    Raises:
        ClusterError: Go is missing, or a build failed; the message contains the end of its output.
    """
    tools = [Tool(name) for name in names]
    missing = [tool for tool in tools if not tool.built]
    if missing:
        (cache_dir() / "bin").mkdir(parents=True, exist_ok=True)
        with (cache_dir() / "bin/lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another command may build the same tools
            for number, tool in enumerate(missing, 1):
                if not tool.built:
                    _build(tool, f"{number} of {len(missing)}", say)
    return {program: tool.bin / program for tool in tools for program in NAMES[tool.name]}


def _build(tool: Tool, position: str, say: Any) -> None:
    go = shutil.which("go")
    if go is None:
        raise ClusterError("Go is not on PATH; run dev/bootstrap, which installs it")
    pin = versions()["modules"].get(tool.name, "source in this repository")
    say(f"building {tool.name} ({position}; {pin}; once per machine)")
    started = time.monotonic()
    target = tool.bin.with_suffix(".part")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    env = {**os.environ, "GOBIN": str(target), "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    what = "." if tool.name in OWN else "tool"
    done = subprocess.run(
        [go, "install", *tool.flags, what], cwd=tool.source, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ClusterError(f"building {tool.name} failed:\n{done.stderr[-3000:]}")
    for old, new in _RENAMED.items():
        if (target / old).exists():
            (target / old).rename(target / new)
    shutil.rmtree(tool.bin, ignore_errors=True)
    target.rename(tool.bin)
    say(f"built {tool.name} in {time.monotonic() - started:.0f} s")
