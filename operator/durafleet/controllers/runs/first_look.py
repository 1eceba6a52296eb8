"""Lists of new AgentRuns before and during the initial lists of the watches, so that new runs start without delay.

The initial list of a watch returns all objects of a kind, ordered by name, and 10,000 old AgentRuns take a while. But
the API server can select the few AgentRuns without a state, which wait for their start. If an AgentWorker has a
concurrency limit, its runs that hold a slot or are queued have to be known before one of them is started.

The initial list takes seconds, and an AgentRun that is created meanwhile would come after all others. So new runs are
listed again and again until the watches have delivered their initial lists.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from durafleet.api.lifecycle import TERMINAL
from durafleet.controllers.runs.controller import RunController
from durafleet.controllers.world import World
from durafleet.core.leading.sharding import Shard
from durafleet.core.objects import Worker
from durafleet.errors import DurafleetError
from durafleet.kube.client import KubeClient
from durafleet.kube.listing import list_all
from durafleet.kube.resources import CONNECTIONS, RUNS, WORKERS

logger = logging.getLogger(__name__)

LIST_INTERVAL = 1.0
"""Seconds between lists of new runs while the watches deliver their initial lists."""
LONG_LIST = 100
"""AgentRuns from the initial list within one interval that make another list of new runs worthwhile."""
IDLE_CHECKS = 10
"""Consecutive intervals with fewer AgentRuns, after which the initial lists are considered complete."""
WITHOUT_STATE = "status.state="
UNFINISHED = ",".join(f"status.state!={state}" for state in sorted(TERMINAL))


async def list_before_watches(world: World, runs: RunController, *, namespaces: Sequence[str], shard: Shard) -> None:
    """Store the connections and the workers, then the new AgentRuns. If this fails, the watches deliver them later."""
    await _for_each_namespace(lambda namespace: _list_kinds(world, runs, namespace, shard), namespaces)


async def relist_new_runs(runs: RunController, kube: KubeClient, *, namespaces: Sequence[str], shard: Shard) -> None:
    """List the new runs again and again, while the watches deliver a long initial list."""
    listed, idle = runs.sightings.listed, 0
    while idle < IDLE_CHECKS:
        await asyncio.sleep(LIST_INTERVAL)
        before, listed = listed, runs.sightings.listed
        if listed - before < LONG_LIST:
            idle += 1
            continue
        idle = 0
        await _for_each_namespace(lambda namespace: _list_new_runs(runs, kube, namespace, shard), namespaces)


async def _for_each_namespace(read: Callable[[str | None], Awaitable[None]], namespaces: Sequence[str]) -> None:
    try:
        for namespace in namespaces or (None,):
            await read(namespace)
    except DurafleetError as error:
        logger.warning("listing the new AgentRuns failed; the watches deliver them later: %s", error)
    except Exception:  # a bug in this optimization must not keep the watches from starting
        logger.exception("listing the new AgentRuns failed unexpectedly; the watches deliver them later")


async def _list_kinds(world: World, runs: RunController, namespace: str | None, shard: Shard) -> None:
    async for body in list_all(world.kube, CONNECTIONS, namespace):
        if _is_ours(body, shard):
            world.connections.put(body)
    async for body in list_all(world.kube, WORKERS, namespace):
        if _is_ours(body, shard):
            world.workers.put(body)
    for worker in world.workers:
        if worker.spec.max_concurrent_runs is not None and namespace in (None, worker.namespace):
            await _list_unfinished_runs(world, runs, worker)
    await _list_new_runs(runs, world.kube, namespace, shard)


async def _list_new_runs(runs: RunController, kube: KubeClient, namespace: str | None, shard: Shard) -> None:
    async for body in list_all(kube, RUNS, namespace, fieldSelector=WITHOUT_STATE):
        if _is_ours(body, shard):
            runs.observe({"type": "ADDED", "object": body})


async def _list_unfinished_runs(world: World, runs: RunController, worker: Worker) -> None:
    selector = f"spec.workerRef.name={worker.name},{UNFINISHED}"
    found = [body async for body in list_all(world.kube, RUNS, worker.namespace, fieldSelector=selector)]
    for body in found:  # without await, so that no reconcile runs before all are known
        runs.observe({"type": None, "object": body})


def _is_ours(body: Mapping[str, Any], shard: Shard) -> bool:
    return shard.holds(body["metadata"]["namespace"])
