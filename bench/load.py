"""The load: AgentRuns created on time whatever becomes of the earlier ones, and a watch that sees them end."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.ground import FLEET, Ground
from durafleet.kube.resources import RUNS

Key = tuple[str, str]
IN_FLIGHT = 16
"""Creates under way at the same time in a burst; that of the peers' measurements."""
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
        """Note one object as a watch brought it."""
        status = body.get("status", {})
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        if "workflow" in status:
            self.running.setdefault(key, now)
        if "completionTime" in status and key not in self.ended:
            self.ended[key] = now
            self.states[key] = status["state"]
            self.changed.set()

    async def until_ended(self, keys: Iterable[Key], *, within: float, idle: Callable[[], None] = lambda: None) -> int:
        """Wait until these have ended, or the time is up; return how many have.

        Args:
            keys: of AgentRuns.
            within: seconds.
            idle: is called about once a second.
        """
        wanted = list(keys)
        deadline = time.monotonic() + within
        while (missing := sum(key not in self.ended for key in wanted)) and time.monotonic() < deadline:
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), 1.0)
                await asyncio.sleep(0.02)  # one count for many changes
            idle()
        return len(wanted) - missing


@asynccontextmanager
async def watching(ground: Ground) -> AsyncIterator[Seen]:
    """Watch the AgentRuns of all namespaces as long as the context lives."""
    seen = Seen()
    task = asyncio.create_task(_watch(ground, seen))
    try:
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(ground: Ground, seen: Seen) -> None:
    async with ground.kube.session.get(_ALL_RUNS, params={"limit": "1"}) as answer:
        version = json.loads(await answer.read())["metadata"]["resourceVersion"]
    while True:
        query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        async with ground.kube.session.get(_ALL_RUNS, params=query) as stream:
            async for line in stream.content:
                now = time.time()
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the harness's own watch broke: {event['object']}")
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    seen.take(event["object"], now)


async def create(ground: Ground, seen: Seen, key: Key, *, workflow: str = "Nothing") -> None:
    """Create one AgentRun."""
    namespace, name = key
    spec = {"workerRef": {"name": FLEET}, "workflowType": workflow}
    seen.created[key] = time.time()
    await ground.kube.create(RUNS, {"metadata": {"name": name, "namespace": namespace}, "spec": spec})


async def burst(ground: Ground, seen: Seen, keys: Iterable[Key], *, workflow: str = "Nothing") -> None:
    """Create AgentRuns as fast as `IN_FLIGHT` requests at a time can."""
    waiting: Iterator[Key] = iter(list(keys))

    async def one_after_the_other() -> None:
        for key in waiting:
            await create(ground, seen, key, workflow=workflow)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(one_after_the_other())


async def poisson(ground: Ground, seen: Seen, keys: Iterable[Key], *, rate: float) -> None:
    """Create AgentRuns at random times, `rate` a second in the mean: open loop, nothing waits for an answer."""
    chance = random.Random(1)  # noqa: S311 - the same arrivals in every repeat
    due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for key in keys:
            due += chance.expovariate(rate)
            await asyncio.sleep(max(due - time.monotonic(), 0))
            group.create_task(create(ground, seen, key))


def keys_of(namespace: str, count: int, *, prefix: str = "run") -> list[Key]:
    return [(namespace, f"{prefix}-{number}") for number in range(count)]
