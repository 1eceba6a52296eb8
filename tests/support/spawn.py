"""Starts operators by fork, for tests that need hundreds of them.

To import the operator takes longer than most scenarios of these tests. One process imports it and is forked for
each operator, before it has an event loop, a thread or a connection. The child then runs the real program, with its
own environment, working directory and output.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

KUBECONFIG = "kubeconfig"
"""Relative to the operator's working directory: the Kubernetes client reads the variable only once, at import."""


class SpawnedOperator:
    """An operator process, running or ended."""

    def __init__(self, process: BaseProcess, log: Path) -> None:
        self.log = log
        self.ended = asyncio.Event()
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(process.sentinel, self._note_end)

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""  # the operator creates the file

    async def kill(self) -> None:
        """Kill the process, and wait until it has ended."""
        self._process.kill()
        await self.ended.wait()

    def _note_end(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._process.join()
        self.ended.set()


def spawn_operator(folder: Path, env: Mapping[str, str], *, log: str = "operator.log") -> SpawnedOperator:
    """Start an operator in a folder that contains its kubeconfig."""
    output = folder / log
    settings = {**env, "KUBECONFIG": KUBECONFIG}
    process = _fork_server().Process(target=_become_operator, args=(str(folder), str(output), settings), daemon=True)
    process.start()
    return SpawnedOperator(process, output)


def _fork_server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "durafleet.__main__"])
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = KUBECONFIG
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["KUBECONFIG"]
        else:
            os.environ["KUBECONFIG"] = before
    return context


def _become_operator(folder: str, log: str, env: Mapping[str, str]) -> None:
    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(env)
    from durafleet.__main__ import main  # noqa: PLC0415 - already imported before the fork

    main()
