"""What it costs that many AgentRuns exist: open ones that do nothing, and terminal ones.

For each size: CPU, memory and Temporal calls while nothing happens; how soon new runs start and end beside
them; and how long after a kill -9 a new run starts, and all are known again.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from bench import load, witnesses
from bench.ground import Ground
from bench.load import Key, Seen
from bench.measures import SETTLE, Figures, quiet, until_ready, warm_up
from bench.processes import Operator, rss_mib
from durafleet.kube.resources import RUNS

_IN_FLIGHT = 16


async def open_runs(ground: Ground, sizes: Sequence[int], *, idle: float = 30.0) -> AsyncIterator[Figures]:
    """Yield figures for each number of open runs; they are started by the operator."""
    async with _Stage(ground) as stage:
        there = 0
        for size in sizes:
            fresh = [(stage.namespace, f"open-{number}") for number in range(there, size)]
            await load.burst(ground, stage.seen, fresh, workflow="Forever")
            await stage.until_running(fresh, within=60 + size / 5)
            there = size
            yield {"open": size, **await stage.figures(idle=idle, known="durafleet_open_runs", expected=size)}


async def terminal_runs(ground: Ground, sizes: Sequence[int], *, idle: float = 30.0) -> AsyncIterator[Figures]:
    """Yield figures for each number of terminal runs; their statuses are written by hand, as a restore would."""
    async with _Stage(ground) as stage:
        there = 0
        for size in sizes:
            fresh = [(stage.namespace, f"terminal-{number}") for number in range(there, size)]
            await _create_ended(ground, stage.seen, fresh)
            there = size
            await asyncio.sleep(10)
            yield {"terminal": size, **await stage.figures(idle=idle, known="durafleet_agentruns", expected=size)}


class _Stage:
    """An operator, a client's watch and a namespace, and what is measured on them."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.namespace = f"g-{uuid.uuid4().hex[:8]}"
        self.operator: Operator = ground.operator()
        self._running = self.operator.running()
        self._watching = load.watching(ground)
        self.seen: Seen

    async def __aenter__(self) -> "_Stage":
        await self.ground.fleets([self.namespace])
        self._running.__enter__()
        await until_ready(self.operator)
        self.seen = await self._watching.__aenter__()
        await warm_up(self.ground, self.seen, self.namespace)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._watching.__aexit__(*error)
        self._running.__exit__(*error)

    async def until_running(self, keys: Sequence[Key], *, within: float) -> None:
        async def all_run() -> bool:
            return all(key in self.seen.running for key in keys)

        await _until(all_run, within=within)

    async def figures(self, *, idle: float, known: str, expected: int) -> Figures:
        grown = round(rss_mib(self.operator.pid), 1)
        restart = await self._restart(known, expected)  # after it no old run is young, hence none has a long-poll
        await asyncio.sleep(SETTLE)
        still = await quiet(self.ground, self.operator, seconds=idle)
        return {**restart, **still, "rss_restarted_mib": still["rss_mib"], "rss_mib": grown, **await self._beside()}

    async def _beside(self, *, runs: int = 40) -> Figures:
        keys = load.keys_of(self.namespace, runs, prefix=f"beside-{uuid.uuid4().hex[:6]}")
        await load.poisson(self.ground, self.seen, keys, rate=4)
        await self.seen.until_ended(keys, within=60)
        return (await witnesses.judge(self.ground, self.seen, keys)).summary()

    async def _restart(self, known: str, expected: int) -> Figures:
        """Kill the operator, create a run, start the operator, create another while it reads what is there.

        The clock runs from the operator's start; for the other run, from its creation.
        """
        self.operator.kill()
        key = (self.namespace, f"after-{uuid.uuid4().hex[:6]}")
        await load.create(self.ground, self.seen, key)
        began = time.time()
        self.operator.start()
        await until_ready(self.operator)
        ready = time.time() - began
        meanwhile = (self.namespace, f"meanwhile-{uuid.uuid4().hex[:6]}")
        await load.create(self.ground, self.seen, meanwhile)
        await self.seen.until_ended([key, meanwhile], within=120)
        started = {row.key: row.started for row in await witnesses.executions(self.ground, [self.namespace])}
        await _until(lambda: self._knows(known, expected), within=300)
        return {
            "restart_ready_s": round(ready, 2),
            "restart_first_start_s": round(started[key] - began, 2),
            "restart_meanwhile_start_s": round(started[meanwhile] - self.seen.created[meanwhile], 2),
            "restart_all_known_s": round(time.time() - began, 2),
            "restart_peak_rss_mib": round(rss_mib(self.operator.pid, peak=True), 1),
        }

    async def _knows(self, metric: str, expected: int) -> bool:
        known = await witnesses.gauge(self.operator.port, metric) >= expected
        return known and not await witnesses.gauge(self.operator.port, "durafleet_unobserved_runs")


async def _create_ended(ground: Ground, seen: Seen, keys: Sequence[Key]) -> None:
    waiting = iter(keys)

    async def one_after_the_other() -> None:
        for namespace, name in waiting:
            await load.create(ground, seen, (namespace, name))
            await ground.kube.patch(RUNS, namespace, name, {"status": ended_status(namespace, name)}, sub="status")

    async with asyncio.TaskGroup() as group:
        for _ in range(_IN_FLIGHT):
            group.create_task(one_after_the_other())


def ended_status(namespace: str, name: str) -> dict[str, Any]:
    """Return a status as the operator leaves it, with 1 KiB of result."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    workflow_id = f"agent-run/{namespace}/{name}/{uuid.uuid4()}"
    said = {"observedGeneration": 1, "lastTransitionTime": now, "reason": "Completed", "message": "It completed."}
    workflow = {"id": workflow_id, "runId": str(uuid.uuid4()), "namespace": "default", "taskQueue": "bench",
                "type": "Nothing"}  # fmt: skip
    return {
        "observedGeneration": 1,
        "state": "Completed",
        "conditions": [{"type": kind, "status": "True", **said} for kind in ("Ready", "Succeeded")],
        "workflow": workflow,
        "startTime": now,
        "completionTime": now,
        "result": {"preview": "x" * 1024, "size": 1024, "sha256": "0" * 64},
    }


async def _until(holds: Callable[[], Awaitable[bool]], *, within: float) -> None:
    deadline = time.monotonic() + within
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the operator has not come to know all runs within {within:g} s")
        await asyncio.sleep(0.1)
