"""The load under which a published rival fell over: 51 namespaces, 100 runs in each, all at once, little memory.

Its issue tracker tells of an operator of the default size that was killed for memory again and again, with 22 %
of 5,000 runs done. Here the operator's process has that much memory (a cgroup), and is started again when the
kernel kills it, as a kubelet would.
"""

import asyncio
import time

from bench import load, witnesses
from bench.ground import Ground
from bench.measures import Figures, stage
from bench.processes import rss_mib

NAMESPACES = 51
RUNS_EACH = 100


async def many_tenants(
    ground: Ground, *, memory_mib: int, patience: float, namespaces: int = NAMESPACES, each: int = RUNS_EACH
) -> Figures:
    """Create all runs at once, and wait until all have ended or the patience (seconds) is over."""
    async with stage(ground, namespaces=namespaces, memory_mib=memory_mib) as (names, operator, seen):
        keys = [key for group in zip(*(load.keys_of(name, each) for name in names), strict=True) for key in group]
        began = time.monotonic()
        creating = asyncio.create_task(load.burst(ground, seen, keys))
        done = await seen.until_ended(keys, within=patience, idle=operator.keep_alive)
        await creating
        verdict = await witnesses.judge(ground, seen, keys)
        return {
            **verdict.summary(),
            "memory_limit_mib": memory_mib,
            "runs": len(keys),
            "completed_percent": round(done * 100 / len(keys), 1),
            "runs_per_s": round(done / (verdict.seconds if done == len(keys) else time.monotonic() - began), 1),
            "restarts": operator.restarts,
            "peak_rss_mib": round(rss_mib(operator.pid, peak=True), 1),
        }
