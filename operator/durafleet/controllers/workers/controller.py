"""The controller of AgentWorkers: their objects, their pods and their pollers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from durafleet.controllers.kind import Watch
from durafleet.controllers.queue.keyed import KeyedQueue
from durafleet.controllers.runs.controller import RunController
from durafleet.controllers.world import World, verdict_of
from durafleet.core.conditions import Verdict
from durafleet.core.objects import Key, Worker
from durafleet.core.places import Target
from durafleet.core.runs.waiting import matters_to_runs
from durafleet.core.workers.actions import ApplyObject, DeleteObject, WorkerPlan
from durafleet.core.workers.applying import digest, has_digest_of, is_as_applied, with_digest
from durafleet.core.workers.deployment import (
    WORKER_LABEL,
    WorkerDefaults,
    agents_name,
    config_map,
    deployment,
    selector,
)
from durafleet.core.workers.names import task_queue_of
from durafleet.core.workers.plan import Rollout, WorkerWorld, invalid_worker, plan_worker
from durafleet.core.workers.pollers import Pod, pod_problem, polling_pods
from durafleet.errors import DurafleetError, NotFound
from durafleet.kube.listing import list_all
from durafleet.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    OWNED,
    PODS,
    WORKERS,
    apply,
    delete,
    read,
    write_status,
)
from durafleet.kube.views import current_pods, rollout_of
from durafleet.temporal.pollers import pollers

MAX_PLANS = 6
"""Most plans in one reconcile."""


@dataclass
class Memory:
    """The objects as the operator last applied them, so that a later change by another client is detected."""

    uid: str
    deployment: tuple[str, int] | None = None  # digest of the manifest, generation after it was applied
    agents: str | None = None  # digest of the ConfigMap's manifest
    agents_exist: bool | None = None


class WorkerController:
    """Reconciles AgentWorkers with their Deployments."""

    def __init__(self, world: World, runs: RunController, *, defaults: WorkerDefaults, concurrency: int = 4) -> None:
        self._world = world
        self._defaults = defaults
        self._runs = runs
        self._memory: dict[Key, Memory] = {}
        self._deployments: dict[Key, dict[str, Any]] = {}
        self.queue: KeyedQueue[Key] = KeyedQueue("agentworkers", self.reconcile, concurrency=concurrency)
        world.workers.changed = self._changed

    @property
    def watches(self) -> tuple[Watch, ...]:
        return Watch(WORKERS, self.observe), Watch(DEPLOYMENTS, self.observe_deployment, WORKER_LABEL)

    def observe(self, event: Mapping[str, Any]) -> None:
        """Store the AgentWorker of a watch event, and enqueue its key."""
        self.queue.mark(self._world.workers.observe(event))

    def observe_deployment(self, event: Mapping[str, Any]) -> None:
        """Store the Deployment of a watch event, and enqueue the key of its AgentWorker."""
        body = event["object"]
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        if event.get("type") == "DELETED":
            self._deployments.pop(key, None)
        else:
            self._store_deployment(body)
        self.queue.mark((key[0], body["metadata"].get("labels", {}).get(WORKER_LABEL, key[1])))

    def _changed(self, before: Worker | None, after: Worker | None) -> None:
        """Enqueue the runs of an AgentWorker, if the change matters to them."""
        worker = after or before
        if worker is not None and matters_to_runs(before, after):
            self._runs.wake(tenant=worker.namespace, worker=worker.name)

    def wake(self, *, tenant: str) -> None:
        """Enqueue the AgentWorkers of a namespace."""
        for worker in self._world.workers:
            if worker.namespace == tenant:
                self.queue.mark(worker.key)

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one AgentWorker; return after how many seconds to reconcile it again, if at all."""
        for _ in range(MAX_PLANS):
            worker = self._world.workers.get(key)
            if worker is None:
                self._memory.pop(key, None)
                self.queue.forget(key)
                return None
            memory = self._remember(worker)
            world = await self._observed_state(worker, memory)
            plan = plan_worker(worker, world, defaults=self._defaults, now=self._world.now())
            if not plan.actions and (plan.status is None or plan.status == worker.status):
                return plan.requeue
            await self._carry_out(worker, memory, plan)
        raise RuntimeError(f"AgentWorker {key}: the plan still has actions after {MAX_PLANS} steps")

    async def _observed_state(self, worker: Worker, memory: Memory) -> WorkerWorld:
        name = worker.spec.connection_ref.name if worker.spec.connection_ref else None
        target = self._world.target(worker.namespace, name)
        if isinstance(target, Verdict) or invalid_worker(worker, self._defaults) is not None:
            return WorkerWorld(target=target)
        rollout = await self._rollout(worker, memory, target)
        await self._check_agents(worker, memory)
        problem, polling, trouble = await self._observe_pods(worker, rollout, target)
        return WorkerWorld(
            target=target,
            rollout=rollout,
            agents_applied=memory.agents == digest(config_map(worker)),
            agents_exist=bool(memory.agents_exist),
            pod_problem=problem,
            pollers=polling,
            trouble=trouble,
        )

    async def _rollout(self, worker: Worker, memory: Memory, target: Target) -> Rollout | None:
        body = self._deployments.get(worker.key)
        if body is None and memory.deployment is None:  # the watch has no Deployments without our label
            body = await read(self._world.kube, DEPLOYMENTS, worker.namespace, worker.name)
            if body is not None:
                self._store_deployment(body)
        if body is None:
            return None
        manifest = deployment(worker, target, self._defaults)
        if memory.deployment is None and has_digest_of(body, manifest):
            await self._check_deployment(worker, memory, manifest)
        applied = memory.deployment == (digest(manifest), body["metadata"].get("generation", 0))
        return rollout_of(body, owner_uid=worker.uid, applied=applied)

    async def _check_deployment(self, worker: Worker, memory: Memory, manifest: dict[str, Any]) -> None:
        """After a restart, find out whether the Deployment still is as the operator last applied it."""
        found = await read(self._world.kube, DEPLOYMENTS, worker.namespace, worker.name)
        if found is not None and is_as_applied(found, manifest):
            memory.deployment = (digest(manifest), found["metadata"].get("generation", 0))

    async def _check_agents(self, worker: Worker, memory: Memory) -> None:
        if memory.agents_exist is None:
            found = await read(self._world.kube, CONFIG_MAPS, worker.namespace, agents_name(worker))
            memory.agents_exist = found is not None and _controlled(found, worker.uid)
            if found is not None and is_as_applied(found, config_map(worker)):
                memory.agents = digest(config_map(worker))

    async def _observe_pods(
        self, worker: Worker, rollout: Rollout | None, target: Target
    ) -> tuple[Verdict | None, int | None, Verdict | None]:
        """Return the problem of the pods; or, once they run, the number that poll, or why that is unknown."""
        if rollout is None or not rollout.applied or not rollout.owned or worker.spec.replicas == 0:
            return None, None, None
        found = list_all(self._world.kube, PODS, worker.namespace, labelSelector=selector(worker))
        pods = current_pods([body async for body in found])
        if not rollout.settled:
            image = worker.spec.image or self._defaults.image or ""
            return pod_problem(pods, image=image), None, None
        return await self._observe_pollers(worker, target, pods)

    async def _observe_pollers(
        self, worker: Worker, target: Target, pods: list[Pod]
    ) -> tuple[Verdict | None, int | None, Verdict | None]:
        try:
            link = await self._world.pool.ready(target)
            return None, polling_pods(pods, await pollers(link, task_queue_of(worker))), None
        except DurafleetError as error:
            return None, None, verdict_of(error, target)

    async def _carry_out(self, worker: Worker, memory: Memory, plan: WorkerPlan) -> None:
        for action in plan.actions:
            match action:
                case ApplyObject(manifest=manifest):
                    await self._apply(memory, manifest)
                case DeleteObject(kind=kind, name=name):
                    await delete(self._world.kube, OWNED[kind], worker.namespace, name)
                    memory.agents_exist, memory.agents = False, None
                case _:
                    raise TypeError(f"unknown action of an AgentWorker's plan: {action!r}")
        if not plan.actions and plan.status is not None:
            try:
                before = worker.status.wire()
                body = await write_status(self._world.kube, WORKERS, worker, plan.status.wire(), before)
            except NotFound:
                return
            self._world.workers.put(body)
            for announcement in plan.announcements:
                self._world.events.record(WORKERS, worker, announcement)

    async def _apply(self, memory: Memory, manifest: dict[str, Any]) -> None:
        body = await apply(self._world.kube, with_digest(manifest))
        if manifest["kind"] == "ConfigMap":
            memory.agents, memory.agents_exist = digest(manifest), True
            return
        self._store_deployment(body)
        memory.deployment = (digest(manifest), body["metadata"].get("generation", 0))

    def _store_deployment(self, body: Mapping[str, Any]) -> None:
        meta = body["metadata"]
        key = (meta["namespace"], meta["name"])
        known = self._deployments.get(key)
        if known is None or int(known["metadata"]["resourceVersion"]) < int(meta["resourceVersion"]):
            slim = {name: value for name, value in meta.items() if name != "managedFields"}
            self._deployments[key] = {
                "metadata": slim,
                "spec": {"replicas": body["spec"].get("replicas", 1)},
                "status": body.get("status", {}),
            }

    def _remember(self, worker: Worker) -> Memory:
        memory = self._memory.get(worker.key)
        if memory is None or memory.uid != worker.uid:
            memory = self._memory[worker.key] = Memory(worker.uid)
        return memory


def _controlled(body: Mapping[str, Any], uid: str) -> bool:
    return any(owner["uid"] == uid for owner in body["metadata"].get("ownerReferences") or ())
