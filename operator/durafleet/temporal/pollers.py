"""The pollers of a task queue, as Temporal reports them."""

from datetime import UTC

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from durafleet.core.workers.pollers import Poller
from durafleet.temporal.connections import Link
from durafleet.temporal.rpc import TIMEOUT, call


async def pollers(link: Link, task_queue: str) -> list[Poller]:
    """Return the pollers of the queue's workflow tasks in the last minutes. Raises like `rpc.call`."""
    request = DescribeTaskQueueRequest(
        namespace=link.target.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    answer = await call("DescribeTaskQueue", link.client.workflow_service.describe_task_queue(request, timeout=TIMEOUT))
    return [
        Poller(identity=poller.identity, last_access=poller.last_access_time.ToDatetime(tzinfo=UTC))
        for poller in answer.pollers
    ]
