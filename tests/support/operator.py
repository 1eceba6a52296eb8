"""The operator as a process, as in its pod, with a real API server and a real Temporal server.

The API server has no nodes and runs no pods, so `Fleet` runs the workers itself.
"""

import asyncio
import http.client
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.support.cluster import ControlPlane
from tests.support.temporal import binary, free_port
from tests.support.waiting import until
from tests.support.workflows import ACTIVITIES, WORKFLOWS

MODULE = ("-m", "durafleet")
API_VERSION = "durafleet.dev/v1alpha1"
IMAGE = "registry.invalid/worker:1"


def with_constants(**constants: float) -> tuple[str, str]:
    """Return the Python arguments of an operator with other values for constants, such as shorter deadlines.

    Args:
        constants: values by module below `durafleet` and constant, as in core__grace__REFERENCE_GRACE.

    Raises:
        AttributeError: there is no such constant; to set one that nothing reads would test nothing.
    """
    lines = ["import importlib"]
    for path, value in constants.items():
        name, _, constant = f"durafleet__{path}".rpartition("__")
        module = name.replace("__", ".")
        getattr(importlib.import_module(module), constant)
        lines.append(f"importlib.import_module({module!r}).{constant} = {value}")
    return "-c", "; ".join([*lines, "from durafleet.__main__ import main", "main()"])


@dataclass(frozen=True)
class OperatorProcess:
    """An operator process."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def probe(self, path: str) -> int:
        """Return the status of a GET, 0 without a response."""
        return self.ask(path)[0]

    def ask(self, path: str) -> tuple[int, str]:
        """Return the status and the text of a GET, 0 without a response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    async def until_ready(self) -> None:
        await until(
            lambda: self.process.poll() is not None or self.probe("/readyz") == 200, what="the operator is ready"
        )
        assert self.process.poll() is None, f"the operator exited early:\n{self.output()[-4000:]}"

    def terminate(self) -> None:
        """Send SIGTERM, as the kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    def pause(self) -> None:
        """Freeze the process."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process, and wait until it has exited."""
        self.process.kill()
        self.process.wait()

    async def exit_code(self) -> int:
        await until(lambda: self.process.poll() is not None, what="the operator has exited")
        return int(self.process.returncode)


def operator_env(plane: ControlPlane, *, temporal: str, namespace: str) -> dict[str, str]:
    """Return the environment variables of an operator that watches one namespace."""
    inherited = {name: value for name, value in plane.env.items() if not name.startswith("DURAFLEET_")}
    return inherited | {
        "DURAFLEET_TEMPORAL_ADDRESS": temporal,
        "DURAFLEET_WATCH_NAMESPACES": namespace,
        "DURAFLEET_HTTP_HOST": "127.0.0.1",
        "DURAFLEET_HTTP_PORT": str(free_port()),
        "DURAFLEET_LOG_FORMAT": "plain",
    }


@contextmanager
def operator_process(folder: Path, env: dict[str, str], *, code: Sequence[str] = MODULE) -> Iterator[OperatorProcess]:
    """Start an operator with these arguments for Python; kill it at the end."""
    log = folder / "operator.log"
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, *code], env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield OperatorProcess(process, int(env["DURAFLEET_HTTP_PORT"]), log)
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Fleet:
    """A namespace with one or several operators, and what a user does in that namespace."""

    plane: ControlPlane
    namespace: str
    client: Client

    def env(self) -> dict[str, str]:
        """Return the environment variables of an operator for this namespace."""
        return operator_env(
            self.plane, temporal=self.client.service_client.config.target_host, namespace=self.namespace
        )

    def worker(self, name: str = "support") -> Worker:
        """Return a worker for the task queue of an AgentWorker; enter it to run it."""
        return Worker(
            self.client,
            task_queue=f"{self.namespace}/{name}",
            workflows=WORKFLOWS,
            activities=ACTIVITIES,
            workflow_runner=UnsandboxedWorkflowRunner(),
        )

    def create(self, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self.namespace}
        return self.plane.create({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})

    def create_worker(self, name: str = "support", **spec: Any) -> dict[str, Any]:
        return self.create("AgentWorker", name, {"image": IMAGE, **spec})

    def create_run(self, name: str, workflow_type: str | None = None, **spec: Any) -> dict[str, Any]:
        """Create an AgentRun, on AgentWorker `support` by default."""
        chosen = {"workflowType": workflow_type} if workflow_type is not None else {}
        return self.create("AgentRun", name, {"workerRef": {"name": "support"}, **chosen, **spec})

    def patch(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        refused = self.plane.patch(kind, name, {"spec": spec}, namespace=self.namespace)
        assert not refused, refused

    def kubectl(self, *arguments: str) -> str:
        return self.plane.kubectl("-n", self.namespace, *arguments)

    def temporal(self, *arguments: str) -> str:
        """Run Temporal's CLI as an administrator would; return its output."""
        env = {**os.environ, "TEMPORAL_ADDRESS": self.client.service_client.config.target_host}
        command = [binary("temporal"), *arguments]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.plane.get(kind, name, namespace=self.namespace)

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object; None if it does not exist."""
        found = self.kubectl("get", kind, name, "--ignore-not-found", "-o", "json")
        return dict(json.loads(found)) if found.strip() else None

    async def until(
        self, kind: str, name: str, condition: Callable[[dict[str, Any]], bool], *, what: str
    ) -> dict[str, Any]:
        """Return the object once it exists and the condition holds."""
        seen: dict[str, Any] = {}

        def holds() -> bool:
            seen.clear()
            seen.update(self.find(kind, name) or {})
            return bool(seen) and condition(seen)

        try:
            await until(holds, what=f"{kind} {name} {what}", within=30)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the object is {json.dumps(seen, indent=1)[-3000:]}") from None
        return dict(seen)

    async def until_state(self, name: str, state: str) -> dict[str, Any]:
        """Return the AgentRun once it has this state."""
        return await self.until("agentrun", name, lambda it: state_of(it) == state, what=f"is {state}")

    async def until_reason(self, kind: str, name: str, reason: str) -> dict[str, Any]:
        """Return the object once its condition Ready has this reason."""
        return await self.until(kind, name, lambda it: condition(it, "Ready").get("reason") == reason, what=reason)

    async def until_gone(self, kind: str, name: str) -> None:
        await until(lambda: self.find(kind, name) is None, what=f"{kind} {name} is gone", within=30)

    def workflow(self, run: dict[str, Any]) -> WorkflowHandle[Any, Any]:
        """Return the workflow of an AgentRun."""
        metadata = run["metadata"]
        return self.client.get_workflow_handle(
            f"agent-run/{metadata['namespace']}/{metadata['name']}/{metadata['uid']}"
        )

    async def until_started(self, run: dict[str, Any]) -> WorkflowExecutionDescription:
        """Return the workflow as soon as Temporal has started it."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return await self.workflow(run).describe()
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.001)


def condition(body: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a condition of an object; empty if the object does not have it."""
    found = [each for each in body.get("status", {}).get("conditions", ()) if each["type"] == kind]
    return dict(found[0]) if found else {}


def state_of(run: dict[str, Any]) -> str | None:
    state = run.get("status", {}).get("state")
    return None if state is None else str(state)
