"""Tasks that live together: the end of one is noticed, and none outlives the others."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def running(*parts: Coroutine[Any, Any, Any]) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Run parts beside each other as long as the context lives."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def first_of(work: Coroutine[Any, Any, None], *others: asyncio.Task[Any]) -> None:
    """Await work until one of the others ends; raises what ended either."""
    async with running(work) as (task,):
        done, _ = await asyncio.wait([task, *others], return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
