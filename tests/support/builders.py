"""Builders of objects with defaults, so that a test sets only the fields that it is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from durafleet.api.connection import TemporalConnectionSpec, TemporalConnectionStatus
from durafleet.api.run import AgentRunSpec, AgentRunStatus, Failure
from durafleet.api.worker import AgentWorkerSpec, AgentWorkerStatus
from durafleet.core.objects import FINALIZER, Connection, Run, Worker
from durafleet.core.places import Target
from durafleet.core.runs.execution import Execution, ExecutionStatus, Outcome

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TARGET = Target("default", None, "temporal:7233", "default")


def a_run(**changes: Any) -> Run:
    """An AgentRun of agent `greeter` on worker `support`; arguments override `spec` fields and object fields."""
    spec = {"workerRef": {"name": "support"}, "agent": "greeter", "input": "hello", **changes.pop("spec", {})}
    values: dict[str, Any] = {
        "namespace": "default",
        "name": "hello",
        "uid": "11111111-2222-3333-4444-555555555555",
        "generation": 1,
        "resource_version": "10",
        "created": NOON,
        "deleted": None,
        "finalizers": (),
        "spec": AgentRunSpec.model_validate({k: v for k, v in spec.items() if v is not None}),
        "status": AgentRunStatus(),
    }
    return Run(**{**values, **changes})


def held(run: Run) -> Run:
    """The same run with the operator's finalizer."""
    return replace(run, finalizers=(FINALIZER,))


def a_worker(**changes: Any) -> Worker:
    """An AgentWorker `support` that declares agent `greeter`."""
    spec = {"agents": [{"name": "greeter", "model": "test"}], **changes.pop("spec", {})}
    values: dict[str, Any] = {
        "namespace": "default",
        "name": "support",
        "uid": "99999999-2222-3333-4444-555555555555",
        "generation": 1,
        "resource_version": "5",
        "created": NOON,
        "deleted": None,
        "finalizers": (),
        "spec": AgentWorkerSpec.model_validate(spec),
        "status": AgentWorkerStatus(),
    }
    return Worker(**{**values, **changes})


def a_connection(**changes: Any) -> Connection:
    """A TemporalConnection `main`."""
    values: dict[str, Any] = {
        "namespace": "default",
        "name": "main",
        "uid": "77777777-2222-3333-4444-555555555555",
        "generation": 1,
        "resource_version": "5",
        "created": NOON,
        "deleted": None,
        "finalizers": (),
        "spec": TemporalConnectionSpec(address="temporal:7233"),
        "status": TemporalConnectionStatus(),
    }
    return Connection(**{**values, **changes})


def an_execution(**changes: Any) -> Execution:
    """A running workflow execution of `a_run`."""
    values: dict[str, Any] = {
        "workflow_id": "agent-run/default/hello/11111111-2222-3333-4444-555555555555",
        "run_id": "run-1",
        "first_run_id": "run-1",
        "status": ExecutionStatus.RUNNING,
        "described": True,
        "owner": "default/hello",
        "type": "AgentRun",
        "task_queue": "default/support",
        "start_time": NOON,
    }
    return Execution(**{**values, **changes})


def a_closed(status: ExecutionStatus, *, result: str | None = None, failure: Failure | None = None) -> Execution:
    """An execution that ended a minute after its start."""
    return an_execution(
        status=status, close_time=NOON + timedelta(minutes=1), outcome=Outcome(result=result, failure=failure)
    )
