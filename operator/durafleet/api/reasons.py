"""What each reason and each failure type means, and what to do: the source of the tables in docs/reference.

Beside the enums and not in them, because the worker image, which shares them, has no use for prose.
"""

from dataclasses import dataclass

from durafleet.api.contract import ErrorType
from durafleet.api.status import Reason

RUN, WORKER, CONNECTION = "AgentRun", "AgentWorker", "TemporalConnection"


@dataclass(frozen=True)
class Meaning:
    """A reason, for the people who meet it."""

    kinds: tuple[str, ...]
    meaning: str
    remedy: str


_NOTHING = "Nothing."
_AGAIN = "change `spec.retry.token`"

REASONS: dict[Reason, Meaning] = {
    Reason.PENDING: Meaning(
        (RUN,), "The workflow has not been started yet; `Ready` says what the run waits for.", "Read the message."
    ),
    Reason.QUEUED: Meaning(
        (RUN,),
        "As many runs of the AgentWorker are open as `maxConcurrentRuns` allows; `status.queuePosition` is the place "
        "in line.",
        "Wait, or raise `maxConcurrentRuns`.",
    ),
    Reason.RUNNING: Meaning((RUN,), "The workflow is running.", _NOTHING),
    Reason.AWAITING_APPROVAL: Meaning(
        (RUN,), "The workflow is running and says that it waits for a person.", "Give it the answer it waits for."
    ),
    Reason.SUSPENDED: Meaning(
        (RUN,),
        "Not started because of `spec.suspend`, or paused: by it (then the run is Ready), or from outside.",
        "Set `spec.suspend: false`; where it was paused from outside, the command is in the message.",
    ),
    Reason.COMPLETED: Meaning((RUN,), "The workflow completed; `status.result` holds the answer.", _NOTHING),
    Reason.WORKFLOW_FAILED: Meaning(
        (RUN,), "The workflow failed; `status.failure` says why.", f"Correct the cause, then {_AGAIN}."
    ),
    Reason.TIMED_OUT: Meaning(
        (RUN,),
        "The workflow did not end within `timeouts.workflow`.",
        f"Look in Temporal at where the time went; {_AGAIN} for as much time again.",
    ),
    Reason.CANCELLED: Meaning(
        (RUN,),
        "The workflow was cancelled: by `spec.stop` (then the run is Ready), or from outside.",
        f"To go on, take `spec.stop` away and {_AGAIN}.",
    ),
    Reason.TERMINATED: Meaning(
        (RUN,),
        "The workflow was terminated, or Temporal no longer knows it.",
        f"To go on, take `spec.stop` away and {_AGAIN}.",
    ),
    Reason.START_REJECTED: Meaning(
        (RUN,),
        "Temporal refused to start the workflow, or the workflow id belongs to a workflow that is not this run's.",
        f"Correct what the message names; {_AGAIN}, or create a new AgentRun.",
    ),
    Reason.INVALID_SPEC: Meaning(
        (RUN, WORKER),
        "The spec cannot work, in a way that the schema could not see.",
        "Correct what the message names. A run whose inputs cannot be changed has to be created anew.",
    ),
    Reason.CANCELLING: Meaning(
        (RUN,), "Cancellation was requested; the workflow is cleaning up.", "Wait, or set `spec.stop: Terminate`."
    ),
    Reason.WORKER_NOT_FOUND: Meaning(
        (RUN,),
        "The AgentWorker that `spec.workerRef.name` names is not in this namespace; Stalled after 60 s.",
        "Create the AgentWorker; the run then starts by itself.",
    ),
    Reason.AGENT_NOT_FOUND: Meaning(
        (RUN,),
        "The AgentWorker declares no agent of this name; Stalled after 60 s.",
        "Add the agent to the AgentWorker, or create a run with another `spec.agent`.",
    ),
    Reason.INPUT_NOT_FOUND: Meaning(
        (RUN,),
        "The ConfigMap or Secret of `spec.inputFrom`, or its key, is not there; Stalled after 60 s.",
        "Create it; the run then starts by itself.",
    ),
    Reason.SUSPEND_UNSUPPORTED: Meaning(
        (RUN,),
        "`spec.suspend` is set, and the Temporal server cannot pause workflows; the run goes on.",
        "Set `frontend.WorkflowPauseEnabled` on the server, or use `spec.stop`.",
    ),
    Reason.WAITING_FOR_POLLERS: Meaning(
        (RUN, WORKER),
        "Temporal sees no worker polling the task queue.",
        "Usually passes as pods start; if it lasts, read the worker's logs and the AgentWorker's conditions.",
    ),
    Reason.WORKFLOW_TASK_FAILING: Meaning(
        (RUN,),
        "The workflow's code fails on the worker, and Temporal tries again.",
        "Correct the worker's image; the run then goes on by itself.",
    ),
    Reason.TEMPORAL_UNAVAILABLE: Meaning(
        (RUN, WORKER, CONNECTION),
        "Temporal does not answer. Runs that go on inside Temporal are not affected.",
        "Check Temporal, the address and the network between; all catches up by itself.",
    ),
    Reason.CONNECTION_NOT_FOUND: Meaning(
        (RUN, WORKER),
        "The TemporalConnection does not exist, or none was named and the operator has no default.",
        "Create the TemporalConnection, or set `temporal.address` in the chart's values.",
    ),
    Reason.NAMESPACE_NOT_FOUND: Meaning(
        (RUN, WORKER, CONNECTION),
        "Temporal has no namespace of this name.",
        "Create it with `temporal operator namespace create`, or correct the connection.",
    ),
    Reason.ACCESS_DENIED: Meaning(
        (RUN, WORKER, CONNECTION), "Temporal refuses the operator's requests.", "Grant access to the namespace."
    ),
    Reason.REACHABLE: Meaning((CONNECTION,), "Temporal answers, and the namespace exists.", _NOTHING),
    Reason.THROTTLED: Meaning(
        (CONNECTION,),
        "Temporal answers, but limits how often the operator may list workflows: what runs do shows later.",
        "Raise `frontend.namespaceRPS.visibility` in the server's dynamic configuration.",
    ),
    Reason.AVAILABLE: Meaning((WORKER,), "The Deployment is rolled out, and Temporal sees its pods polling.", _NOTHING),
    Reason.SCALED_TO_ZERO: Meaning(
        (WORKER, RUN), "`spec.replicas` of the AgentWorker is 0; runs wait.", "Raise `spec.replicas`."
    ),
    Reason.ROLLING_OUT: Meaning((WORKER,), "Pods are being started or replaced.", "Wait."),
    Reason.IMAGE_PULL_FAILED: Meaning(
        (WORKER,), "The image cannot be pulled.", "Correct `spec.image`, push the image, or add a pull secret."
    ),
    Reason.CRASH_LOOP: Meaning(
        (WORKER,), "The worker ends soon after each start.", "Read `kubectl logs --previous` of the pod in the message."
    ),
    Reason.POD_REJECTED: Meaning(
        (WORKER,),
        "Kubernetes refuses the pods, or cannot start their container.",
        "Correct the field that the message names, or create the ConfigMap or Secret it misses.",
    ),
    Reason.PROGRESS_DEADLINE_EXCEEDED: Meaning(
        (WORKER,), "The pods are not available after 10 minutes.", "Describe the pods: the command is in the message."
    ),
    Reason.FOREIGN_OBJECT: Meaning(
        (WORKER,),
        "An object of the same name exists that this AgentWorker does not control; it is left alone.",
        "Delete or rename it, or create the AgentWorker under another name.",
    ),
}

ERRORS: dict[ErrorType, str] = {
    ErrorType.UNKNOWN_AGENT: "The worker that took the run has no agent of this name.",
    ErrorType.INVALID_INPUT: "The input is not one that the workflow can take.",
    ErrorType.MODEL_AUTHENTICATION: "The model's API refused the key. Not tried again.",
    ErrorType.MODEL_NOT_FOUND: "The model's API knows no such model, or there is no such address. Not tried again.",
    ErrorType.MODEL_REJECTED: "The model's API refused the request. Not tried again.",
    ErrorType.MODEL_QUOTA: "The account's quota is used up. Not tried again.",
    ErrorType.MODEL_UNAVAILABLE: "The model's API was overloaded, failed or could not be reached, at every attempt.",
    ErrorType.CONTEXT_TOO_LARGE: "The conversation no longer fits the model's context.",
    ErrorType.OUTPUT_INVALID: "The model never gave an answer that meets the output schema.",
    ErrorType.TURN_LIMIT: "The model took more turns than `limits.turns` allows.",
    ErrorType.TOOL_CALL_LIMIT: "The agent called tools more often than `limits.toolCalls` allows.",
    ErrorType.TOKEN_LIMIT: "The run took more tokens than `limits.tokens` allows.",
    ErrorType.TOOL_FAILED: "A tool failed at every attempt.",
    ErrorType.ACTIVITY_TIMED_OUT: "A model or tool call did not end in time, at every attempt.",
}
