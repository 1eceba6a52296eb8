"""Packed AgentRuns: they lose nothing, even after enough other runs have evicted them from the cache."""

from typing import Any

import pytest

from durafleet.controllers.runs.packed import CACHE_SIZE, PackedRuns
from durafleet.core.objects import Run, read_run
from tests.support.builders import a_run


def a_body(**parts: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "default",
        "name": "hello",
        "uid": "11111111-2222-3333-4444-555555555555",
        "generation": 3,
        "resourceVersion": "12",
        "creationTimestamp": "2026-11-23T12:00:00Z",
        "deletionTimestamp": "2026-11-23T13:00:00Z",
        "finalizers": ["durafleet.dev/workflow", "example.com/other"],
        "annotations": {"meta.helm.sh/release-name": "release"},
    }
    return {"metadata": metadata, **parts}


SPEC: dict[str, Any] = {"workerRef": {"name": "support"}, "agent": "helper"}
RUNNING = {
    "observedGeneration": 1,
    "state": "Running",
    "startTime": "2026-11-23T12:00:01Z",
    "conditions": [
        {
            "type": "Ready",
            "status": "Unknown",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-11-23T12:00:01Z",
            "reason": "Running",
            "message": "Läuft.",
        }
    ],
    "workflow": {"id": "w", "runId": "r", "namespace": "default", "taskQueue": "q", "type": "Wait"},
}


def cold(run: Run) -> Run:
    """Store a run, evict it from the cache with other runs, and read it."""
    runs = PackedRuns()
    runs[run.key] = run
    for number in range(CACHE_SIZE):
        runs["other", str(number)] = run
    return runs[run.key]


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        {**SPEC, "input": {"absent": None, "list": [1, 2.5, None, True], "text": "Grüße \u2028 \U0001f600"}},
        {**SPEC, "input": "12", "timeouts": {"workflow": "90m"}, "limits": {"turns": 3}, "priority": 2},
        {
            **SPEC,
            "stop": "Cancel",
            "retry": {"token": "again"},
            "deletionPolicy": "Abandon",
            "ttlSecondsAfterFinished": 0,
        },
    ],
    ids=["minimal spec", "structured input", "text that looks like a number", "controls"],
)
@pytest.mark.parametrize("status", [{}, RUNNING], ids=["new", "running"])
def test_a_packed_run_is_read_back_unchanged(spec: dict[str, Any], status: dict[str, Any]):
    run = read_run(a_body(spec=spec, status=status))
    assert cold(run) == run
    assert cold(run).spec.wire() == run.spec.wire()
    assert cold(run).status.wire() == run.status.wire()


def test_a_replaced_or_deleted_run_is_never_returned_from_the_cache():
    runs = PackedRuns()
    old, new = a_run(resource_version="1"), a_run(resource_version="2")
    runs[old.key] = old
    runs[new.key] = new
    assert runs[old.key] == new
    assert len(runs) == 1
    assert runs.pop(old.key) == new
    assert runs.get(old.key) is None
