"""Records an operator's requests to Temporal in the proxy, and can hide executions from visibility lists."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    ListWorkflowExecutionsRequest,
    ListWorkflowExecutionsResponse,
)

CENSUS = "ExecutionStatus IN"
PROGRESSED = "AgentRunUpdated >"


@dataclass
class TemporalRecorder:
    """A response filter for `grpc_proxy`.

    Attributes:
        queries: the Temporal namespace and the query of each ListWorkflowExecutions request.
        described: the workflow id of each DescribeWorkflowExecution request.
        hidden: workflow ids to remove from the lists, as if visibility had lost them.
    """

    queries: list[tuple[str, str]] = field(default_factory=list)
    described: list[str] = field(default_factory=list)
    hidden: Sequence[str] = ()

    def __call__(self, signature: str, request: bytes, response: bytes) -> bytes:
        if signature == "DescribeWorkflowExecution":
            self.described.append(DescribeWorkflowExecutionRequest.FromString(request).execution.workflow_id)
        if signature != "ListWorkflowExecutions":
            return response
        listing = ListWorkflowExecutionsRequest.FromString(request)
        self.queries.append((listing.namespace, listing.query))
        listed = ListWorkflowExecutionsResponse.FromString(response)
        shown = [info for info in listed.executions if info.execution.workflow_id not in self.hidden]
        del listed.executions[:]
        listed.executions.extend(shown)
        return listed.SerializeToString()

    def count(self, prefix: str, *, namespace: str = "default") -> int:
        """Return the number of queries with a prefix in a Temporal namespace."""
        return sum(listed == namespace and query.startswith(prefix) for listed, query in self.queries)
