"""The node's init: process 1 of the node's namespaces, and the parent of all processes of the node.

`host.py` starts it with `unshare`. It mounts the node's file systems, starts the components, and restarts a
component that exits. It waits for `host.py` twice: until the network link exists, and until the API server is
ready. When it ends, the kernel ends all other processes and removes the mounts, links and rules.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dev.cluster.components import BIN, STATE, Command, control_plane, controllers, node
from dev.cluster.layout import NODE_NAME, Network

_TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""Kernel settings that the kubelet requires. It reads them from bind-mounted files; the host's do not change."""


def mount(*arguments: str, pass_fds: tuple[int, ...] = ()) -> None:
    subprocess.run(["mount", *arguments], check=True, pass_fds=pass_fds)


def read_cgroup_mounts() -> list[tuple[str, str, str]]:
    """Return mount point, type and options of every cgroup hierarchy."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        rest = fields[fields.index("-") + 1 :]
        if rest[0] in ("cgroup", "cgroup2"):
            found.append((fields[4], rest[0], rest[2]))
    return found


def build_view(state: str, programs: str) -> None:
    """Mount /mnt, /proc, /sys, /run and /var for the node only."""
    hierarchies = read_cgroup_mounts()
    state_fd, bin_fd = os.open(state, os.O_PATH), os.open(programs, os.O_PATH)  # reachable after /mnt is covered
    mount("-t", "tmpfs", "tmpfs", "/mnt")
    for path, fd in ((STATE, state_fd), (BIN, bin_fd)):
        Path(path).mkdir()
        mount("--bind", f"/proc/self/fd/{fd}", path, pass_fds=(fd,))
    mount("-t", "proc", "proc", "/proc")
    protect_sysctls()
    mount("-t", "sysfs", "sysfs", "/sys")
    mount_cgroups(hierarchies)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    mount("--bind", f"{STATE}/var", "/var")
    mount("--make-rshared", "/")
    os.chdir("/")
    socket.sethostname(NODE_NAME)


def protect_sysctls() -> None:
    """Make all sysctls read-only except those of the network, because they belong to the host."""
    mount("--bind", "/proc/sys", "/proc/sys")
    mount("--bind", "/proc/sys/net", "/proc/sys/net")
    mount("-o", "remount,bind,ro", "/proc/sys")
    folder = Path("/mnt/sysctl")
    for name, value in _TUNABLES.items():
        if (Path("/proc/sys") / name).exists():
            file = folder / name.replace("/", ".")
            folder.mkdir(exist_ok=True)
            file.write_text(value)
            mount("--bind", str(file), f"/proc/sys/{name}")


def mount_cgroups(hierarchies: list[tuple[str, str, str]]) -> None:
    """Mount the hierarchies again from inside the cgroup namespace, where "/" is the cluster's cgroup."""
    legacy = any(kind == "cgroup" for _, kind, _ in hierarchies)
    if legacy:
        mount("-t", "tmpfs", "tmpfs", "/sys/fs/cgroup")
    for point, kind, options in hierarchies:
        Path(point).mkdir(parents=True, exist_ok=True)
        kept = [o for o in options.split(",") if o not in ("rw", "xattr") and not o.startswith("release_agent")]
        mount("-t", kind, *(("-o", ",".join(kept)) if kind == "cgroup" and kept else ()), kind, point)
    if not legacy:
        delegate_controllers(Path("/sys/fs/cgroup"))


def delegate_controllers(root: Path) -> None:
    """Move all processes into a leaf and enable the controllers for the subtree, as cgroup v2 requires."""
    (root / "init").mkdir(exist_ok=True)
    for pid in (root / "cgroup.procs").read_text().split():
        (root / "init/cgroup.procs").write_text(pid)
    for controller in (root / "cgroup.controllers").read_text().split():
        (root / "cgroup.subtree_control").write_text(f"+{controller}")


def bring_up_network(network: Network) -> None:
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{network.node}/30", "dev", "eth0"],
        ["ip", "link", "set", "eth0", "up"],
        ["ip", "route", "add", "default", "via", network.host],
    ):
        subprocess.run(command, check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def next_stage() -> None:
    """Wait until `host.py` allows the next stage; exit if it has ended, because the node would stay half-started."""
    if not sys.stdin.readline():
        sys.exit("the process that starts the node has exited")


class Supervisor:
    """Starts components, and restarts those that exit."""

    def __init__(self) -> None:
        self._alive: dict[int, tuple[Command, float]] = {}
        self._stopping = False
        self._env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": "/root"}

    def start(self, command: Command) -> None:
        name, argv = command
        with Path(f"{STATE}/log/{name}.log").open("ab") as log:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env, start_new_session=True
            )
        self._alive[process.pid] = (command, time.monotonic())

    def stop(self, *_: Any) -> None:
        """Stop: etcd finishes its writes, all other components are killed."""
        self._stopping = True
        for pid, ((name, _argv), _since) in list(self._alive.items()):
            os.kill(pid, signal.SIGTERM if name == "etcd" else signal.SIGKILL)

    def watch(self) -> None:
        """Reap children, including orphans, as an init must; return when etcd has ended after `stop`."""
        while not (self._stopping and not any(name == "etcd" for (name, _), _ in self._alive.values())):
            pid, status = os.wait()
            command, since = self._alive.pop(pid, (None, 0.0))
            if command is not None and not self._stopping:
                print(f"{command[0]} exited with {os.waitstatus_to_exitcode(status)}; restarting it", flush=True)
                time.sleep(0.5 if time.monotonic() - since < 5 else 0)
                self.start(command)


def main() -> None:
    """Run the node. The argument is JSON: state, bin, network, node (whether pods run), audit."""
    options = json.loads(sys.argv[1])
    network = Network(options["network"])
    build_view(options["state"], options["bin"])
    next_stage()
    bring_up_network(network)
    supervisor = Supervisor()
    signal.signal(signal.SIGTERM, supervisor.stop)
    for command in control_plane(network, audit=options["audit"]):
        supervisor.start(command)
    next_stage()
    for command in (*controllers(), *(node(network) if options["node"] else ())):
        supervisor.start(command)
    supervisor.watch()


if __name__ == "__main__":
    main()
