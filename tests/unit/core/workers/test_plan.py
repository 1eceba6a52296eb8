"""The plan of an AgentWorker: which actions it takes, and when it is Ready."""

from dataclasses import replace
from datetime import timedelta

import pytest

from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict
from durafleet.core.connections.targets import connection_not_found
from durafleet.core.objects import Worker
from durafleet.core.workers.actions import ApplyObject, DeleteObject
from durafleet.core.workers.deployment import WorkerDefaults
from durafleet.core.workers.plan import Rollout, WorkerPlan, WorkerWorld, plan_worker
from tests.support.builders import NOON, TARGET, a_worker

DEFAULTS = WorkerDefaults(image="registry/worker:1")
SETTLED = Rollout(owned=True, settled=True, deadline_exceeded=False, applied=True, replicas=1, ready=1)
ROLLING = replace(SETTLED, settled=False, ready=0)


def a_world(**changes: object) -> WorkerWorld:
    world = WorkerWorld(target=TARGET, rollout=SETTLED, agents_applied=True, agents_exist=True, pollers=1)
    return replace(world, **changes)  # type: ignore[arg-type]


def plan(worker: Worker, world: WorkerWorld) -> WorkerPlan:
    return plan_worker(worker, world, defaults=DEFAULTS, now=NOON)


def ready(result: WorkerPlan) -> tuple[str, str]:
    assert result.status is not None
    condition = next(c for c in result.status.conditions if c.type == "Ready")
    return condition.status, condition.reason


def others(result: WorkerPlan) -> set[str]:
    assert result.status is not None
    return {c.type for c in result.status.conditions} - {"Ready"}


def test_a_new_worker_gets_its_agents_config_map_before_its_deployment():
    actions = plan(a_worker(), a_world(rollout=None, agents_applied=False)).actions
    assert [a.manifest["kind"] for a in actions if isinstance(a, ApplyObject)] == ["ConfigMap", "Deployment"]


def test_the_agents_config_map_is_deleted_if_the_image_brings_its_own_workflows():
    worker = a_worker(spec={"agents": [], "image": "mine:1"})
    actions = plan(worker, a_world(rollout=None, agents_exist=True)).actions
    assert [type(action) for action in actions] == [ApplyObject, DeleteObject]


def test_a_fleet_is_ready_when_its_pods_run_and_poll():
    assert ready(plan(a_worker(), a_world())) == ("True", Reason.AVAILABLE)


def test_a_fleet_whose_running_pods_do_not_poll_is_not_ready():
    result = plan(a_worker(), a_world(pollers=0))
    assert ready(result) == ("False", Reason.WAITING_FOR_POLLERS)
    assert others(result) == {"Reconciling"}
    assert result.requeue is not None


@pytest.mark.parametrize(
    ("reason", "other"),
    [
        (Reason.TEMPORAL_UNAVAILABLE, "Reconciling"),
        (Reason.NAMESPACE_NOT_FOUND, "Stalled"),
        (Reason.ACCESS_DENIED, "Stalled"),
    ],
)
def test_an_error_from_temporal_stalls_the_worker_only_if_a_person_has_to_fix_it(reason: Reason, other: str):
    result = plan(a_worker(), a_world(pollers=None, trouble=Verdict(reason, "fix it")))
    assert ready(result) == ("False", reason)
    assert others(result) == {other}
    assert result.requeue is not None


def test_a_fleet_whose_pods_are_starting_is_rolling_out():
    assert ready(plan(a_worker(), a_world(rollout=ROLLING, pollers=None))) == ("False", Reason.ROLLING_OUT)


def test_a_pod_that_cannot_run_stalls_the_worker_with_its_reason():
    problem = Verdict(Reason.IMAGE_PULL_FAILED, "no such image")
    result = plan(a_worker(), a_world(rollout=ROLLING, pod_problem=problem))
    assert ready(result) == ("False", Reason.IMAGE_PULL_FAILED)
    assert others(result) == {"Stalled"}
    assert [event.type for event in result.announcements] == ["Warning"]


def test_a_worker_with_zero_replicas_is_ready():
    worker = a_worker(spec={"agents": [{"name": "a", "model": "test"}], "replicas": 0})
    assert ready(plan(worker, a_world(pollers=None))) == ("True", Reason.SCALED_TO_ZERO)


def test_a_deployment_that_another_owner_controls_is_never_changed():
    result = plan(a_worker(), a_world(rollout=replace(SETTLED, owned=False, applied=False)))
    assert result.actions == ()
    assert ready(result) == ("False", Reason.FOREIGN_OBJECT)


def test_a_worker_waits_for_a_missing_connection_and_is_stalled_after_a_minute():
    missing = a_world(target=connection_not_found("main", "default"))
    first = plan(a_worker(), missing)
    assert others(first) == {"Reconciling"}
    assert first.status is not None
    later = plan_worker(a_worker(status=first.status), missing, defaults=DEFAULTS, now=NOON + timedelta(seconds=61))
    assert others(later) == {"Stalled"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"spec": {"env": [{"name": "TEMPORAL_ADDRESS", "value": "x"}]}}, "TEMPORAL_ADDRESS"),
        ({"spec": {"timeouts": {"heartbeat": "10m"}}}, "heartbeat (10m)"),
        ({"name": "n" * 64}, "64 characters"),
    ],
)
def test_an_error_that_the_schema_cannot_detect_makes_the_spec_invalid_and_is_named(
    changes: dict[str, object], expected: str
):
    result = plan(a_worker(**changes), a_world())
    assert result.actions == ()
    assert ready(result) == ("False", Reason.INVALID_SPEC)
    assert result.status is not None
    assert expected in result.status.conditions[0].message


def test_a_worker_without_any_image_has_an_invalid_spec():
    result = plan_worker(a_worker(), a_world(), defaults=WorkerDefaults(image=None), now=NOON)
    assert ready(result) == ("False", Reason.INVALID_SPEC)
