"""Kopf's registrations: one line into a controller each. Kopf is the watch engine and nothing more.

Only `on.event`: no annotations, no finalizers of Kopf's, no progress in the objects. Order, retries
and coalescing are the queue's.
"""

from typing import Any, Protocol

import kopf

from durafleet.api.model import GROUP, VERSION
from durafleet.config import Settings
from durafleet.controllers.connections.controller import ConnectionController
from durafleet.controllers.runs.controller import RunController
from durafleet.controllers.runs.first_look import look_first
from durafleet.controllers.workers.controller import WorkerController
from durafleet.controllers.world import World
from durafleet.core.leading.sharding import Shard
from durafleet.core.workers.deployment import WORKER_LABEL
from durafleet.kube.watching import Sessions
from durafleet.stateless import NoLastState, NoProgress


class Controllers(Protocol):
    """What the handlers reach through Kopf's memo."""

    settings: Settings
    world: World
    runs: RunController
    workers: WorkerController
    connections: ConnectionController


def registry(shard: Shard) -> kopf.OperatorRegistry:
    """Return the registry of all handlers; what is not of the shard does not exist for them."""
    handlers = kopf.OperatorRegistry()
    sessions = Sessions()

    @kopf.on.startup(registry=handlers)
    async def look_around(memo: Controllers, **_: Any) -> None:
        await look_first(memo.world, memo.runs, namespaces=memo.settings.watch_namespaces, shard=shard)

    def ours(*_: Any, namespace: str | None, **__: Any) -> bool:
        return namespace is not None and shard.holds(namespace)

    @kopf.on.event(GROUP, VERSION, "agentruns", when=ours, registry=handlers)
    async def observe_run(event: kopf.RawEvent, memo: Controllers, **_: Any) -> None:
        memo.runs.observe(event)

    @kopf.on.event(GROUP, VERSION, "agentworkers", when=ours, registry=handlers)
    async def observe_worker(event: kopf.RawEvent, memo: Controllers, **_: Any) -> None:
        memo.workers.observe(event)

    @kopf.on.event(GROUP, VERSION, "temporalconnections", when=ours, registry=handlers)
    async def observe_connection(event: kopf.RawEvent, memo: Controllers, **_: Any) -> None:
        memo.connections.observe(event)

    @kopf.on.event("apps", "v1", "deployments", labels={WORKER_LABEL: kopf.PRESENT}, when=ours, registry=handlers)
    async def observe_deployment(event: kopf.RawEvent, memo: Controllers, **_: Any) -> None:
        memo.workers.observe_deployment(event)

    @kopf.on.login(registry=handlers)
    async def log_in(**kwargs: Any) -> kopf.AiohttpSession | None:
        found = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
        return sessions.of(found) if found is not None else None

    return handlers


def settings() -> kopf.OperatorSettings:
    """Return Kopf's settings; the reason of each stands beside it."""
    result = kopf.OperatorSettings()
    result.posting.enabled = False  # Events are ours, and few
    result.persistence.diffbase_storage, result.persistence.progress_storage = NoLastState(), NoProgress()
    result.peering.standalone = True  # leadership is not Kopf's affair
    result.scanning.disabled = True  # CRDs are installed before the operator; saves a watch and a permission
    result.queueing.idle_timeout = 0.5  # a task and a queue per object live that long after an event
    result.watching.chunk_size = 500  # lists come in pages
    result.watching.label_selectors["deployments"] = WORKER_LABEL
    result.networking.connect_timeout = 10
    result.networking.request_timeout = 30
    result.networking.error_backoffs = [1, 1, 2, 3, 5, 8, 13, 21, 30, 30, 30, 60, 60, 60, 60, 60]
    result.process.ultimate_exiting_timeout = 30
    return result
