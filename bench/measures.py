"""One function per measurement. Each starts a new operator, uses its own namespaces and returns figures."""

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

from bench import load, server_records
from bench.environment import Environment
from bench.load import Seen
from bench.processes import PYTHON, Operator, Usage, rss_mib

Figures = dict[str, Any]
SETTLE = 5.0
"""Seconds after the last terminal status during which writes still count."""


@asynccontextmanager
async def setup(
    environment: Environment, *, namespaces: int = 1, memory_mib: int | None = None
) -> AsyncIterator[tuple[list[str], Operator, Seen]]:
    """Create namespaces with a fleet each, an operator that watches all, and a client that watches the runs."""
    names = [f"b-{uuid.uuid4().hex[:8]}" for _ in range(namespaces)]
    await environment.fleets(names)
    operator = environment.operator(memory_mib=memory_mib)
    with operator.running():
        await until_ready(operator)
        async with load.watching(environment) as seen:
            await warm_up(environment, seen, names[0])
            yield names, operator, seen
            await environment.clear(names)


async def until_ready(operator: Operator, *, within: float = 60) -> None:
    """Wait until the operator reports that it is ready.

    Raises:
        RuntimeError: it is not ready in time.
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


async def warm_up(environment: Environment, seen: Seen, namespace: str) -> None:
    """Complete a few runs before the measurement: they open connections and fill caches."""
    keys = load.keys_of(namespace, 20, prefix="warm-up")
    await load.burst(environment, seen, keys)
    if await seen.until_ended(keys, within=60) < len(keys):
        raise RuntimeError("the runs of the warm-up did not end; see the operator's log")


async def floor(environment: Environment, *, runs: int, in_flight: int) -> Figures:
    """Run the floor script in its own process."""
    namespace = f"f-{uuid.uuid4().hex[:8]}"
    await environment.fleets([namespace])
    options = {"--temporal": environment.cluster.temporal.address, "--namespace": namespace,
               "--runs": str(runs), "--in-flight": str(in_flight)}  # fmt: skip
    arguments = [part for pair in options.items() for part in pair]
    usage = Usage(environment.pids())
    process = await asyncio.create_subprocess_exec(
        PYTHON, "-m", "bench.floor", *arguments,
        env={**os.environ, "KUBECONFIG": str(environment.cluster.kubeconfig)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the floor script failed with exit code {process.returncode}")
    figures = {**json.loads(out), "in_flight": in_flight, "cpu_ms_per_run": per_run(usage.cpu(), runs)}
    await environment.clear([namespace])
    return figures


async def harness(environment: Environment, *, runs: int) -> Figures:
    """Create runs without an operator, to measure the capacity and the cost of the harness."""
    namespace = f"h-{uuid.uuid4().hex[:8]}"
    await environment.fleets([namespace])
    async with load.watching(environment) as seen:
        usage = Usage(environment.pids())
        await load.burst(environment, seen, load.keys_of(namespace, runs))
        figures = {"creates_per_s": round(runs / usage.seconds, 1), "cpu_ms_per_run": per_run(usage.cpu(), runs)}
    await environment.clear([namespace])  # otherwise the next operator starts them all
    return figures


async def burst(environment: Environment, *, runs: int) -> Figures:
    """Create runs as fast as the API server accepts them, all in one namespace."""
    async with setup(environment) as (names, operator, seen):
        keys = load.keys_of(names[0], runs)
        usage = Usage({**environment.pids(), "operator": operator.pid})
        writes, calls = await server_records.api_writes(environment), await temporal_calls(operator)
        await load.burst(environment, seen, keys)
        await seen.until_ended(keys, within=600)
        cpu = usage.cpu()
        await asyncio.sleep(SETTLE)
        written = await server_records.api_writes(environment) - writes
        called = await temporal_calls(operator) - calls
        outcome = await server_records.evaluate(environment, seen, keys)
        return {
            **outcome.summary(),
            **_writes_per_run(written, runs),
            "runs_per_s": runs / outcome.seconds,
            "cpu_ms_per_run": per_run(cpu, runs),
            "operator_cpu_with_settling_ms_per_run": usage.cpu()["operator"] * 1000 / runs,
            "temporal_rpc_per_run": {name: round(count / runs, 2) for name, count in called.items()},
            "rss_mib": rss_mib(operator.pid),
            "peak_rss_mib": rss_mib(operator.pid, peak=True),
        }


async def arrivals(environment: Environment, *, rate: float, seconds: float) -> Figures:
    """Create runs at random times, `rate` per second on average, regardless of earlier runs (open loop)."""
    runs = int(rate * seconds)
    async with setup(environment) as (names, operator, seen):
        keys = load.keys_of(names[0], runs)
        usage = Usage({**environment.pids(), "operator": operator.pid})
        writes = await server_records.api_writes(environment)
        await load.poisson(environment, seen, keys, rate=rate)
        behind = sum(key not in seen.ended for key in keys)
        await seen.until_ended(keys, within=300)
        cpu = usage.cpu()
        await asyncio.sleep(SETTLE)
        outcome = await server_records.evaluate(environment, seen, keys)
        return {
            **outcome.summary(),
            **_writes_per_run(await server_records.api_writes(environment) - writes, runs),
            "rate": rate,
            "unfinished_at_the_last_arrival": behind,
            "cpu_ms_per_run": per_run(cpu, runs),
            "rss_mib": rss_mib(operator.pid),
        }


async def other_tenant(environment: Environment, *, runs: int) -> Figures:
    """Create many runs at once in one namespace, and one run per second in another until the first ones have ended."""
    async with setup(environment, namespaces=2) as (names, _, seen):
        crowd, singles = load.keys_of(names[0], runs), list[load.Key]()
        creating = asyncio.create_task(load.burst(environment, seen, crowd))
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and not all(key in seen.ended for key in crowd):
            singles.append((names[1], f"single-{len(singles)}"))
            await load.create(environment, seen, singles[-1])
            await asyncio.sleep(1)
        await creating
        await seen.until_ended(singles, within=60)
        outcome = await server_records.evaluate(environment, seen, singles)
        crowded = (await server_records.evaluate(environment, seen, crowd)).summary()
        return {
            **outcome.summary(),
            "runs": runs,
            "singles": len(singles),
            "start_most_ms": round(max(outcome.start_ms), 2),
            "crowd": crowded,
        }


async def idle(environment: Environment, *, open_runs: int, seconds: float) -> Figures:
    """Measure an idle operator with a few open runs. It is restarted first, so that it has no long-polls for them."""
    async with setup(environment) as (names, operator, seen):
        keys = load.keys_of(names[0], open_runs)
        await load.burst(environment, seen, keys, workflow="Forever")
        while not all(key in seen.running for key in keys):  # noqa: ASYNC110 - a client that watches
            await asyncio.sleep(0.1)
        operator.kill()
        operator.start()
        await until_ready(operator)
        await asyncio.sleep(SETTLE)
        return {"open": open_runs, **await while_idle(environment, operator, seconds=seconds)}


async def while_idle(environment: Environment, operator: Operator, *, seconds: float) -> Figures:
    """Measure the operator while nothing happens."""
    usage = Usage({**environment.pids(), "operator": operator.pid})
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
    """Return CPU milliseconds per run, by process."""
    return {name: round(seconds * 1000 / runs, 2) for name, seconds in cpu.items()}


def _writes_per_run(written: Counter[str], runs: int) -> Figures:
    """Return the writes per run, without the one that created it."""
    events = written.get("events", 0)
    objects = sum(count for name, count in written.items() if name.startswith("agentruns")) - runs
    return {"writes_per_run": round(objects / runs, 3), "events_per_run": round(events / runs, 3)}


async def temporal_calls(operator: Operator) -> Counter[str]:
    return await server_records.operator_counters(operator.port, "durafleet_temporal_requests_total", "method")
