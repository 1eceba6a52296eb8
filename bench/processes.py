"""Measured processes: start them, limit their memory, and read their usage from /proc."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 2**20
PYTHON = sys.executable


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, user and system; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mib(pid: int, *, peak: bool = False) -> float:
    """Return the resident memory of a process, or its peak; 0 if the process is gone."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(wanted):
                return int(line.split()[1]) / 1024
    return 0.0


def descendants(pid: int) -> dict[str, int]:
    """Return the descendants of a process, by the name of their program."""
    found: dict[str, int] = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            found[Path(f"/proc/{child}/cmdline").read_text().partition("\0")[0].rpartition("/")[2]] = int(child)
            found.update(descendants(int(child)))
    return found


class Process:
    """A child process that writes its output to a file."""

    def __init__(self, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> None:
        self._command, self._log, self._env = command, log, env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the process was not started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, group: "MemoryGroup | None" = None) -> None:
        join = group.join if group is not None else None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                stdout=log,
                stderr=log,
                preexec_fn=join,  # noqa: PLW1509 - one write
            )

    def stop(self, sign: int = signal.SIGTERM) -> None:
        """Stop the process and wait for its end; after 20 s, send SIGKILL."""
        if self._process is None:
            return
        self._process.send_signal(sign)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class Operator:
    """The operator in its own process. `keep_alive` restarts it when it has ended, as a kubelet does.

    Attributes:
        memory_mib: memory limit of the process; None for no limit.
        restarts: how often it ended by itself and was restarted.
    """

    env: Mapping[str, str]
    port: int
    log: Path
    memory_mib: int | None = None
    restarts: int = 0
    _process: Process = field(init=False)
    _group: "MemoryGroup | None" = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._process = Process([PYTHON, "-m", "durafleet"], log=self.log, env=self.env)

    @property
    def pid(self) -> int:
        return self._process.pid

    @contextlib.contextmanager
    def running(self) -> Iterator["Operator"]:
        """Run the operator until the context ends."""
        if self.memory_mib is not None:
            self._group = MemoryGroup.create(f"durafleet-bench-{os.getpid()}", self.memory_mib)
        try:
            self._process.start(group=self._group)
            yield self
        finally:
            self._process.stop()
            if self._group is not None:
                self._group.remove()

    def kill(self) -> None:
        """Kill the operator with SIGKILL."""
        self._process.stop(signal.SIGKILL)

    def start(self) -> None:
        self._process.start(group=self._group)

    def keep_alive(self) -> None:
        """Restart the operator if it has ended; call this periodically."""
        if not self._process.alive:
            self.restarts += 1
            self.start()


@dataclass(frozen=True)
class MemoryGroup:
    """A cgroup with a memory limit (cgroup v1 or v2)."""

    folder: Path

    @classmethod
    def create(cls, name: str, limit_mib: int) -> "MemoryGroup":
        """Create the group.

        Raises:
            RuntimeError: the memory limit cannot be set on this machine.
        """
        first = Path("/sys/fs/cgroup/memory")
        folder, file = (first, "memory.limit_in_bytes") if first.is_dir() else (Path("/sys/fs/cgroup"), "memory.max")
        try:
            (folder / name).mkdir(exist_ok=True)
            (folder / name / file).write_text(str(limit_mib * _MIB))
        except OSError as error:
            raise RuntimeError(f"no memory limit can be set on this machine ({error}); run as root") from error
        return cls(folder / name)

    def join(self) -> None:
        (self.folder / "cgroup.procs").write_text("0")

    def remove(self) -> None:
        """Remove the group; the kernel may need a moment after the last process has ended."""
        for _ in range(100):
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.05)


class Usage:
    """CPU used by processes since the start of a measurement."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._began = time.monotonic()
        self._before = {name: cpu_seconds(pid) for name, pid in pids.items()}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of each process since the start."""
        return {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}
