"""A real Temporal server for tests: the development server, in memory, on its own port."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SEARCH_ATTRIBUTES = {
    "AgentFleet": "Keyword",
    "AgentRunUid": "Keyword",
    "AgentRunUpdated": "Datetime",
    "AgentRunPhase": "Keyword",
}
"""Search attributes that the operator registers; repeated here, because a rename breaks existing namespaces."""
CALLBACKS_ALLOWED = 'callback.allowedAddresses=[{"Pattern":"127.0.0.1:*","AllowInsecure":true}]'
_DEADLINE = 60


def binary(name: str) -> str:
    """Find an executable of the project's environment.

    Raises:
        FileNotFoundError: it is not installed; the message has the command to install it.
    """
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is missing; install the development environment: uv sync --all-extras")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def dev_server(
    *,
    search_attributes: bool = True,
    pause: bool = True,
    callbacks: bool = False,
    port: int | None = None,
    database: Path | None = None,
) -> Iterator[str]:
    """Run a Temporal server; yields its address.

    Args:
        search_attributes: whether the operator's search attributes are registered.
        pause: whether workflow pause is enabled on the server.
        callbacks: whether the server may call this machine when a workflow ends.
        port: the port to listen on; a free port by default.
        database: the file that stores the workflows; in memory by default.
    """
    address = f"127.0.0.1:{port or free_port()}"
    command = _command(address, search_attributes=search_attributes, pause=pause)
    command += ["--dynamic-config-value", CALLBACKS_ALLOWED] if callbacks else []
    command += ["--db-filename", str(database)] if database is not None else []
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(address, server)
        except TimeoutError as error:
            log.seek(0)
            server.kill()
            server.wait()
            raise TimeoutError(f"{error}\n{log.read().decode(errors='replace')[-4000:]}") from None
        try:
            yield address
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture(scope="session")
def temporal_server() -> Iterator[str]:
    """The address of a Temporal server that all tests of the session share; each test uses its own task queues."""
    with dev_server() as address:
        yield address


def _command(address: str, *, search_attributes: bool, pause: bool) -> list[str]:
    host, _, port = address.rpartition(":")
    command = [binary("temporal"), "server", "start-dev", "--headless", "--ip", host, "--port", port]
    command += ["--log-level", "error"]
    command += ["--dynamic-config-value", f"frontend.WorkflowPauseEnabled={str(pause).lower()}"]
    if search_attributes:
        for name, kind in SEARCH_ATTRIBUTES.items():
            command += ["--search-attribute", f"{name}={kind}"]
    return command


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    command = [binary("temporal"), "operator", "cluster", "health", "--address", address, "--command-timeout", "2s"]
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline and server.poll() is None:
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise TimeoutError(f"the Temporal server did not come up at {address} (exit code: {server.poll()})")
