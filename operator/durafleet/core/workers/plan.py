"""The plan of an AgentWorker: the next actions, and its status."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from durafleet.api.status import ConditionType, Reason
from durafleet.api.worker import AgentWorkerStatus
from durafleet.core.conditions import Summary, Verdict
from durafleet.core.grace import PERSON_NEEDED, reference_grace
from durafleet.core.objects import Worker
from durafleet.core.places import Target
from durafleet.core.plans import Announcement, Plan
from durafleet.core.workers.actions import ApplyObject, DeleteObject, WorkerPlan
from durafleet.core.workers.deployment import (
    WorkerDefaults,
    agents_name,
    config_map,
    deployment,
    reserved_variables,
    selector,
)
from durafleet.core.workers.names import fleet_of, task_queue_of
from durafleet.core.workers.timeouts import out_of_order

CHECK_INTERVAL = 2.0
"""Seconds between checks of the pods and pollers of an AgentWorker that is not Ready."""
READY_CHECK_INTERVAL = 60.0
"""Seconds between checks of a Ready AgentWorker: its pods can run and no longer poll."""
NAME_LIMIT = 63
"""Longest name of an AgentWorker: the name becomes a label value."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """The state of a Deployment.

    Attributes:
        owned: the AgentWorker controls it.
        settled: the Deployment controller has observed the latest template, and all pods have it and are available.
        deadline_exceeded: the Deployment controller reports that the progress deadline is exceeded.
        applied: it is as the operator last applied it: same digest, and no later change by another client.
    """

    owned: bool
    settled: bool
    deadline_exceeded: bool
    applied: bool
    replicas: int = 0
    ready: int = 0


@dataclass(frozen=True, kw_only=True)
class WorkerWorld:
    """The observed state that the plan of one AgentWorker depends on.

    Attributes:
        target: the Temporal namespace, or why there is none.
        rollout: the state of its Deployment; None if there is none.
        agents_applied: its ConfigMap is as the operator last applied it.
        agents_exist: its ConfigMap exists.
        pod_problem: why pods of the latest template do not run; None if there is no problem.
        pollers: number of the fleet's pods that Temporal reports as pollers; None if Temporal did not answer.
        trouble: why Temporal did not answer.
    """

    target: Target | Verdict
    rollout: Rollout | None = None
    agents_applied: bool = False
    agents_exist: bool = False
    pod_problem: Verdict | None = None
    pollers: int | None = None
    trouble: Verdict | None = None


def plan_worker(worker: Worker, world: WorkerWorld, *, defaults: WorkerDefaults, now: datetime) -> WorkerPlan:
    """Decide the next actions and the status that describes them."""
    if worker.deleted is not None:
        return Plan()  # the garbage collector deletes the Deployment (owner references)
    if (invalid := invalid_worker(worker, defaults)) is not None:
        return Plan(status=_status(worker, world, invalid, stalled=True, now=now))
    if isinstance(world.target, Verdict):
        return _wait(worker, world, world.target, now=now)
    if world.rollout is not None and not world.rollout.owned:
        return Plan(status=_status(worker, world, _foreign(worker), stalled=True, now=now), requeue=30.0)
    actions = _apply(worker, world, world.target, defaults)
    if actions:
        return Plan(actions=actions)
    return _plan_applied(worker, world, now=now)


def invalid_worker(worker: Worker, defaults: WorkerDefaults) -> Verdict | None:
    """Return what is invalid and cannot be checked by a CEL rule; None if the spec is valid."""
    if len(worker.name) > NAME_LIMIT:
        return Verdict(
            Reason.INVALID_SPEC,
            f"metadata.name has {len(worker.name)} characters; an AgentWorker's name may have at most {NAME_LIMIT}, "
            "because its pods have the name as a label. Create the AgentWorker under a shorter name.",
        )
    if worker.spec.image is None and defaults.image is None:
        return Verdict(
            Reason.INVALID_SPEC,
            "No image: set spec.image, or workerImage in the values of the durafleet chart.",
        )
    clashes = sorted({str(entry.get("name")) for entry in worker.spec.env} & reserved_variables())
    if clashes:
        return Verdict(
            Reason.INVALID_SPEC,
            f"spec.env sets {', '.join(clashes)}, which the operator sets itself. Remove it from spec.env; the task "
            "queue, the timeouts and the connection have their own fields in the spec.",
        )
    return _bad_timeouts(worker)


def _bad_timeouts(worker: Worker) -> Verdict | None:
    """Repeat the rule of the CRD, for objects that were stored before the rule existed."""
    conflict = out_of_order(worker.spec.timeouts)
    return Verdict(Reason.INVALID_SPEC, f"spec.timeouts: {conflict}") if conflict is not None else None


def _apply(
    worker: Worker, world: WorkerWorld, target: Target, defaults: WorkerDefaults
) -> tuple[ApplyObject | DeleteObject, ...]:
    actions: list[ApplyObject | DeleteObject] = []
    if worker.spec.agents and not world.agents_applied:
        actions.append(ApplyObject(config_map(worker)))
    if world.rollout is None or not world.rollout.applied:
        actions.append(ApplyObject(deployment(worker, target, defaults)))
    if not worker.spec.agents and world.agents_exist:
        actions.append(DeleteObject("v1", "ConfigMap", agents_name(worker)))
    return tuple(actions)


def _plan_applied(worker: Worker, world: WorkerWorld, *, now: datetime) -> WorkerPlan:
    """Return the plan when all objects are applied: report whether the fleet works."""
    rollout = world.rollout
    if rollout is None or not rollout.settled:
        return _plan_rollout(worker, world, now=now)
    if worker.spec.replicas == 0:
        verdict = Verdict(Reason.SCALED_TO_ZERO, "spec.replicas is 0; runs wait until it is raised.")
        return Plan(status=_status(worker, world, verdict, ready=True, now=now))
    if world.trouble is not None:
        stalled = world.trouble.reason in PERSON_NEEDED
        return Plan(status=_status(worker, world, world.trouble, stalled=stalled, now=now), requeue=CHECK_INTERVAL)
    if not world.pollers:
        verdict = Verdict(
            Reason.WAITING_FOR_POLLERS,
            f"The pods run, but Temporal does not report any of them as polling task queue {task_queue_of(worker)!r} "
            "yet. If this lasts, check the logs of the worker pods and their TEMPORAL_* variables.",
        )
        return Plan(status=_status(worker, world, verdict, now=now), requeue=CHECK_INTERVAL)
    verdict = Verdict(Reason.AVAILABLE, f"The fleet polls task queue {task_queue_of(worker)!r}.")
    return Plan(
        status=_status(worker, world, verdict, ready=True, now=now),
        announcements=_announce(worker, verdict, kind="Normal"),
        requeue=READY_CHECK_INTERVAL,
    )


def _plan_rollout(worker: Worker, world: WorkerWorld, *, now: datetime) -> WorkerPlan:
    rollout = world.rollout
    if world.pod_problem is not None:
        status = _status(worker, world, world.pod_problem, stalled=True, now=now)
        announcements = _announce(worker, world.pod_problem, kind="Warning")
        return Plan(status=status, announcements=announcements, requeue=CHECK_INTERVAL)
    if rollout is not None and rollout.deadline_exceeded:
        verdict = Verdict(
            Reason.PROGRESS_DEADLINE_EXCEEDED,
            "The pods are not available after 10 minutes. Find the cause with: "
            f"kubectl -n {worker.namespace} describe pods -l {selector(worker)}",
        )
        return Plan(status=_status(worker, world, verdict, stalled=True, now=now), requeue=CHECK_INTERVAL * 5)
    ready = rollout.ready if rollout else 0
    verdict = Verdict(
        Reason.ROLLING_OUT,
        f"Waiting for pods: {min(ready, worker.spec.replicas)} of "
        f"{worker.spec.replicas} are ready with the latest template.",
    )
    return Plan(status=_status(worker, world, verdict, now=now), requeue=CHECK_INTERVAL)


def _wait(worker: Worker, world: WorkerWorld, verdict: Verdict, *, now: datetime) -> WorkerPlan:
    stalled, requeue = reference_grace(worker.status, now=now)
    return Plan(status=_status(worker, world, verdict, stalled=stalled, now=now), requeue=requeue)


def _status(
    worker: Worker, world: WorkerWorld, verdict: Verdict, *, now: datetime, ready: bool = False, stalled: bool = False
) -> AgentWorkerStatus:
    summary = Summary(
        ready="True" if ready else "False", verdict=verdict, reconciling=not ready and not stalled, stalled=stalled
    )
    fields: dict[str, Any] = {
        "observed_generation": worker.generation,
        "conditions": summary.conditions(worker.status.conditions, generation=worker.generation, now=now),
        "task_queue": task_queue_of(worker),
        "temporal_namespace": None if isinstance(world.target, Verdict) else world.target.namespace,
        "replicas": world.rollout.replicas if world.rollout else 0,
        "ready_replicas": world.rollout.ready if world.rollout else 0,
        "pollers": world.pollers if ready else None,
        "selector": selector(worker),
    }
    return worker.status.model_copy(update=fields)


def _announce(worker: Worker, verdict: Verdict, *, kind: str) -> tuple[Announcement, ...]:
    before = worker.status.condition(ConditionType.READY)
    if before is not None and before.reason == verdict.reason:
        return ()
    return (Announcement(kind, verdict.reason, verdict.message),)


def _foreign(worker: Worker) -> Verdict:
    return Verdict(
        Reason.FOREIGN_OBJECT,
        f"Deployment {fleet_of(worker)} exists and is not controlled by this AgentWorker; delete that Deployment, "
        "or create the AgentWorker under another name.",
    )
