"""The load: AgentRuns created on schedule regardless of earlier ones, and a watch that observes their ends."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.environment import FLEET, Environment
from durafleet.kube.resources import RUNS

Key = tuple[str, str]
IN_FLIGHT = 16
"""Concurrent creates in a burst; the same number as in the measurements of comparable projects."""
_ALL_RUNS = f"/apis/{RUNS.api_version}/{RUNS.plural}"


@dataclass
class Seen:
    """What a client saw of its AgentRuns.

    Attributes:
        created: when each create was sent (Unix time, seconds).
        running: when a status with a workflow was first seen.
        ended: when a terminal status was first seen.
        states: the terminal state of each.
    """

    created: dict[Key, float] = field(default_factory=dict)
    running: dict[Key, float] = field(default_factory=dict)
    ended: dict[Key, float] = field(default_factory=dict)
    states: dict[Key, str] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, body: Mapping[str, Any], now: float) -> None:
        """Record one object from the watch."""
        status = body.get("status", {})
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        if "workflow" in status:
            self.running.setdefault(key, now)
        if "completionTime" in status and key not in self.ended:
            self.ended[key] = now
            self.states[key] = status["state"]
            self.changed.set()

    async def until_ended(self, keys: Iterable[Key], *, within: float, idle: Callable[[], None] = lambda: None) -> int:
        """Wait until these runs have ended or the time is over; return how many have ended.

        Args:
            keys: of AgentRuns.
            within: seconds.
            idle: called about once a second while waiting.
        """
        wanted = list(keys)
        deadline = time.monotonic() + within
        while (missing := sum(key not in self.ended for key in wanted)) and time.monotonic() < deadline:
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), 1.0)
                await asyncio.sleep(0.02)  # count once for many changes
            idle()
        return len(wanted) - missing


@asynccontextmanager
async def watching(environment: Environment) -> AsyncIterator[Seen]:
    """Watch the AgentRuns of all namespaces until the context ends."""
    seen = Seen()
    task = asyncio.create_task(_watch(environment, seen))
    try:
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(environment: Environment, seen: Seen) -> None:
    async with environment.kube.session.get(_ALL_RUNS, params={"limit": "1"}) as answer:
        version = json.loads(await answer.read())["metadata"]["resourceVersion"]
    while True:
        query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        async with environment.kube.session.get(_ALL_RUNS, params=query) as stream:
            async for line in stream.content:
                now = time.time()
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the harness's own watch failed: {event['object']}")
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    seen.take(event["object"], now)


async def create(environment: Environment, seen: Seen, key: Key, *, workflow: str = "Nothing") -> None:
    """Create one AgentRun."""
    namespace, name = key
    spec = {"workerRef": {"name": FLEET}, "workflowType": workflow}
    seen.created[key] = time.time()
    await environment.kube.create(RUNS, {"metadata": {"name": name, "namespace": namespace}, "spec": spec})


async def burst(environment: Environment, seen: Seen, keys: Iterable[Key], *, workflow: str = "Nothing") -> None:
    """Create AgentRuns as fast as `IN_FLIGHT` concurrent requests allow."""
    waiting: Iterator[Key] = iter(list(keys))

    async def work_through() -> None:
        for key in waiting:
            await create(environment, seen, key, workflow=workflow)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work_through())


async def poisson(environment: Environment, seen: Seen, keys: Iterable[Key], *, rate: float) -> None:
    """Create AgentRuns at random times, `rate` per second on average. Open loop: no create waits for an earlier one."""
    chance = random.Random(1)  # noqa: S311 - the same arrivals in every repeat
    due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for key in keys:
            due += chance.expovariate(rate)
            await asyncio.sleep(max(due - time.monotonic(), 0))
            group.create_task(create(environment, seen, key))


def keys_of(namespace: str, count: int, *, prefix: str = "run") -> list[Key]:
    return [(namespace, f"{prefix}-{number}") for number in range(count)]
