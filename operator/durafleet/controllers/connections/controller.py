"""The controller of TemporalConnections: it checks whether they are usable."""

from collections.abc import Mapping
from typing import Any

from durafleet.api.status import Reason
from durafleet.controllers.kind import Watch
from durafleet.controllers.queue.keyed import KeyedQueue
from durafleet.controllers.runs.controller import RunController
from durafleet.controllers.workers.controller import WorkerController
from durafleet.controllers.world import World, verdict_of
from durafleet.core.conditions import Verdict
from durafleet.core.connections.plan import Check, matters_to_others, plan_connection
from durafleet.core.connections.targets import connection_target
from durafleet.core.objects import Connection, Key
from durafleet.core.places import Place, Target
from durafleet.errors import DurafleetError, NotFound
from durafleet.kube.resources import CONNECTIONS, write_status


class ConnectionController:
    """Checks connections, and enqueues the AgentWorkers and AgentRuns that wait for them."""

    def __init__(self, world: World, workers: WorkerController, runs: RunController) -> None:
        self._world = world
        self._workers = workers
        self._runs = runs
        self.queue: KeyedQueue[Key] = KeyedQueue("temporalconnections", self.reconcile, concurrency=4)
        runs.tracker.paced = self.wake
        world.connections.changed = self._changed

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(CONNECTIONS, self.observe),)

    def observe(self, event: Mapping[str, Any]) -> None:
        """Store the connection of a watch event, and enqueue its key."""
        self.queue.mark(self._world.connections.observe(event))

    def wake(self, place: Place) -> None:
        """Enqueue the connections to a Temporal namespace."""
        for connection in self._world.connections:
            if connection_target(connection).place == place:
                self.queue.mark(connection.key)

    async def reconcile(self, key: Key) -> float | None:
        """Check one connection; return after how many seconds to check it again."""
        connection = self._world.connections.get(key)
        if connection is None:
            self.queue.forget(key)
            return None
        check = await self._check(connection_target(connection))
        plan = plan_connection(connection, check, now=self._world.now())
        if plan.status is not None and plan.status != connection.status:
            try:
                body = await write_status(
                    self._world.kube, CONNECTIONS, connection, plan.status.wire(), connection.status.wire()
                )
            except NotFound:
                return None
            self._world.connections.put(body)
        return plan.requeue

    def _changed(self, before: Connection | None, after: Connection | None) -> None:
        """Enqueue the AgentWorkers and AgentRuns of the namespace, if the change matters to them."""
        connection = after or before
        if connection is not None and matters_to_others(before, after):
            self._workers.wake(tenant=connection.namespace)
            self._runs.wake(tenant=connection.namespace)

    async def _check(self, target: Target) -> Check:
        try:
            link = await self._world.pool.link(target)
            await link.prepare()
        except DurafleetError as error:
            return Check(verdict_of(error, target))
        if (slowed := self._runs.tracker.slowed(target.place)) is not None:
            return Check(slowed, link.server_version)
        version = f" {link.server_version}" if link.server_version else ""
        message = f"Temporal{version} at {target.address} serves namespace {target.namespace!r}."
        if link.advice is not None:
            message += f" {link.advice}"
        return Check(Verdict(Reason.REACHABLE, message), link.server_version)
