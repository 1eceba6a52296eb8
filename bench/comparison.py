"""A load that a comparable project did not survive: 51 namespaces with 100 runs each, all at once, in little memory.

Its issue tracker reports an operator of the default size that was OOM-killed repeatedly, with 22 % of 5,000 runs
completed. Here a cgroup limits the memory of the operator's process, and the benchmark restarts the process when
the kernel kills it, as a kubelet does.
"""

import asyncio
import time

from bench import load, server_records
from bench.environment import Environment
from bench.measures import Figures, setup
from bench.processes import rss_mib

NAMESPACES = 51
RUNS_EACH = 100


async def many_tenants(
    environment: Environment, *, memory_mib: int, deadline: float, namespaces: int = NAMESPACES, each: int = RUNS_EACH
) -> Figures:
    """Create all runs at once, and wait until all have ended or the deadline (seconds) is over."""
    async with setup(environment, namespaces=namespaces, memory_mib=memory_mib) as (names, operator, seen):
        keys = [key for group in zip(*(load.keys_of(name, each) for name in names), strict=True) for key in group]
        began = time.monotonic()
        creating = asyncio.create_task(load.burst(environment, seen, keys))
        done = await seen.until_ended(keys, within=deadline, idle=operator.keep_alive)
        await creating
        outcome = await server_records.evaluate(environment, seen, keys)
        return {
            **outcome.summary(),
            "memory_limit_mib": memory_mib,
            "runs": len(keys),
            "completed_percent": round(done * 100 / len(keys), 1),
            "runs_per_s": round(done / (outcome.seconds if done == len(keys) else time.monotonic() - began), 1),
            "restarts": operator.restarts,
            "peak_rss_mib": round(rss_mib(operator.pid, peak=True), 1),
        }
