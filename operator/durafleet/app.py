"""The application: create the parts of the operator, connect them, run them and stop them."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Coroutine
from typing import Any, cast
from uuid import uuid4

import kopf

from durafleet import handlers
from durafleet.api.model import API_VERSION
from durafleet.callbacks import CallbackReceiver
from durafleet.config import Settings
from durafleet.controllers.connections.controller import ConnectionController
from durafleet.controllers.kind import Controller
from durafleet.controllers.leading.leadership import LEADER, Leadership
from durafleet.controllers.runs.controller import RunController
from durafleet.controllers.runs.first_look import list_before_watches, relist_new_runs
from durafleet.controllers.store import Store
from durafleet.controllers.workers.controller import WorkerController
from durafleet.controllers.world import World
from durafleet.core.connections.targets import DefaultConnection
from durafleet.core.objects import read_connection, read_worker
from durafleet.core.runs.controls import OPERATOR_IDENTITY
from durafleet.core.workers.deployment import WorkerDefaults
from durafleet.errors import DurafleetError, NotFound
from durafleet.fence import FENCE, now
from durafleet.health import Health
from durafleet.kube.client import KubeClient
from durafleet.kube.lease import Lease
from durafleet.tasks import first_of, running
from durafleet.temporal.connections import Pool

logger = logging.getLogger(__name__)


class App:
    """The parts of the operator.

    Attributes:
        controllers: one for each kind; they determine the watches and the queues.
    """

    def __init__(self, settings: Settings, kube: KubeClient, *, election: KubeClient) -> None:
        self.settings = settings
        self.world = World(
            kube=kube,
            pool=Pool(identity=f"{OPERATOR_IDENTITY}@{process_name()}", callbacks=settings.callbacks),
            workers=Store(read_worker),
            connections=Store(read_connection),
            default_connection=DefaultConnection(settings.temporal_address, settings.temporal_namespace),
        )
        self.runs = RunController(self.world, concurrency=settings.concurrency)
        workers = WorkerController(self.world, self.runs, defaults=_worker_defaults(settings))
        connections = ConnectionController(self.world, workers, self.runs)
        self.controllers: tuple[Controller, ...] = (self.runs, workers, connections)
        self.watches = [watch for controller in self.controllers for watch in controller.watches]
        self.leadership = _leadership(settings, election)
        self.watching = asyncio.Event()
        self.stopping = asyncio.Event()

    def readiness(self) -> tuple[bool, str]:
        """Return whether the operator is ready, as the leader or as a standby, and a message about its state."""
        if self.leadership is not None and not self.leadership.leads:
            return self.leadership.standing
        if not self.watching.is_set():
            return False, "the watches are not running yet"
        return True, "ok" if self.leadership is None else "ok: this operator leads"

    def details(self) -> list[str]:
        """Return messages about degraded functions that do not make the operator unready."""
        return [*self.runs.tracker.details(), *self.world.pool.callback_refusals()]

    async def run(self) -> None:
        """Run until stopped. With leader election, wait as a standby until this operator is the leader.

        Raises:
            DurafleetError: the CRDs are missing, or the API server refuses the operator.
            ExceptionGroup: a part failed; the process must exit and be restarted.
        """
        health = Health(
            host=self.settings.http_host,
            port=self.settings.http_port,
            ready=self.readiness,
            details=self.details,
        )
        async with running(health.run(), self.stopping.wait()) as (serving, stopped):
            if self.leadership is None:
                await self._act([serving], stopped)
                return
            await first_of(self.leadership.acquire(), stopped, serving)
            if self.leadership.leads:
                async with running(self.leadership.keep()) as (keeping,):
                    await self._act([serving, keeping], stopped)
            await self.leadership.release()

    async def _act(self, others: list[asyncio.Task[None]], stopped: asyncio.Task[Any]) -> None:
        queues = [controller.queue.run() for controller in self.controllers]
        async with running(*queues, *self._receiving()) as tasks:
            await self._until_stopped([*others, *tasks], stopped)

    def _receiving(self) -> list[Coroutine[Any, Any, None]]:
        if (address := self.settings.callbacks) is None:
            return []
        receiver = CallbackReceiver(
            address,
            knows=self.watching.is_set,
            look=self.runs.take_hint,
        )
        return [receiver.run(host=self.settings.http_host, port=self.settings.callback_port)]

    async def _until_stopped(self, background: list[asyncio.Task[None]], stopped: asyncio.Task[Any]) -> None:
        await first_of(self._await_crds(), stopped, *background)
        if self.stopping.is_set():
            return
        watch = asyncio.create_task(self._watch())
        self.watching.set()
        logger.info("watching %s", self._scope())
        done, _ = await asyncio.wait([watch, stopped, *background], return_when=asyncio.FIRST_COMPLETED)
        self.watching.clear()
        if self.stopping.is_set():
            await self.world.events.drain()
            if self.leadership is not None:
                await self.leadership.hold_still()
            watch.cancel()  # at once: with its stop flag, Kopf would wait 5 s for our sweeps to end
            await asyncio.wait([watch])
            return
        for task in done:
            task.result()
        raise DurafleetError("the watch ended unexpectedly")

    def _scope(self) -> str:
        names = ", ".join(self.settings.watch_namespaces) or "all namespaces"
        return names if self.settings.shard.count == 1 else f"shard {self.settings.shard} of {names}"

    async def _watch(self) -> None:
        """Run Kopf until one of its tasks ends, or until cancelled.

        This does not use Kopf's own function to run: it waits until each of its tasks has reacted to the cancellation,
        and after a refused watch (410) another one may not. The process would continue without watching anything.
        """
        tasks = await kopf.spawn_tasks(
            registry=handlers.registry(self.watches, self.settings.shard, first=self._look_first),
            settings=handlers.settings(self.watches),
            clusterwide=not self.settings.watch_namespaces,
            namespaces=self.settings.watch_namespaces,
            stop_flag=self.stopping,
            standalone=True,
            identity=cast("Any", "durafleet"),  # otherwise Kopf looks up the user name, which is missing in a pod
        )
        stop_on_signals(self.stopping)  # Kopf has installed its own signal handlers, which do not set our event
        scope = self.settings.watch_namespaces
        listing = relist_new_runs(self.runs, self.world.kube, namespaces=scope, shard=self.settings.shard)
        try:
            async with running(listing):
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for task in done:
            task.result()

    async def _look_first(self) -> None:
        scope = self.settings.watch_namespaces
        await list_before_watches(self.world, self.runs, namespaces=scope, shard=self.settings.shard)

    async def _await_crds(self) -> None:
        """Wait until the API server serves the CRDs: without them, Kopf would watch nothing and report nothing."""
        logged = False
        while missing := await self._missing_crds():
            if not logged:
                names = ", ".join(missing)
                logger.error("the API server does not serve the resources %s; install the chart durafleet-crds", names)
                logged = True
            await asyncio.sleep(2)

    async def _missing_crds(self) -> list[str]:
        wanted = [each.resource.plural for each in self.watches if each.resource.api_version == API_VERSION]
        try:
            answer = await self.world.kube.request("GET", f"/apis/{API_VERSION}")
        except NotFound:
            return wanted
        except DurafleetError as error:
            logger.warning("%s", error)
            return ["(unknown)"]
        served = {resource["name"] for resource in answer.get("resources") or ()}
        return [plural for plural in wanted if plural not in served]


def _worker_defaults(settings: Settings) -> WorkerDefaults:
    return WorkerDefaults(
        image=settings.worker_image,
        image_pull_policy=settings.worker_image_pull_policy,
        image_pull_secrets=settings.worker_image_pull_secrets,
    )


def _leadership(settings: Settings, kube: KubeClient) -> Leadership | None:
    if settings.lease_name is None or settings.lease_namespace is None:
        LEADER.set(1)
        return None
    lease = Lease(kube, settings.lease_namespace, settings.lease_name)
    me = f"{process_name()}_{uuid4().hex[:8]}"  # a restarted container must not use the identity of the previous one
    return Leadership(lease, me=me, fence=FENCE, clock=now)


def process_name() -> str:
    """Return the name that identifies this operator: the name of its pod."""
    return os.environ.get("POD_NAME") or socket.gethostname()


def stop_on_signals(stopping: asyncio.Event) -> None:
    """Set the event on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)


async def main(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT."""
    kube = await KubeClient.connect(name=process_name())
    election = await KubeClient.connect(name=process_name())  # a Lease renewal must not wait for other requests
    try:
        app = App(settings, kube, election=election)
        stop_on_signals(app.stopping)
        await app.run()
    finally:
        await kube.close()
        await election.close()


__all__ = ["App", "main"]
