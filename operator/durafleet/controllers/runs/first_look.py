"""The look around before the watches: what waits for its start is found before what has long been started.

A watch lists all objects of a kind, in the order of their names, and 10,000 old AgentRuns take a while. The API
server can tell those apart that have no state yet: they are few, and somebody waits for them. Where an AgentWorker
bounds its open runs, those that hold a place or stand in line have to be known before any of them is started.

A list of all takes seconds, and what is created meanwhile would come after its last. So the look is repeated until
the watches are through.
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

EVERY = 1.0
"""Seconds between looks while the watches list what was there."""
MANY = 100
"""AgentRuns that a watch has listed since the look before; with fewer, it is through in no time."""
THROUGH = 10
"""Looks in a row that were not needed; then the watches have listed everything."""
WITHOUT_STATE = "status.state="
UNFINISHED = ",".join(f"status.state!={state}" for state in sorted(TERMINAL))


async def look_first(world: World, runs: RunController, *, namespaces: Sequence[str], shard: Shard) -> None:
    """Take in connections, workers, and then the AgentRuns that are new. What fails here, the watches make good."""
    await _try(lambda namespace: _look(world, runs, namespace, shard), namespaces)


async def look_on(runs: RunController, kube: KubeClient, *, namespaces: Sequence[str], shard: Shard) -> None:
    """Look for new runs again and again, as long as the watches have a long list to go through."""
    listed, idle = runs.sightings.listed, 0
    while idle < THROUGH:
        await asyncio.sleep(EVERY)
        before, listed = listed, runs.sightings.listed
        if listed - before < MANY:
            idle += 1
            continue
        idle = 0
        await _try(lambda namespace: _look_for_new(runs, kube, namespace, shard), namespaces)


async def _try(look: Callable[[str | None], Awaitable[None]], namespaces: Sequence[str]) -> None:
    try:
        for namespace in namespaces or (None,):
            await look(namespace)
    except DurafleetError as error:
        logger.warning("listing the new AgentRuns failed; the watches deliver them later: %s", error)
    except Exception:  # nor must a bug in what only makes haste keep the watches from beginning
        logger.exception("listing the new AgentRuns failed unexpectedly; the watches deliver them later")


async def _look(world: World, runs: RunController, namespace: str | None, shard: Shard) -> None:
    async for body in list_all(world.kube, CONNECTIONS, namespace):
        if _is_ours(body, shard):
            world.connections.put(body)
    async for body in list_all(world.kube, WORKERS, namespace):
        if _is_ours(body, shard):
            world.workers.put(body)
    for worker in world.workers:
        if worker.spec.max_concurrent_runs is not None and namespace in (None, worker.namespace):
            await _look_at_line(world, runs, worker)
    await _look_for_new(runs, world.kube, namespace, shard)


async def _look_for_new(runs: RunController, kube: KubeClient, namespace: str | None, shard: Shard) -> None:
    async for body in list_all(kube, RUNS, namespace, fieldSelector=WITHOUT_STATE):
        if _is_ours(body, shard):
            runs.observe({"type": "ADDED", "object": body})


async def _look_at_line(world: World, runs: RunController, worker: Worker) -> None:
    selector = f"spec.workerRef.name={worker.name},{UNFINISHED}"
    found = [body async for body in list_all(world.kube, RUNS, worker.namespace, fieldSelector=selector)]
    for body in found:  # all of them at once: no visit can come between the first and the last
        runs.observe({"type": None, "object": body})


def _is_ours(body: Mapping[str, Any], shard: Shard) -> bool:
    return shard.holds(body["metadata"]["namespace"])
