"""Processes that outlive the command that started them, identified by pid and start time."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dev.cluster.layout import ClusterError, State


def start_time(pid: int) -> str | None:
    """Return the start time of a process, in kernel ticks; None if it is not running (or is a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def running(state: State, name: str) -> int | None:
    """Return the pid of a daemon of this cluster; None if it is not running."""
    record = state.facts.get("daemons", {}).get(name)
    if record is None:
        return None
    return record["pid"] if start_time(record["pid"]) == record["started"] else None


def remember(state: State, name: str, pid: int) -> None:
    """Save a process as a daemon of this cluster."""
    daemons = dict(state.facts.get("daemons", {}))
    daemons[name] = {"pid": pid, "started": start_time(pid)}
    state.save(daemons=daemons)


def forget(state: State, name: str) -> None:
    daemons = {key: value for key, value in state.facts.get("daemons", {}).items() if key != name}
    state.save(daemons=daemons)


def spawn(state: State, name: str, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> int:
    """Start a daemon in a new session, with its output in a log file; return its pid."""
    with state.log(name).open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **(env or {})},
            cwd="/" if env is None else None,
        )
    remember(state, name, process.pid)
    process.returncode = 0  # the process outlives this object, and `wait_gone` reaps it: no ResourceWarning
    return process.pid


def stop(state: State, name: str, *, sign: int = signal.SIGTERM, grace_period: float = 10.0) -> None:
    """Stop a daemon, with SIGKILL after `grace_period` seconds; do nothing if it is not running."""
    pid = running(state, name)
    if pid is not None:
        os.kill(pid, sign)
        if not wait_gone(pid, grace_period):
            os.kill(pid, signal.SIGKILL)
            wait_gone(pid, 5.0)
    forget(state, name)


def wait_gone(pid: int, seconds: float) -> bool:
    """Wait until a process has ended; return whether it did. Reap it if it is a child of this process."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)
        if start_time(pid) is None:
            return True
        time.sleep(0.02)
    return False


def wait_until(what: str, ready: Callable[[], bool], *, seconds: float, log: Path, alive: Callable[[], bool]) -> None:
    """Wait until a component is ready.

    Raises:
        ClusterError: its process exited, or it was not ready in time; the message contains the end of its log.
    """
    end, last = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        try:
            if ready():
                return
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            last = repr(error)
        if not alive():
            last = "the process exited"
            break
        time.sleep(0.05)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else ""
    raise ClusterError(f"{what} is not ready after {seconds:.0f} s ({last}); end of {log}:\n{tail}")
