"""The worker as a process, with the same environment variables as in its pod."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE_TOOLS = ROOT / "examples" / "custom-tools"
_MODULE = ("-m", "durafleet_worker")


@dataclass(frozen=True)
class WorkerProcess:
    """A worker process."""

    process: "subprocess.Popen[bytes]"
    ready_file: Path
    log: Path

    @property
    def ready(self) -> bool:
        return self.ready_file.exists()

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    async def until_ready(self) -> None:
        await until(lambda: self.ready or self.process.poll() is not None, what="the worker is ready")
        assert self.ready, f"the worker exited with code {self.process.returncode}:\n{self.output()[-4000:]}"

    def terminate(self) -> None:
        """Send SIGTERM, as the kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process, and wait until it has exited."""
        self.process.kill()
        self.process.wait()

    async def exit_code(self) -> int:
        await until(lambda: self.process.poll() is not None, what="the worker has exited")
        return int(self.process.returncode)


def environment(
    folder: Path, *, address: str, task_queue: str, agents: Sequence[Mapping[str, Any]], **env: str
) -> dict[str, str]:
    """Write the agents file, and return the environment variables that the operator would set."""
    agents_file = folder / "agents.json"
    agents_file.write_text(json.dumps({"agents": list(agents)}))
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_TASK_QUEUE": task_queue,
        "DURAFLEET_FLEET": "tests/worker",
        "DURAFLEET_AGENTS_FILE": str(agents_file),
        "DURAFLEET_READY_FILE": str(folder / "ready"),
        "PYTHONPATH": str(EXAMPLE_TOOLS),
        "POD_NAME": "worker-pod",
        **env,
    }


@contextmanager
def worker_process(
    folder: Path, env: Mapping[str, str], *, command: Sequence[str] = _MODULE
) -> Iterator[WorkerProcess]:
    """Start a worker; kill it at the end."""
    log = folder / "worker.log"
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, *command], env=dict(env), stdout=output, stderr=subprocess.STDOUT)
    try:
        yield WorkerProcess(process, Path(env["DURAFLEET_READY_FILE"]), log)
    finally:
        process.kill()
        process.wait()
