"""The store of AgentRuns: full objects while something is left to do, small records afterwards."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from durafleet.controllers.runs.store import RunStore
from durafleet.core.objects import Run, read_run
from durafleet.core.plans import Plan
from durafleet.core.runs.execution import Execution
from durafleet.core.runs.plan import plan_run
from durafleet.core.runs.settled import SettledRun, belongs_to, is_relevant, is_settled, settled
from durafleet.core.runs.urgency import is_urgent
from durafleet.core.runs.world import RunWorld
from tests.support.builders import NOON, TARGET, an_execution

KEY = ("default", "hello")


def body(version: int, *, state: str | None = "Completed", generation: int = 1, **spec: Any) -> dict[str, Any]:
    times = {"observedGeneration": generation, "lastTransitionTime": "2026-11-23T12:01:00Z"}
    details = {"reason": state, "message": "It ended.", **times}
    workflow = {"id": "w", "runId": "run-1", "namespace": "default", "taskQueue": "q", "type": "AgentRun"}
    status = {
        "observedGeneration": generation,
        "state": state,
        "conditions": [{"type": kind, "status": "False", **details} for kind in ("Succeeded", "Ready")],
        "workflow": workflow,
        "startTime": "2026-11-23T12:00:00Z",
        "completionTime": "2026-11-23T12:01:00Z",
    }
    return {
        "metadata": {
            "namespace": KEY[0],
            "name": KEY[1],
            "uid": "11111111-2222-3333-4444-555555555555",
            "generation": generation,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-11-23T11:59:00Z",
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {"workerRef": {"name": "support"}, "agent": "greeter", "input": "hello " * 1000, **spec},
        "status": status if state is not None else {},
    }


def a_settled(of: dict[str, Any]) -> SettledRun:
    run = read_run(of)
    plan = plan_run(run, RunWorld(worker=None, target=TARGET), now=NOON)
    assert is_settled(run, plan)
    return settled(run, plan, now=NOON)


def stored(*bodies: dict[str, Any]) -> RunStore:
    store = RunStore()
    for each in bodies:
        store.put(each)
    return store


def test_a_settled_run_is_known_but_no_longer_kept_in_full():
    store = stored(body(10))
    store.settle(a_settled(body(10)))
    assert store.get(KEY) is None
    assert list(store) == []
    assert store.settled(KEY) is store.known(KEY) is not None


def test_a_late_deletion_event_does_not_remove_a_run_that_was_created_again_under_the_same_name():
    first, second = body(10), body(12)
    second["metadata"]["uid"] = "another-uid"
    store = stored(first, second)
    store.observe({"type": "DELETED", "object": first})
    assert store.version(KEY) == "12"
    store.settle(a_settled(second))
    store.observe({"type": "DELETED", "object": first})
    assert store.version(KEY) == "12"
    store.observe({"type": "DELETED", "object": second})
    assert store.known(KEY) is None


def counted(state: str) -> float:
    return REGISTRY.get_sample_value("durafleet_agentruns", {"state": state}) or 0.0


def test_runs_are_counted_by_state_whether_kept_in_full_or_settled():
    before = {state: counted(state) for state in ("New", "Completed", "WorkflowFailed")}
    store = stored(body(9, state=None), body(10))
    assert counted("New") == before["New"]
    assert counted("Completed") == before["Completed"] + 1
    store.settle(a_settled(body(10)))
    store.observe({"type": "MODIFIED", "object": body(11, state="WorkflowFailed")})
    assert counted("Completed") == before["Completed"]
    store.observe({"type": "DELETED", "object": body(12)})
    assert counted("WorkflowFailed") == before["WorkflowFailed"]


def test_a_watch_event_with_the_same_or_an_older_version_leaves_a_run_settled():
    store = stored(body(10))
    store.settle(a_settled(body(10)))
    store.observe({"type": "MODIFIED", "object": body(10)})
    store.observe({"type": "MODIFIED", "object": body(9, state="Running")})
    assert store.settled(KEY) is not None


def test_a_settled_run_that_is_edited_is_kept_in_full_again():
    store = stored(body(10))
    store.settle(a_settled(body(10)))
    store.observe({"type": "MODIFIED", "object": body(11)})
    run = store.get(KEY)
    assert run is not None
    assert (run.resource_version, store.settled(KEY)) == ("11", None)


def test_a_settled_run_that_is_read_again_is_kept_in_full_even_if_nothing_changed():
    store = stored(body(10))
    store.settle(a_settled(body(10)))
    store.restore(body(10))
    assert (store.get(KEY) is not None, store.settled(KEY)) == (True, None)


def test_a_settled_run_that_is_deleted_is_removed_from_the_store():
    store = stored(body(10))
    store.settle(a_settled(body(10)))
    store.observe({"type": "DELETED", "object": body(11)})
    assert store.known(KEY) is None


def test_the_change_callback_reports_every_new_version_but_not_that_a_run_was_settled():
    store = RunStore()
    seen: list[tuple[bool, bool]] = []
    store.changed = lambda before, after: seen.append((before is not None, after is not None))
    store.put(body(9, state="Running"))
    store.put(body(10))
    store.settle(a_settled(body(10)))
    store.put(body(11, generation=2))
    assert seen == [(False, True), (True, True), (False, True)]


def test_a_settled_run_keeps_the_time_when_its_time_to_live_expires():
    assert a_settled(body(10, ttlSecondsAfterFinished=120)).expires == NOON + timedelta(seconds=180)
    assert a_settled(body(10)).expires is None


@pytest.mark.parametrize(
    ("change", "settles"),
    [
        ({}, True),
        ({"status": {"state": "Running"}}, False),
        ({"metadata": {"finalizers": ["durafleet.dev/workflow"]}}, False),
        ({"metadata": {"deletionTimestamp": "2026-11-23T12:02:00Z"}}, False),
        ({"spec": {"retry": {"token": "1"}}}, False),
    ],
    ids=["ended", "open", "has our finalizer", "being deleted", "retry requested"],
)
def test_a_run_is_settled_only_if_nothing_is_left_to_do_for_it(change: dict[str, Any], settles: bool):
    full = body(10, state="WorkflowFailed")
    run = read_run({part: {**full[part], **change.get(part, {})} for part in full})
    assert is_settled(run, Plan(status=run.status)) is settles


def executions(**changes: Any) -> Execution:
    return an_execution(**{"described": False, "run_id": "run-2", "start_time": NOON + timedelta(minutes=5), **changes})


@pytest.mark.parametrize(
    ("state", "seen", "news"),
    [
        ("WorkflowFailed", executions(), True),
        ("Completed", executions(), False),
        ("WorkflowFailed", executions(run_id="run-1"), False),
        ("WorkflowFailed", executions(start_time=NOON - timedelta(minutes=5)), False),
        ("WorkflowFailed", executions(owner="default/other"), False),
    ],
    ids=["later execution", "run completed", "recorded execution", "earlier execution", "of another run"],
)
def test_a_settled_run_continues_only_with_a_later_execution_of_its_own(state: str, seen: Execution, news: bool):
    run = a_settled(body(10, state=state))
    assert belongs_to(seen, run)
    assert is_relevant(seen, run) is news


def a_read(of: dict[str, Any], **metadata: Any) -> Run:
    return read_run({**of, "metadata": {**of["metadata"], **metadata}})


@pytest.mark.parametrize(
    ("run", "started", "awaited"),
    [
        (a_read(body(10, state=None)), False, True),
        (a_read(body(10, state=None), finalizers=["durafleet.dev/workflow"]), False, True),
        (a_read(body(10, state=None)), True, False),
        (a_read(body(10, state="Running")), False, False),
        (a_read(body(10, state="Running"), generation=2), False, True),
        (a_read(body(10)), False, False),
        (a_read(body(10, state="WorkflowFailed"), generation=2), False, True),
        (
            a_read(
                body(10, state="Running"),
                deletionTimestamp="2026-11-23T12:02:00Z",
                finalizers=["durafleet.dev/workflow"],
            ),
            True,
            True,
        ),
    ],
    ids=["new", "about to start", "just started", "running", "edited", "ended", "retry requested", "deleted"],
)
def test_a_run_is_awaited_until_its_start_its_latest_edit_or_its_deletion_is_done(
    run: Run, started: bool, awaited: bool
):
    assert is_urgent(run, started=started) is awaited
