"""The cost of many existing AgentRuns: open ones that do nothing, and terminal ones.

Measured for each size: CPU, memory and Temporal calls while idle; the latencies of new runs; and the time from a
kill -9 until a new run starts, and until the operator knows the state of all runs again.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from bench import load, server_records
from bench.environment import Environment
from bench.load import Key, Seen
from bench.measures import SETTLE, Figures, until_ready, warm_up, while_idle
from bench.processes import Operator, rss_mib
from durafleet.kube.resources import RUNS

_IN_FLIGHT = 16


async def open_runs(environment: Environment, sizes: Sequence[int], *, idle: float = 30.0) -> AsyncIterator[Figures]:
    """Yield figures for each number of open runs; the operator starts them."""
    async with _Setup(environment) as setup:
        existing = 0
        for size in sizes:
            fresh = [(setup.namespace, f"open-{number}") for number in range(existing, size)]
            await load.burst(environment, setup.seen, fresh, workflow="Forever")
            await setup.until_running(fresh, within=60 + size / 5)
            existing = size
            yield {"open": size, **await setup.figures(idle=idle, known="durafleet_open_runs", expected=size)}


async def terminal_runs(
    environment: Environment, sizes: Sequence[int], *, idle: float = 30.0
) -> AsyncIterator[Figures]:
    """Yield figures for each number of terminal runs; the harness writes their statuses, as a restore would."""
    async with _Setup(environment) as setup:
        existing = 0
        for size in sizes:
            fresh = [(setup.namespace, f"terminal-{number}") for number in range(existing, size)]
            await _create_ended(environment, setup.seen, fresh)
            existing = size
            await asyncio.sleep(10)
            yield {"terminal": size, **await setup.figures(idle=idle, known="durafleet_agentruns", expected=size)}


class _Setup:
    """An operator, the watch of a client and a namespace, with the measurements on them."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.namespace = f"g-{uuid.uuid4().hex[:8]}"
        self.operator: Operator = environment.operator()
        self._running = self.operator.running()
        self._watching = load.watching(environment)
        self.seen: Seen

    async def __aenter__(self) -> "_Setup":
        await self.environment.fleets([self.namespace])
        self._running.__enter__()
        await until_ready(self.operator)
        self.seen = await self._watching.__aenter__()
        await warm_up(self.environment, self.seen, self.namespace)
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
        restart = await self._restart(known, expected)  # a restarted operator opens no long-polls for old runs
        await asyncio.sleep(SETTLE)
        still = await while_idle(self.environment, self.operator, seconds=idle)
        return {**restart, **still, "rss_restarted_mib": still["rss_mib"], "rss_mib": grown, **await self._beside()}

    async def _beside(self, *, runs: int = 40) -> Figures:
        keys = load.keys_of(self.namespace, runs, prefix=f"beside-{uuid.uuid4().hex[:6]}")
        await load.poisson(self.environment, self.seen, keys, rate=4)
        await self.seen.until_ended(keys, within=60)
        return (await server_records.evaluate(self.environment, self.seen, keys)).summary()

    async def _restart(self, known: str, expected: int) -> Figures:
        """Kill the operator, create a run, start the operator, and create another run while it lists existing objects.

        Times count from the start of the operator; for the second run, from its creation.
        """
        self.operator.kill()
        key = (self.namespace, f"after-{uuid.uuid4().hex[:6]}")
        await load.create(self.environment, self.seen, key)
        began = time.time()
        self.operator.start()
        await until_ready(self.operator)
        ready = time.time() - began
        meanwhile = (self.namespace, f"meanwhile-{uuid.uuid4().hex[:6]}")
        await load.create(self.environment, self.seen, meanwhile)
        await self.seen.until_ended([key, meanwhile], within=120)
        started = {row.key: row.started for row in await server_records.executions(self.environment, [self.namespace])}
        await _until(lambda: self._knows(known, expected), within=300)
        return {
            "restart_ready_s": round(ready, 2),
            "restart_first_start_s": round(started[key] - began, 2),
            "restart_meanwhile_start_s": round(started[meanwhile] - self.seen.created[meanwhile], 2),
            "restart_all_known_s": round(time.time() - began, 2),
            "restart_peak_rss_mib": round(rss_mib(self.operator.pid, peak=True), 1),
        }

    async def _knows(self, metric: str, expected: int) -> bool:
        known = await server_records.gauge(self.operator.port, metric) >= expected
        return known and not await server_records.gauge(self.operator.port, "durafleet_unobserved_runs")


async def _create_ended(environment: Environment, seen: Seen, keys: Sequence[Key]) -> None:
    waiting = iter(keys)

    async def work_through() -> None:
        for namespace, name in waiting:
            await load.create(environment, seen, (namespace, name))
            await environment.kube.patch(RUNS, namespace, name, {"status": ended_status(namespace, name)}, sub="status")

    async with asyncio.TaskGroup() as group:
        for _ in range(_IN_FLIGHT):
            group.create_task(work_through())


def ended_status(namespace: str, name: str) -> dict[str, Any]:
    """Return a status as the operator writes it, with 1 KiB of result."""
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
            raise TimeoutError(f"the operator does not know the state of all runs after {within:g} s")
        await asyncio.sleep(0.1)
