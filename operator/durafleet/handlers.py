"""The handlers and settings for Kopf: one event handler for each watch. Kopf is used only to watch objects.

All handlers are `on.event` handlers: so Kopf adds no annotations, finalizers or progress to the objects. The keyed
queue orders, retries and coalesces the work.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import kopf

from durafleet.controllers.kind import Watch
from durafleet.core.leading.sharding import Shard
from durafleet.kube.watching import Sessions
from durafleet.stateless import NoLastState, NoProgress


def registry(watches: Sequence[Watch], shard: Shard, *, first: Callable[[], Awaitable[None]]) -> kopf.OperatorRegistry:
    """Return the registry of all handlers.

    Args:
        watches: the resources to watch, and the functions that take their events.
        shard: events of objects in other shards are dropped.
        first: is awaited before the watches begin.
    """
    handlers = kopf.OperatorRegistry()
    sessions = Sessions()

    @kopf.on.startup(registry=handlers)
    async def start(**_: Any) -> None:
        await first()

    @kopf.on.login(registry=handlers)
    async def log_in(**kwargs: Any) -> kopf.AiohttpSession | None:
        found = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
        return sessions.of(found) if found is not None else None

    for watch in watches:
        _register(watch, shard, handlers)
    return handlers


def _register(watch: Watch, shard: Shard, handlers: kopf.OperatorRegistry) -> None:
    resource = watch.resource
    group, _, version = resource.api_version.rpartition("/")  # no group: the core API

    def ours(*_: Any, namespace: str | None, **__: Any) -> bool:
        return namespace is not None and shard.holds(namespace)

    @kopf.on.event(
        group,
        version,
        resource.plural,
        id=f"observe-{resource.plural}",
        labels={watch.label: kopf.PRESENT} if watch.label is not None else None,
        when=ours,
        registry=handlers,
    )
    async def observe(event: kopf.RawEvent, **_: Any) -> None:
        watch.observe(event)


def settings(watches: Sequence[Watch]) -> kopf.OperatorSettings:
    """Return the settings for Kopf, with a comment on each."""
    result = kopf.OperatorSettings()
    result.posting.enabled = False  # the operator posts its own Events, and few of them
    result.persistence.diffbase_storage, result.persistence.progress_storage = NoLastState(), NoProgress()
    result.peering.standalone = True  # leader election uses a Lease, not Kopf's peering
    result.scanning.disabled = True  # CRDs are installed before the operator; saves a watch and a permission
    result.queueing.idle_timeout = 0.5  # Kopf keeps a task and a queue for each object this long after an event
    result.watching.chunk_size = 500  # page size of lists
    for watch in watches:
        if watch.label is not None:
            result.watching.label_selectors[watch.resource.plural] = watch.label
    result.networking.connect_timeout = 10
    result.networking.request_timeout = 30
    result.networking.error_backoffs = [1, 1, 2, 3, 5, 8, 13, 21, 30, 30, 30, 60, 60, 60, 60, 60]
    result.process.ultimate_exiting_timeout = 30
    return result
