"""The timeouts and retries of an AgentWorker: their validation, and the options of activities."""

from durafleet.api.contract import ActivityOptions, RetryOptions
from durafleet.api.durations import parse_duration
from durafleet.api.worker import AgentWorkerSpec, Timeouts


def out_of_order(timeouts: Timeouts) -> str | None:
    """Return which timeouts contradict each other; None if they fit. For cases that the CRD's rule cannot check."""
    heartbeat, activity, workflow = (
        parse_duration(text) for text in (timeouts.heartbeat, timeouts.activity, timeouts.workflow)
    )
    if heartbeat < activity < workflow:
        return None
    return (
        f"heartbeat ({timeouts.heartbeat}) must be shorter than activity ({timeouts.activity}), and activity must be "
        f"shorter than workflow ({timeouts.workflow})."
    )


def activity_options(spec: AgentWorkerSpec, timeouts: Timeouts) -> ActivityOptions:
    """Return the timeouts and retries of activities, in seconds."""
    return ActivityOptions(
        start_to_close=parse_duration(timeouts.activity).total_seconds(),
        heartbeat=parse_duration(timeouts.heartbeat).total_seconds(),
        retry=RetryOptions(
            maximum_attempts=spec.retry.maximum_attempts,
            initial_interval=parse_duration(spec.retry.initial_interval).total_seconds(),
            backoff_coefficient=float(spec.retry.backoff_coefficient),
            maximum_interval=parse_duration(spec.retry.maximum_interval).total_seconds(),
        ),
    )
