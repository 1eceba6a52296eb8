"""Control an open workflow execution: pause, unpause, cancel, terminate."""

import contextlib

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    PauseWorkflowExecutionRequest,
    RequestCancelWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest,
    UnpauseWorkflowExecutionRequest,
)

from durafleet.errors import NotFound, Unsupported
from durafleet.temporal.connections import Link
from durafleet.temporal.rpc import TIMEOUT, call


async def pause(link: Link, workflow_id: str, run_id: str, *, reason: str) -> None:
    """Pause a workflow. A repeat is no error.

    Raises:
        Unsupported: the server cannot pause workflows, or may not. Otherwise like `rpc.call`.
    """
    if not link.pausable:
        raise Unsupported("the server cannot pause workflows in this namespace")
    request = PauseWorkflowExecutionRequest(
        namespace=link.target.namespace,
        workflow_id=workflow_id,
        run_id=run_id,
        identity=link.client.identity,
        request_id=f"pause-{run_id}",
        reason=reason,
    )
    await call(
        "PauseWorkflowExecution", link.client.workflow_service.pause_workflow_execution(request, timeout=TIMEOUT)
    )


async def unpause(link: Link, workflow_id: str, run_id: str, *, reason: str) -> None:
    """Unpause a workflow. It is no error if it is not paused. Raises like `rpc.call`."""
    request = UnpauseWorkflowExecutionRequest(
        namespace=link.target.namespace,
        workflow_id=workflow_id,
        run_id=run_id,
        identity=link.client.identity,
        request_id=f"unpause-{run_id}",
        reason=reason,
    )
    with contextlib.suppress(NotFound, Unsupported):
        await call(
            "UnpauseWorkflowExecution",
            link.client.workflow_service.unpause_workflow_execution(request, timeout=TIMEOUT),
        )


async def cancel(link: Link, workflow_id: str, first_run_id: str, *, reason: str) -> None:
    """Request cancellation. A repeat or a closed workflow is no error. Raises like `rpc.call`.

    `first_run_id` protects workflows of other chains; empty if it is not known.
    """
    request = RequestCancelWorkflowExecutionRequest(
        namespace=link.target.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        first_execution_run_id=first_run_id,
        identity=link.client.identity,
        request_id=f"cancel-{workflow_id}",
        reason=reason,
    )
    with contextlib.suppress(NotFound):
        await call(
            "RequestCancelWorkflowExecution",
            link.client.workflow_service.request_cancel_workflow_execution(request, timeout=TIMEOUT),
        )


async def terminate(link: Link, workflow_id: str, first_run_id: str, *, reason: str) -> None:
    """Terminate the workflow. A repeat or a closed workflow is no error. Raises like `rpc.call`."""
    request = TerminateWorkflowExecutionRequest(
        namespace=link.target.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        first_execution_run_id=first_run_id,
        identity=link.client.identity,
        reason=reason,
    )
    with contextlib.suppress(NotFound):
        await call(
            "TerminateWorkflowExecution",
            link.client.workflow_service.terminate_workflow_execution(request, timeout=TIMEOUT),
        )
