"""Start and describe workflow executions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import ValidationError
from temporalio.api.common.v1 import (
    Callback,
    Memo,
    Payloads,
    Priority,
    SearchAttributes,
    WorkflowExecution,
    WorkflowType,
)
from temporalio.api.enums.v1 import (
    WorkflowExecutionStatus,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse,
)

from durafleet.api.contract import OWNER_MEMO, PROGRESS_MEMO, Progress, RunPhase, SearchAttribute
from durafleet.core.runs.execution import Execution, ExecutionStatus, StartRequest
from durafleet.errors import AlreadyExists, NotFound, Refused
from durafleet.temporal.callbacks import completion_callbacks, may_be_about_callbacks
from durafleet.temporal.connections import Link
from durafleet.temporal.payloads import decode, encode
from durafleet.temporal.rpc import TIMEOUT, call

_STATUS: Mapping[int, ExecutionStatus] = {
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING: ExecutionStatus.RUNNING,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED: ExecutionStatus.COMPLETED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED: ExecutionStatus.FAILED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED: ExecutionStatus.CANCELED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED: ExecutionStatus.TERMINATED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: ExecutionStatus.CONTINUED_AS_NEW,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: ExecutionStatus.TIMED_OUT,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED: ExecutionStatus.PAUSED,
}
PROBLEMS = "TemporalReportedProblems"


async def start(link: Link, request: StartRequest) -> Execution | None:
    """Start the workflow of a run, or find the one that an earlier try started.

    Returns:
        The execution, if the response says all that a description would; else None, and the caller has to describe it.

    The request id makes a repeat return the first execution, even after it closed. An execution of another
    request (an idempotency key that an earlier AgentRun has used) is found too. The caller has to check whether it
    belongs to the run.

    Raises:
        Refused: Temporal will never accept this start (invalid input).
        Unavailable: the effect is unknown; a repeat with the same request is safe.
    """
    try:
        answer = await _submit(link, request, callbacks=completion_callbacks(link, request.workflow_id))
    except AlreadyExists:
        return None
    return _started(request, answer)


async def _submit(
    link: Link, request: StartRequest, *, callbacks: Sequence[Callback]
) -> StartWorkflowExecutionResponse:
    """Send a start. If it seems to be rejected for its callback, send it again without one."""
    message = _start_request(link, request)
    message.completion_callbacks.extend(callbacks)
    try:
        return await call(
            "StartWorkflowExecution", link.client.workflow_service.start_workflow_execution(message, timeout=TIMEOUT)
        )
    except Refused as error:
        if not (callbacks and may_be_about_callbacks(error)):
            raise
        answer = await _submit(link, request, callbacks=())
        link.do_without_callbacks(error)  # only now: if the second start is rejected too, the callback is not the cause
        return answer


def _started(request: StartRequest, answer: StartWorkflowExecutionResponse) -> Execution | None:
    """Read the response to a start. A request id that others may have used can return their execution."""
    fresh = answer.started and answer.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
    if not fresh or request.request_id != request.uid:
        return None
    return Execution(
        workflow_id=request.workflow_id,
        run_id=answer.run_id,
        first_run_id=answer.first_execution_run_id or answer.run_id,
        status=ExecutionStatus.RUNNING,
        described=True,
        owner=dict(request.memo)[OWNER_MEMO],
        type=request.workflow_type,
        task_queue=request.task_queue,
        answered=datetime.now(UTC),
    )


def _start_request(link: Link, request: StartRequest) -> StartWorkflowExecutionRequest:
    # AgentRunUpdated and AgentRunPhase are left to the workflow. If the start set them, the sweeps of the next seconds
    # would return every new run, without any news.
    values = {SearchAttribute.FLEET: request.fleet, SearchAttribute.RUN_UID: request.uid}
    indexed = {str(k): encode(v, kind="Keyword") for k, v in values.items() if k in (link.attributes or ())}
    timeout = Duration()
    timeout.FromTimedelta(timedelta(seconds=request.execution_timeout))
    return StartWorkflowExecutionRequest(
        namespace=link.target.namespace,
        workflow_id=request.workflow_id,
        workflow_type=WorkflowType(name=request.workflow_type),
        task_queue=TaskQueue(name=request.task_queue),
        input=Payloads(payloads=[encode(value) for value in request.input]),
        workflow_execution_timeout=timeout,
        identity=link.client.identity,
        request_id=request.request_id,
        workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
        workflow_id_reuse_policy=(
            WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
            if request.again
            else WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
        ),
        memo=Memo(fields={key: encode(value) for key, value in request.memo}),
        search_attributes=SearchAttributes(indexed_fields=indexed),
        user_metadata=UserMetadata(summary=encode(request.summary)),
        priority=Priority(priority_key=request.priority, fairness_key=request.fairness_key),
    )


async def describe(link: Link, workflow_id: str) -> Execution | None:
    """Return the latest execution with this id, or None if Temporal has none. Raises like `rpc.call`."""
    request = DescribeWorkflowExecutionRequest(
        namespace=link.target.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
    )
    try:
        answer = await call(
            "DescribeWorkflowExecution",
            link.client.workflow_service.describe_workflow_execution(request, timeout=TIMEOUT),
        )
    except NotFound:
        return None
    extended = answer.workflow_extended_info
    pause = extended.pause_info
    return replace(
        read_info(answer.workflow_execution_info),
        described=True,
        cancel_requested=extended.cancel_requested,
        paused_by=(pause.identity, pause.reason) if extended.HasField("pause_info") else None,
    )


def read_info(info: WorkflowExecutionInfo) -> Execution:
    """Read the responses of describe and list. Raw, because the SDK's own enum fails on paused workflows."""
    return Execution(
        workflow_id=info.execution.workflow_id,
        run_id=info.execution.run_id,
        first_run_id=info.first_run_id,
        status=_STATUS[info.status],
        owner=_owner(info),
        phase=_phase(info),
        type=info.type.name,
        task_queue=info.task_queue,
        start_time=_time(info.start_time) if info.HasField("start_time") else None,
        close_time=_time(info.close_time) if info.HasField("close_time") else None,
        progress=_progress(info),
        problem=_problem(info),
    )


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


def _progress(info: WorkflowExecutionInfo) -> Progress | None:
    payload = info.memo.fields.get(PROGRESS_MEMO)
    if payload is None:
        return None
    try:
        return Progress.model_validate(decode(payload))
    except (ValidationError, ValueError):
        return None  # another application's memo of the same name


def _owner(info: WorkflowExecutionInfo) -> str | None:
    payload = info.memo.fields.get(OWNER_MEMO)
    owner = decode(payload) if payload is not None else None
    return owner if isinstance(owner, str) else None


def _phase(info: WorkflowExecutionInfo) -> RunPhase | None:
    payload = info.search_attributes.indexed_fields.get(SearchAttribute.PHASE)
    try:
        return RunPhase(decode(payload)) if payload is not None else None
    except ValueError:
        return None  # a value of a newer worker, or another application's attribute


def _problem(info: WorkflowExecutionInfo) -> str | None:
    payload = info.search_attributes.indexed_fields.get(PROBLEMS)
    value = decode(payload) if payload is not None else None
    if not value:
        return None
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)
