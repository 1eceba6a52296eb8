"""Convert Temporal's chain of failures to a failure that a person can act on."""

from collections.abc import Mapping

from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure as ProtoFailure

from durafleet.api.contract import ErrorType
from durafleet.api.run import Failure

_MESSAGE = 4096
_CAUSE = 512
_DEPTH = 10
_DOCUMENTED = frozenset(ErrorType)

_TIMEOUTS: Mapping[int, tuple[str, str]] = {
    TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE: (
        "StartToClose",
        "start-to-close timeout: one attempt took too long",
    ),
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START: (
        "ScheduleToStart",
        "schedule-to-start timeout: no worker started it in time",
    ),
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE: (
        "ScheduleToClose",
        "schedule-to-close timeout: all attempts together took too long",
    ),
    TimeoutType.TIMEOUT_TYPE_HEARTBEAT: (
        "Heartbeat",
        "heartbeat timeout: the worker was lost, or the code did not heartbeat",
    ),
}


def read_failure(proto: ProtoFailure) -> Failure:
    """Summarise a failure: the root cause in `type` and `message`, the chain in `causes`.

    A failure that already has a failure type of the API counts as the root cause of the failures behind it.
    """
    chain = _chain(proto)
    spoken = next((depth for depth, failure in enumerate(chain, 1) if _kind(failure) in _DOCUMENTED), len(chain))
    root = chain[spoken - 1]
    activity = next(
        (f.activity_failure_info.activity_type.name for f in chain if f.HasField("activity_failure_info")), None
    )
    causes = [f"{_kind(failure)}: {_words(failure)}"[:_CAUSE] for failure in chain]
    return Failure(
        type=_kind(root)[:253],
        message=_words(root)[:_MESSAGE],
        causes=causes if len(causes) > 1 else [],
        retryable=_retryable(chain[:spoken]),
        activity=activity[:253] if activity else None,
        timeout=_timeout(chain),
    )


def started_event(proto: ProtoFailure) -> int:
    """Return the id of the event that last started the failed activity, or 0 if no activity failed."""
    return next(
        (f.activity_failure_info.started_event_id for f in _chain(proto) if f.HasField("activity_failure_info")), 0
    )


def _chain(proto: ProtoFailure) -> list[ProtoFailure]:
    chain = [proto]
    while chain[-1].HasField("cause") and len(chain) < _DEPTH:
        chain.append(chain[-1].cause)
    return chain


def _kind(failure: ProtoFailure) -> str:
    match failure.WhichOneof("failure_info"):
        case "application_failure_info":
            return failure.application_failure_info.type or "ApplicationError"
        case "timeout_failure_info":
            return "Timeout"
        case "activity_failure_info":
            return "ActivityFailure"
        case "canceled_failure_info":
            return "Cancelled"
        case "terminated_failure_info":
            return "Terminated"
        case "child_workflow_execution_failure_info":
            return "ChildWorkflowFailure"
        case "server_failure_info":
            return "ServerFailure"
        case _:
            return "Failure"


def _words(failure: ProtoFailure) -> str:
    words = failure.message or "no message"
    if failure.HasField("timeout_failure_info"):
        kind = failure.timeout_failure_info.timeout_type
        return _TIMEOUTS[kind][1] if kind in _TIMEOUTS else words
    if failure.HasField("activity_failure_info"):
        info = failure.activity_failure_info
        state = RetryState.Name(info.retry_state).removeprefix("RETRY_STATE_").replace("_", " ").lower()
        return f"activity {info.activity_type.name} failed ({state})"
    if failure.HasField("application_failure_info") and failure.HasField("encoded_attributes"):
        return f"{words} (its details are encoded, and the operator has no codec)"
    return words


def _timeout(chain: list[ProtoFailure]) -> str | None:
    kinds = (f.timeout_failure_info.timeout_type for f in chain if f.HasField("timeout_failure_info"))
    return next((_TIMEOUTS[kind][0] for kind in kinds if kind in _TIMEOUTS), None)


def _retryable(chain: list[ProtoFailure]) -> bool | None:
    for failure in reversed(chain):
        if failure.HasField("application_failure_info"):
            return not failure.application_failure_info.non_retryable
        if failure.HasField("timeout_failure_info"):
            return True
    return None
