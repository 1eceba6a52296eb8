"""From an AgentRun and its worker to the one start request they stand for."""

import json

from durafleet.api.contract import (
    WORKFLOW_ID_PREFIX,
    WORKFLOW_TYPE,
    ActivityOptions,
    RetryOptions,
    RunInput,
)
from durafleet.api.durations import parse_duration
from durafleet.api.run import INPUT_LIMIT, AgentRunSpec
from durafleet.api.status import Reason
from durafleet.api.worker import AgentWorkerSpec
from durafleet.core.conditions import Verdict
from durafleet.core.execution import StartRequest
from durafleet.core.objects import Run, Worker
from durafleet.core.targets import fleet_of, task_queue_of

WORKFLOW_ID_LIMIT = 1000
"""Longest workflow id that Temporal takes (its limit.maxIDLength)."""


def workflow_id(run: Run) -> str:
    """Return the run's workflow id: derived, never stored to be believed."""
    return f"{WORKFLOW_ID_PREFIX}{run.namespace}/{run.name}/{run.uid}"


def run_key(workflow: str) -> tuple[str, str] | None:
    """Return namespace and name of the AgentRun behind a workflow id; None if it is not one of ours."""
    prefix, *parts = workflow.split("/")
    if f"{prefix}/" != WORKFLOW_ID_PREFIX or len(parts) != 3:
        return None
    return parts[0], parts[1]


def invalid_spec(spec: AgentRunSpec) -> Verdict | None:
    """Say what is wrong with a run by itself, None if nothing is. CEL cannot see the free-form input."""
    if (spec.agent is None) == (spec.workflow_type is None):
        return Verdict(Reason.INVALID_SPEC, "spec: set exactly one of agent and workflowType.")
    if spec.agent is not None and (spec.input is None or spec.input in ("", {}, [])):
        return Verdict(
            Reason.INVALID_SPEC, "spec.input is empty; give the agent a prompt, and create the run under a new name."
        )
    size = len(json.dumps(spec.input, ensure_ascii=False).encode())
    if size > INPUT_LIMIT:
        return Verdict(
            Reason.INVALID_SPEC,
            f"spec.input has {size} bytes of JSON, over the limit of {INPUT_LIMIT}; "
            "pass a reference (a URL or an object's key) and let a tool read it.",
        )
    return None


def agent_missing(run: Run, worker: Worker) -> Verdict | None:
    """Say that the worker does not declare the run's agent, None if it does."""
    declared = [agent.name for agent in worker.spec.agents]
    if run.spec.agent is None or run.spec.agent in declared:
        return None
    known = ", ".join(declared) if declared else "none"
    return Verdict(
        Reason.AGENT_NOT_FOUND,
        f"AgentWorker {worker.name!r} declares no agent {run.spec.agent!r} (declared: {known}); "
        "add it to the worker's spec.agents, or create a run with another spec.agent.",
    )


def start_request(run: Run, worker: Worker) -> StartRequest:
    """Resolve all that the start of this run needs."""
    return StartRequest(
        workflow_id=workflow_id(run),
        request_id=run.uid,
        workflow_type=run.spec.workflow_type or WORKFLOW_TYPE,
        task_queue=task_queue_of(worker),
        input=_arguments(run, worker),
        execution_timeout=parse_duration(worker.spec.timeouts.workflow).total_seconds(),
        fleet=fleet_of(worker),
        summary=f"AgentRun {run.namespace}/{run.name}",
        memo=(("agentRun", f"{run.namespace}/{run.name}"), ("agentRunUid", run.uid)),
    )


def activity_options(spec: AgentWorkerSpec) -> ActivityOptions:
    """Resolve the timeouts and retries of a worker's activities to seconds."""
    return ActivityOptions(
        start_to_close=parse_duration(spec.timeouts.activity).total_seconds(),
        heartbeat=parse_duration(spec.timeouts.heartbeat).total_seconds(),
        retry=RetryOptions(
            maximum_attempts=spec.retry.maximum_attempts,
            initial_interval=parse_duration(spec.retry.initial_interval).total_seconds(),
            backoff_coefficient=float(spec.retry.backoff_coefficient),
            maximum_interval=parse_duration(spec.retry.maximum_interval).total_seconds(),
        ),
    )


def _arguments(run: Run, worker: Worker) -> tuple[object, ...]:
    if run.spec.agent is None:
        return () if run.spec.input is None else (run.spec.input,)
    envelope = RunInput(agent=run.spec.agent, input=run.spec.input, options=activity_options(worker.spec))
    return (envelope.wire(),)
