"""One function per measurement; each starts the operator anew, on namespaces of its own, and returns figures."""

import asyncio
import contextlib
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from bench import load, witnesses
from bench.ground import Ground
from bench.load import Seen
from bench.processes import PYTHON, Operator, Usage, rss_mib

Figures = dict[str, Any]
SETTLE = 5.0
"""Seconds after the last terminal status in which writes still count."""


@asynccontextmanager
async def stage(
    ground: Ground, *, namespaces: int = 1, memory_mib: int | None = None
) -> AsyncIterator[tuple[list[str], Operator, Seen]]:
    """Make namespaces with a fleet each, an operator that watches all, and a client that watches the runs."""
    names = [f"b-{uuid.uuid4().hex[:8]}" for _ in range(namespaces)]
    await ground.fleets(names)
    operator = ground.operator(memory_mib=memory_mib)
    with operator.running():
        await until_ready(operator)
        async with load.watching(ground) as seen:
            await warm_up(ground, seen, names[0])
            yield names, operator, seen
            await ground.clear(names)


async def until_ready(operator: Operator, *, within: float = 60) -> None:
    """Wait until the operator says that it is ready.

    Raises:
        RuntimeError: it does not.
    """
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", operator.port)
            writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
            answer = await reader.readline()
            writer.close()
            if b" 200 " in answer:
                return
        operator.keep_alive()
        await asyncio.sleep(0.05)
    raise RuntimeError(f"the operator is not ready after {within:g} s; see {operator.log}")


async def warm_up(ground: Ground, seen: Seen, namespace: str) -> None:
    """Let a few runs pass before anything counts: connections, caches, the worker's first task."""
    keys = load.keys_of(namespace, 20, prefix="warm-up")
    await load.burst(ground, seen, keys)
    if await seen.until_ended(keys, within=60) < len(keys):
        raise RuntimeError("the runs of the warm-up did not end; see the operator's log")


async def floor(ground: Ground, *, runs: int, in_flight: int) -> Figures:
    """Run the floor script in a process of its own."""
    namespace = f"f-{uuid.uuid4().hex[:8]}"
    await ground.fleets([namespace])
    options = {"--temporal": ground.cluster.temporal.address, "--namespace": namespace,
               "--runs": str(runs), "--in-flight": str(in_flight)}  # fmt: skip
    words = [word for pair in options.items() for word in pair]
    usage = Usage(ground.pids())
    process = await asyncio.create_subprocess_exec(
        PYTHON, "-m", "bench.floor", *words,
        env={**os.environ, "KUBECONFIG": str(ground.cluster.kubeconfig)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the floor script failed with exit code {process.returncode}")
    figures = {**json.loads(out), "in_flight": in_flight, "cpu_ms_per_run": per_run(usage.cpu(), runs)}
    await ground.clear([namespace])
    return figures


async def harness(ground: Ground, *, runs: int) -> Figures:
    """Create runs with no operator there: what the harness itself can do, and what it costs."""
    namespace = f"h-{uuid.uuid4().hex[:8]}"
    await ground.fleets([namespace])
    async with load.watching(ground) as seen:
        usage = Usage(ground.pids())
        await load.burst(ground, seen, load.keys_of(namespace, runs))
        figures = {"creates_per_s": round(runs / usage.seconds, 1), "cpu_ms_per_run": per_run(usage.cpu(), runs)}
    await ground.clear([namespace])  # or the next operator starts them all
    return figures


async def burst(ground: Ground, *, runs: int) -> Figures:
    """Create runs as fast as the API server takes them; all in one namespace."""
    async with stage(ground) as (names, operator, seen):
        keys = load.keys_of(names[0], runs)
        usage = Usage({**ground.pids(), "operator": operator.pid})
        writes, calls = await witnesses.api_writes(ground), await temporal_calls(operator)
        await load.burst(ground, seen, keys)
        await seen.until_ended(keys, within=600)
        cpu = usage.cpu()
        await asyncio.sleep(SETTLE)
        written = await witnesses.api_writes(ground) - writes
        called = await temporal_calls(operator) - calls
        verdict = await witnesses.judge(ground, seen, keys)
        return {
            **verdict.summary(),
            **_writes_per_run(written, runs),
            "runs_per_s": runs / verdict.seconds,
            "cpu_ms_per_run": per_run(cpu, runs),
            "operator_cpu_with_settling_ms_per_run": usage.cpu()["operator"] * 1000 / runs,
            "temporal_rpc_per_run": {name: round(count / runs, 2) for name, count in called.items()},
            "rss_mib": rss_mib(operator.pid),
            "peak_rss_mib": rss_mib(operator.pid, peak=True),
        }


async def arrivals(ground: Ground, *, rate: float, seconds: float) -> Figures:
    """Open loop: runs arrive at random, `rate` a second in the mean, however the earlier ones fare."""
    runs = int(rate * seconds)
    async with stage(ground) as (names, operator, seen):
        keys = load.keys_of(names[0], runs)
        usage = Usage({**ground.pids(), "operator": operator.pid})
        writes = await witnesses.api_writes(ground)
        await load.poisson(ground, seen, keys, rate=rate)
        behind = sum(key not in seen.ended for key in keys)
        await seen.until_ended(keys, within=300)
        cpu = usage.cpu()
        await asyncio.sleep(SETTLE)
        verdict = await witnesses.judge(ground, seen, keys)
        return {
            **verdict.summary(),
            **_writes_per_run(await witnesses.api_writes(ground) - writes, runs),
            "rate": rate,
            "unfinished_at_the_last_arrival": behind,
            "cpu_ms_per_run": per_run(cpu, runs),
            "rss_mib": rss_mib(operator.pid),
        }


async def neighbour(ground: Ground, *, runs: int) -> Figures:
    """Let one namespace create runs all at once, and another one a run a second until those have ended."""
    async with stage(ground, namespaces=2) as (names, _, seen):
        crowd, singles = load.keys_of(names[0], runs), list[load.Key]()
        creating = asyncio.create_task(load.burst(ground, seen, crowd))
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and not all(key in seen.ended for key in crowd):
            singles.append((names[1], f"single-{len(singles)}"))
            await load.create(ground, seen, singles[-1])
            await asyncio.sleep(1)
        await creating
        await seen.until_ended(singles, within=60)
        verdict = await witnesses.judge(ground, seen, singles)
        crowded = (await witnesses.judge(ground, seen, crowd)).summary()
        return {
            **verdict.summary(),
            "runs": runs,
            "singles": len(singles),
            "start_most_ms": round(max(verdict.start_ms), 2),
            "crowd": crowded,
        }


async def idle(ground: Ground, *, open_runs: int, seconds: float) -> Figures:
    """Let a few runs stay open and do nothing, for an operator that has found them there: none is young to it."""
    async with stage(ground) as (names, operator, seen):
        keys = load.keys_of(names[0], open_runs)
        await load.burst(ground, seen, keys, workflow="Forever")
        while not all(key in seen.running for key in keys):  # noqa: ASYNC110 - a client that watches
            await asyncio.sleep(0.1)
        operator.kill()
        operator.start()
        await until_ready(operator)
        await asyncio.sleep(SETTLE)
        return {"open": open_runs, **await quiet(ground, operator, seconds=seconds)}


async def quiet(ground: Ground, operator: Operator, *, seconds: float) -> Figures:
    """Measure what the operator does while nothing happens."""
    usage = Usage({**ground.pids(), "operator": operator.pid})
    before = await temporal_calls(operator)
    await asyncio.sleep(seconds)
    calls, cpu, took = await temporal_calls(operator) - before, usage.cpu(), usage.seconds
    return {
        "idle_cpu_percent": round(cpu["operator"] * 100 / took, 2),
        "idle_temporal_cpu_percent": round(cpu["temporal"] * 100 / took, 2),
        "idle_temporal_rpc_per_s": round(sum(calls.values()) / took, 2),
        "rss_mib": round(rss_mib(operator.pid), 1),
    }


def per_run(cpu: Mapping[str, float], runs: int) -> dict[str, float]:
    """Return CPU milliseconds a run, by process."""
    return {name: round(seconds * 1000 / runs, 2) for name, seconds in cpu.items()}


def _writes_per_run(written: Counter[str], runs: int) -> Figures:
    """Return the writes by others than the harness, which created each run."""
    events = written.get("events", 0)
    objects = sum(count for name, count in written.items() if name.startswith("agentruns")) - runs
    return {"writes_per_run": round(objects / runs, 3), "events_per_run": round(events / runs, 3)}


async def temporal_calls(operator: Operator) -> Counter[str]:
    return await witnesses.operator_counters(operator.port, "durafleet_temporal_requests_total", "method")
