"""Apply the timeouts and the retry policy of a run to every activity that it starts.

The operator resolves them and passes them with the run's input. So they are in the history of each run, and a
change of the AgentWorker reaches the next run without a new worker.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.worker import (
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ActivityConfig

from durafleet.api.contract import ActivityOptions, RetryOptions


def retry_policy(options: RetryOptions, base: RetryPolicy | None = None) -> RetryPolicy:
    """Apply a run's retry options to a policy. The policy keeps its list of non-retryable errors."""
    return replace(
        base or RetryPolicy(),
        maximum_attempts=options.maximum_attempts,
        initial_interval=timedelta(seconds=options.initial_interval),
        backoff_coefficient=options.backoff_coefficient,
        maximum_interval=timedelta(seconds=options.maximum_interval),
    )


def activity_config(options: ActivityOptions) -> ActivityConfig:
    """Return the options in the form of the library's configuration."""
    return ActivityConfig(
        start_to_close_timeout=timedelta(seconds=options.start_to_close),
        heartbeat_timeout=timedelta(seconds=options.heartbeat),
        retry_policy=retry_policy(options.retry),
    )


class RunOptions(Interceptor):
    """Worker interceptor that gives the activities of a run the run's own options."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:  # noqa: ARG002
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        options = getattr(workflow.instance(), "options", None)
        if isinstance(options, ActivityOptions):
            input.start_to_close_timeout = timedelta(seconds=options.start_to_close)
            input.heartbeat_timeout = timedelta(seconds=options.heartbeat)
            input.retry_policy = retry_policy(options.retry, input.retry_policy)
        return self.next.start_activity(input)
