"""Build the start request of an AgentRun from the run, its AgentWorker and its input, and validate them."""

import json
from dataclasses import replace

from durafleet.api.contract import (
    OWNER_MEMO,
    WORKFLOW_TYPE,
    Limits,
    RunInput,
)
from durafleet.api.durations import parse_duration
from durafleet.api.run import INPUT_LIMIT, AgentRunSpec
from durafleet.api.status import Reason
from durafleet.api.worker import Timeouts
from durafleet.core.conditions import Verdict
from durafleet.core.objects import Run, Worker
from durafleet.core.runs.execution import StartRequest
from durafleet.core.runs.identity import owner_of, run_identity, workflow_id
from durafleet.core.workers.names import fleet_of, task_queue_of
from durafleet.core.workers.timeouts import activity_options, out_of_order

DEFAULT_PRIORITY = 3
"""Temporal's default."""
_NEW_NAME = "create the run under a new name"


def invalid_spec(spec: AgentRunSpec) -> Verdict | None:
    """Return what is wrong with the spec alone; None if it is valid. CEL rules cannot validate the free-form input."""
    if (spec.agent is None) == (spec.workflow_type is None):
        return Verdict(Reason.INVALID_SPEC, "spec: set exactly one of agent and workflowType.")
    if spec.input is not None and spec.input_from is not None:
        return Verdict(Reason.INVALID_SPEC, f"spec: set only one of input and inputFrom; {_NEW_NAME}.")
    if spec.input_from is not None:
        return None  # validated after it is read
    return invalid_input(spec, spec.input, where="spec.input")


def invalid_input(spec: AgentRunSpec, given: object, *, where: str) -> Verdict | None:
    """Return what is wrong with an input; None if it is valid."""
    if spec.agent is not None and _empty(given):
        return Verdict(Reason.INVALID_SPEC, f"{where} is empty; write the prompt there, and {_NEW_NAME}.")
    size = len(json.dumps(given, ensure_ascii=False).encode())
    if size > INPUT_LIMIT:
        return Verdict(
            Reason.INVALID_SPEC,
            f"{where} has {size} bytes of JSON, which is over the limit of {INPUT_LIMIT}; pass a reference (a URL or "
            "an object key) instead, and let a tool read the content.",
        )
    return None


def invalid_timeouts(run: Run, worker: Worker) -> Verdict | None:
    """Return how the run's timeouts contradict its AgentWorker's; None if they fit. A CEL rule sees only one object."""
    if (conflict := out_of_order(timeouts_of(run, worker))) is None:
        return None
    return Verdict(
        Reason.INVALID_SPEC,
        f"spec.timeouts contradicts the timeouts of AgentWorker {worker.name!r}: {conflict} Set the other timeouts in "
        f"spec.timeouts too, and {_NEW_NAME}.",
    )


def agent_missing(run: Run, worker: Worker) -> Verdict | None:
    """Return that the AgentWorker does not declare the run's agent; None if it does."""
    declared = [agent.name for agent in worker.spec.agents]
    if run.spec.agent is None or run.spec.agent in declared:
        return None
    known = ", ".join(declared) if declared else "none"
    return Verdict(
        Reason.AGENT_NOT_FOUND,
        f"AgentWorker {worker.name!r} declares no agent {run.spec.agent!r} (declared: {known}); "
        "add it to the AgentWorker's spec.agents, or create a run with another spec.agent.",
    )


def start_request(run: Run, worker: Worker, *, given: object) -> StartRequest:
    """Return the start request of a run; `given` is its input, from spec.input or spec.inputFrom."""
    return StartRequest(
        workflow_id=workflow_id(run),
        request_id=run_identity(run),
        uid=run.uid,
        workflow_type=run.spec.workflow_type or WORKFLOW_TYPE,
        task_queue=task_queue_of(worker),
        input=_arguments(run, worker, given),
        execution_timeout=parse_duration(timeouts_of(run, worker).workflow).total_seconds(),
        fleet=fleet_of(worker),
        summary=f"AgentRun {owner_of(run)}",
        priority=priority_of(run, worker),
        fairness_key=run.namespace,
        memo=((OWNER_MEMO, owner_of(run)), ("agentRunUid", run.uid)),
    )


def start_again(run: Run, worker: Worker, *, given: object, token: str) -> StartRequest:
    """Return the start request of another attempt; its request id contains spec.retry.token."""
    request = start_request(run, worker, given=given)
    return replace(request, request_id=f"{request.request_id}/{token}", again=True)


def priority_of(run: Run, worker: Worker | None) -> int:
    """Return the run's priority, or else its AgentWorker's, or else the default."""
    of_worker = worker.spec.priority if worker is not None else None
    return run.spec.priority or of_worker or DEFAULT_PRIORITY


def timeouts_of(run: Run, worker: Worker) -> Timeouts:
    """Return the AgentWorker's timeouts; those that the run sets override them."""
    own = run.spec.timeouts.model_dump(exclude_none=True) if run.spec.timeouts is not None else {}
    return worker.spec.timeouts.model_copy(update=own)


def limits_of(run: Run, worker: Worker) -> Limits:
    """Return the AgentWorker's limits; those that the run sets override them."""
    own = run.spec.limits.model_dump(exclude_none=True) if run.spec.limits is not None else {}
    return worker.spec.limits.model_copy(update=own)


def _arguments(run: Run, worker: Worker, given: object) -> tuple[object, ...]:
    if run.spec.agent is None:
        return () if given is None else (given,)
    envelope = RunInput(
        agent=run.spec.agent,
        input=given,
        options=activity_options(worker.spec, timeouts_of(run, worker)),
        limits=limits_of(run, worker),
    )
    return (envelope.wire(),)


def _empty(given: object) -> bool:
    return given is None or given in ({}, []) or (isinstance(given, str) and not given.strip())
