"""What an operator asks of Temporal, written down by the proxy between them; and what a list keeps from it."""

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
class Lens:
    """A lens for `grpc_proxy`.

    Attributes:
        queries: the Temporal namespace and the query of each list.
        described: the workflow id of each description.
        hidden: workflow ids that visibility has lost.
    """

    queries: list[tuple[str, str]] = field(default_factory=list)
    described: list[str] = field(default_factory=list)
    hidden: Sequence[str] = ()

    def __call__(self, signature: str, request: bytes, answer: bytes) -> bytes:
        if signature == "DescribeWorkflowExecution":
            self.described.append(DescribeWorkflowExecutionRequest.FromString(request).execution.workflow_id)
        if signature != "ListWorkflowExecutions":
            return answer
        asked = ListWorkflowExecutionsRequest.FromString(request)
        self.queries.append((asked.namespace, asked.query))
        response = ListWorkflowExecutionsResponse.FromString(answer)
        shown = [info for info in response.executions if info.execution.workflow_id not in self.hidden]
        del response.executions[:]
        response.executions.extend(shown)
        return response.SerializeToString()

    def count(self, beginning: str, *, namespace: str = "default") -> int:
        """Return how many queries that begin so were made in a Temporal namespace."""
        return sum(where == namespace and query.startswith(beginning) for where, query in self.queries)
