"""Groups of tasks: the end of one task is noticed, and no task outlives its group."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def running(*parts: Coroutine[Any, Any, Any]) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Run coroutines concurrently until the context exits."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def first_of(work: Coroutine[Any, Any, None], *others: asyncio.Task[Any]) -> None:
    """Await work until it or one of the others ends; raise the error of a task that failed."""
    async with running(work) as (task,):
        done, _ = await asyncio.wait([task, *others], return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
