"""The host's side of a node: namespaces, cgroups and network link; start, stop and leftovers."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dev.cluster.daemons import forget, remember, running, wait_gone, wait_until
from dev.cluster.layout import ROOT, ClusterError, State
from dev.cluster.node import read_cgroup_mounts

INIT = "node"
_NAMESPACES = ("--pid", "--mount", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child")


def node_pid(state: State) -> int | None:
    """Return the pid of the node's init; None if the node is not running."""
    return running(state, INIT)


def group_folders(state: State) -> Iterator[Path]:
    """Yield this cluster's folder in every cgroup hierarchy."""
    for point, _, _ in read_cgroup_mounts():
        yield Path(point) / state.cgroup


def make_groups(state: State) -> list[Path]:
    """Create this cluster's cgroups."""
    folders = list(group_folders(state))
    for folder in folders:
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # cgroup v1 accepts no process until both are set
            file = folder / name
            if file.exists() and not file.read_text().strip():
                file.write_text((folder.parent / name).read_text())
        subtree = folder.parent / "cgroup.subtree_control"
        if subtree.exists():
            for controller in (folder.parent / "cgroup.controllers").read_text().split():
                with contextlib.suppress(OSError):
                    subtree.write_text(f"+{controller}")
    return folders


def remove_groups(state: State) -> None:
    """Remove this cluster's cgroups, deepest first; retry while the last processes exit."""
    for folder in group_folders(state):
        for path, _, _ in os.walk(folder, topdown=False):
            for _ in range(100):
                try:
                    os.rmdir(path)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)


def link_exists(state: State) -> bool:
    return Path(f"/sys/class/net/{state.link}").exists()


def remove_link(state: State) -> None:
    if link_exists(state):
        subprocess.run(["ip", "link", "delete", state.link], check=False, stderr=subprocess.DEVNULL)


def start_node(state: State, programs: dict[str, Path], *, pods: bool, audit: bool) -> subprocess.Popen[bytes]:
    """Start the node's init; the caller must call `release` when the API server is ready.

    Raises:
        ClusterError: not root, or the namespaces could not be created.
    """
    if os.geteuid() != 0:
        raise ClusterError(
            "the local cluster needs root, for namespaces, mounts and a network link; run the command as root"
        )
    remove_link(state)
    remove_groups(state)
    for folder in ("etcd", "var/lib", "var/log", "var/tmp", "log"):
        (state.dir / folder).mkdir(parents=True, exist_ok=True)
    (state.dir / "etcd").chmod(0o700)
    folders = make_groups(state)
    options = {
        "state": str(state.dir),
        "bin": str(gather(state, programs)),
        "network": state.network.prefix,
        "node": pods,
        "audit": audit,
    }
    with state.log("init").open("ab") as log:
        process = subprocess.Popen(
            ["unshare", *_NAMESPACES, sys.executable, "-m", "dev.cluster.node", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=lambda: _join(folders),  # noqa: PLW1509 - this process has no threads here
        )
    remember(state, INIT, _child_of(process, state))
    connect(state)
    _tell(process)
    return process


def _join(folders: list[Path]) -> None:
    for folder in folders:
        (folder / "cgroup.procs").write_text("0")


def _tell(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()


def release(process: subprocess.Popen[bytes]) -> None:
    """Let the init start the other components, after the API server is ready."""
    _tell(process)
    assert process.stdin is not None
    process.stdin.close()
    process.returncode = 0  # the process outlives this object, and `wait_gone` reaps it: no ResourceWarning


def _child_of(process: subprocess.Popen[bytes], state: State) -> int:
    while process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.01)
    raise ClusterError(f"the node's namespaces could not be created; read {state.log('init')}")


def gather(state: State, programs: dict[str, Path]) -> Path:
    """Put the programs into one folder, which the node mounts: as hard links if possible, else as copies."""
    folder = state.dir / "bin"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, path in programs.items():
        try:
            os.link(path, folder / name)
        except OSError:
            shutil.copy2(path, folder / name)
    return folder


def connect(state: State) -> None:
    """Connect host and node with a network link."""
    pid, network = node_pid(state), state.network
    for command in (
        ["ip", "link", "add", state.link, "type", "veth", "peer", "name", "eth0", "netns", str(pid)],
        ["ip", "address", "add", f"{network.host}/30", "dev", state.link],
        ["ip", "link", "set", state.link, "up"],
    ):
        subprocess.run(command, check=True)


def route(state: State) -> None:
    """Let the host reach pods and Services directly."""
    network = state.network
    for destination in (network.pods, network.services):
        subprocess.run(["ip", "route", "replace", destination, "via", network.node, "dev", state.link], check=True)


def enter(state: State, *command: str | Path, stdin: int | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a command inside the node's namespaces."""
    pid = node_pid(state)
    if pid is None:
        raise ClusterError(
            f"cluster {state.name!r} is not running; start it: python -m dev.cluster up --name {state.name}"
        )
    return subprocess.run(
        ["nsenter", "-t", str(pid), "-m", "-n", "-p", "-u", "-i", "-C", "--", "env",
         f"PATH=/mnt/bin:{os.environ['PATH']}", *map(str, command)],
        stdin=stdin, capture_output=True, check=False,
    )  # fmt: skip


def stop_node(state: State) -> None:
    """Stop the node and everything in it, also after a crash; do nothing if it is not running."""
    pid = node_pid(state)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not wait_gone(pid, 5.0):
            os.kill(pid, signal.SIGKILL)
            wait_gone(pid, 5.0)
    forget(state, INIT)
    remove_link(state)
    remove_groups(state)


def wait_for_node(
    state: State, what: str, ready: Callable[[], bool], *, seconds: float = 60.0, log: str = "init"
) -> None:
    """Wait for a part of the node. Raises like `wait_until`."""
    wait_until(what, ready, seconds=seconds, log=state.log(log), alive=lambda: node_pid(state) is not None)
