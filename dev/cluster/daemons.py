"""Processes that outlive the command that started them, and are known again by pid and start time."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dev.cluster.layout import ClusterError, State


def start_time(pid: int) -> str | None:
    """Return when a process started, in the kernel's ticks; None if it is not running (a zombie is not)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def running(state: State, name: str) -> int | None:
    """Return the pid of a daemon of this cluster, None if it does not run."""
    record = state.facts.get("daemons", {}).get(name)
    if record is None:
        return None
    return record["pid"] if start_time(record["pid"]) == record["started"] else None


def remember(state: State, name: str, pid: int) -> None:
    """Note a process as this cluster's daemon."""
    daemons = dict(state.facts.get("daemons", {}))
    daemons[name] = {"pid": pid, "started": start_time(pid)}
    state.save(daemons=daemons)


def forget(state: State, name: str) -> None:
    daemons = {key: value for key, value in state.facts.get("daemons", {}).items() if key != name}
    state.save(daemons=daemons)


def spawn(state: State, name: str, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> int:
    """Start a daemon in a session of its own, with its output in a log; return its pid."""
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
    process.returncode = 0  # it outlives this object: `wait_gone` reaps it, and Python need not warn
    return process.pid


def stop(state: State, name: str, *, sign: int = signal.SIGTERM, patience: float = 10.0) -> None:
    """End a daemon; after `patience` seconds by SIGKILL. One that does not run is fine."""
    pid = running(state, name)
    if pid is not None:
        os.kill(pid, sign)
        if not wait_gone(pid, patience):
            os.kill(pid, signal.SIGKILL)
            wait_gone(pid, 5.0)
    forget(state, name)


def wait_gone(pid: int, seconds: float) -> bool:
    """Wait until a process has ended; tell whether it did. Reaps it if it is our child."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)
        if start_time(pid) is None:
            return True
        time.sleep(0.02)
    return False


def wait_until(what: str, ready: Callable[[], bool], *, seconds: float, log: Path, alive: Callable[[], bool]) -> None:
    """Wait for something to answer.

    Raises:
        ClusterError: it died or did not answer in time; the message holds the end of its log.
    """
    end, last = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        try:
            if ready():
                return
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            last = repr(error)
        if not alive():
            last = "it died"
            break
        time.sleep(0.05)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else ""
    raise ClusterError(f"{what} is not ready after {seconds:.0f} s ({last}); end of {log}:\n{tail}")
