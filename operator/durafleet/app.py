"""The composition root: wire everything once, run it, stop it."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Coroutine
from typing import Any, Self, cast

import kopf

from durafleet import handlers
from durafleet.config import Settings
from durafleet.controllers.connections import ConnectionController
from durafleet.controllers.runs import RunController
from durafleet.controllers.workers import WorkerController
from durafleet.controllers.world import World
from durafleet.core.controls import OPERATOR_IDENTITY
from durafleet.core.deployment import WorkerDefaults
from durafleet.core.targets import DefaultConnection
from durafleet.errors import DurafleetError, NotFound
from durafleet.health import Health
from durafleet.kube.client import KubeClient
from durafleet.kube.resources import CONNECTIONS, RUNS, WORKERS
from durafleet.temporal.connections import Pool

logger = logging.getLogger(__name__)


class App:
    """The operator's parts; Kopf hands it to the handlers as their memo."""

    def __init__(self, settings: Settings, kube: KubeClient) -> None:
        self.settings = settings
        self.world = World(
            kube=kube,
            pool=Pool(identity=f"{OPERATOR_IDENTITY}@{os.environ.get('POD_NAME') or socket.gethostname()}"),
            default_connection=DefaultConnection(settings.temporal_address, settings.temporal_namespace),
            worker_defaults=WorkerDefaults(
                image=settings.worker_image,
                image_pull_policy=settings.worker_image_pull_policy,
                image_pull_secrets=settings.worker_image_pull_secrets,
            ),
        )
        self.runs = RunController(self.world, concurrency=settings.concurrency)
        self.workers = WorkerController(self.world, self.runs)
        self.connections = ConnectionController(self.world, self.workers, self.runs)
        self.watching = asyncio.Event()
        self.stopping = asyncio.Event()

    def __copy__(self) -> Self:
        """Kopf copies its memo for every object; there is one of us."""
        return self

    def not_ready(self) -> str | None:
        """Say why the operator is not ready, None if it is."""
        return None if self.watching.is_set() else "the watches are not running yet"

    async def run(self) -> None:
        """Run until told to stop.

        Raises:
            DurafleetError: the CRDs are missing, or the API server refuses us.
            ExceptionGroup: a part died; the process must end and be started again.
        """
        health = Health(
            host=self.settings.http_host,
            port=self.settings.http_port,
            ready=self.not_ready,
            details=self.runs.tracker.details,
        )
        background = [
            asyncio.create_task(part)
            for part in (health.run(), self.runs.queue.run(), self.workers.queue.run(), self.connections.queue.run())
        ]
        try:
            await self._until_stopped(background)
        finally:
            for task in background:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*background, return_exceptions=True)

    async def _until_stopped(self, background: list[asyncio.Task[None]]) -> None:
        stopped = asyncio.create_task(self.stopping.wait())
        await self._first(self._await_crds(), stopped)
        if self.stopping.is_set():
            return
        watch = asyncio.create_task(self._watch())
        self.watching.set()
        logger.info("watching %s", ", ".join(self.settings.watch_namespaces) or "all namespaces")
        done, _ = await asyncio.wait([watch, stopped, *background], return_when=asyncio.FIRST_COMPLETED)
        self.watching.clear()
        if self.stopping.is_set():
            watch.cancel()  # Kopf stops at once; told by its flag, it would wait 5 s for our sweeps to end
            await asyncio.wait([watch])
            return
        for task in done:
            task.result()
        raise DurafleetError("the watch ended by itself")

    @staticmethod
    async def _first(work: Coroutine[Any, Any, None], stopped: asyncio.Task[Any]) -> None:
        task = asyncio.create_task(work)
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        else:
            task.cancel()

    async def _watch(self) -> None:
        ours = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=handlers.registry(),
            settings=handlers.settings(),
            memo=self,
            clusterwide=not self.settings.watch_namespaces,
            namespaces=self.settings.watch_namespaces,
            stop_flag=self.stopping,
            standalone=True,
            identity=cast("Any", "durafleet"),  # else Kopf asks for the user's name, which a pod's user does not have
        )
        stop_on_signals(self.stopping)  # Kopf has put its own in their place, and they would not tell us
        await kopf.run_tasks(tasks, ignored=ours)

    async def _await_crds(self) -> None:
        """Wait for the CRDs to be served: without them Kopf would watch nothing, in silence."""
        said = False
        while missing := await self._missing_crds():
            if not said:
                logger.error("not served by this cluster: %s; install the chart durafleet-crds", ", ".join(missing))
                said = True
            await asyncio.sleep(2)

    async def _missing_crds(self) -> list[str]:
        try:
            answer = await self.world.kube.request("GET", f"/apis/{RUNS.api_version}")
        except NotFound:
            return [RUNS.plural, WORKERS.plural, CONNECTIONS.plural]
        except DurafleetError as error:
            logger.warning("%s", error)
            return ["(unknown)"]
        served = {resource["name"] for resource in answer.get("resources") or ()}
        return [each.plural for each in (RUNS, WORKERS, CONNECTIONS) if each.plural not in served]


def stop_on_signals(stopping: asyncio.Event) -> None:
    """Set the event on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)


async def main(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT."""
    kube = await KubeClient.connect()
    try:
        app = App(settings, kube)
        stop_on_signals(app.stopping)
        await app.run()
    finally:
        await kube.close()


__all__ = ["App", "main"]
