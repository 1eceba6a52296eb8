"""The meaning of each reason and failure type, and what to do: the source of the tables in docs/reference.

The texts are not in the enums, because the worker image imports the enums and does not need the texts.
"""

from dataclasses import dataclass

from durafleet.api.contract import ErrorType
from durafleet.api.status import Reason

RUN, WORKER, CONNECTION = "AgentRun", "AgentWorker", "TemporalConnection"


@dataclass(frozen=True)
class Meaning:
    """The documentation of a reason."""

    kinds: tuple[str, ...]
    meaning: str
    remedy: str


_NOTHING = "No action is needed."
_AGAIN = "change `spec.retry.token`"

REASONS: dict[Reason, Meaning] = {
    Reason.PENDING: Meaning(
        (RUN,),
        "The workflow is not started yet. The message of `Ready` names what the run waits for.",
        "Follow the message of `Ready`.",
    ),
    Reason.QUEUED: Meaning(
        (RUN,),
        "As many runs of the AgentWorker are open as `maxConcurrentRuns` allows. `status.queuePosition` is the "
        "position in the queue.",
        "Wait, or raise `maxConcurrentRuns`.",
    ),
    Reason.RUNNING: Meaning((RUN,), "The workflow is running.", _NOTHING),
    Reason.AWAITING_APPROVAL: Meaning(
        (RUN,),
        "The workflow is running and reports that it waits for a person.",
        "Answer it as the workflow expects, usually with a signal.",
    ),
    Reason.SUSPENDED: Meaning(
        (RUN,),
        "`spec.suspend` keeps the run from starting or has paused its workflow (the run is Ready), or somebody paused "
        "the workflow in Temporal (the run is not Ready).",
        "Set `spec.suspend: false`. If it was paused in Temporal, run the command in the message.",
    ),
    Reason.COMPLETED: Meaning((RUN,), "The workflow completed. `status.result` holds the answer.", _NOTHING),
    Reason.WORKFLOW_FAILED: Meaning(
        (RUN,), "The workflow failed. `status.failure` holds the cause.", f"Fix the cause, then {_AGAIN}."
    ),
    Reason.TIMED_OUT: Meaning(
        (RUN,),
        "The workflow did not close within `timeouts.workflow`.",
        f"Find in the workflow's history what took the time, then {_AGAIN} for another attempt with the same timeout.",
    ),
    Reason.CANCELLED: Meaning(
        (RUN,),
        "The workflow was cancelled by `spec.stop` or not started because of it (then the run is Ready), or it was "
        "cancelled from outside this AgentRun.",
        f"To continue, remove `spec.stop` and {_AGAIN}.",
    ),
    Reason.TERMINATED: Meaning(
        (RUN,),
        "The workflow was terminated, or Temporal no longer has it.",
        f"To continue, remove `spec.stop` and {_AGAIN}.",
    ),
    Reason.START_REJECTED: Meaning(
        (RUN,),
        "Temporal rejected the start, or the workflow id belongs to a workflow that is not this run's.",
        f"Fix what the message names, then {_AGAIN} or create a new AgentRun.",
    ),
    Reason.INVALID_SPEC: Meaning(
        (RUN, WORKER),
        "The spec is invalid in a way that the schema cannot detect.",
        "Correct what the message names. If it cannot be changed, create a new object.",
    ),
    Reason.CANCELLING: Meaning(
        (RUN,), "Cancellation was requested, and the workflow is still open.", "Wait, or set `spec.stop: Terminate`."
    ),
    Reason.WORKER_NOT_FOUND: Meaning(
        (RUN,),
        "The AgentWorker in `spec.workerRef.name` does not exist in this namespace. `Stalled` after 60 s if the "
        "workflow is not started yet.",
        "Create the AgentWorker. The run then starts or continues by itself.",
    ),
    Reason.AGENT_NOT_FOUND: Meaning(
        (RUN,),
        "The AgentWorker does not declare the agent. `Stalled` after 60 s.",
        "Add the agent to the AgentWorker, or create a run with another `spec.agent`.",
    ),
    Reason.INPUT_NOT_FOUND: Meaning(
        (RUN,),
        "The ConfigMap or Secret in `spec.inputFrom`, or its key, does not exist, or the operator may not read it. "
        "`Stalled` after 60 s.",
        "Create it, or set `inputFromSecrets.enabled` in the chart for a Secret. The run then starts by itself.",
    ),
    Reason.SUSPEND_UNSUPPORTED: Meaning(
        (RUN,),
        "`spec.suspend` is true, but the Temporal server cannot pause workflows. The run continues.",
        "Enable `frontend.WorkflowPauseEnabled` on the server, or use `spec.stop`.",
    ),
    Reason.WAITING_FOR_POLLERS: Meaning(
        (RUN, WORKER),
        "On an AgentWorker: the pods run, but Temporal does not report any of them as polling the task queue. On an "
        "AgentRun: the AgentWorker is stalled, or it now polls another task queue, so no worker takes the run's tasks; "
        "the message names the cause.",
        "Follow the message. If the reason persists, read the logs of the worker pods and the AgentWorker's "
        "conditions.",
    ),
    Reason.WORKFLOW_TASK_FAILING: Meaning(
        (RUN,),
        "Workflow tasks of the run fail on the worker, and Temporal retries them.",
        "Fix the worker's image. The run then continues by itself.",
    ),
    Reason.TEMPORAL_UNAVAILABLE: Meaning(
        (RUN, WORKER, CONNECTION),
        "Temporal does not respond. Workflows that run in Temporal are not affected.",
        "Check Temporal, its address and the network in between. The status then catches up by itself.",
    ),
    Reason.CONNECTION_NOT_FOUND: Meaning(
        (RUN, WORKER),
        "The TemporalConnection does not exist, or `spec.connectionRef` is unset and the operator has no default "
        "connection.",
        "Create the TemporalConnection, or set `temporal.address` in the chart's values.",
    ),
    Reason.NAMESPACE_NOT_FOUND: Meaning(
        (RUN, WORKER, CONNECTION),
        "The Temporal namespace does not exist.",
        "Create it with `temporal operator namespace create`, or correct the connection.",
    ),
    Reason.ACCESS_DENIED: Meaning(
        (RUN, WORKER, CONNECTION),
        "Temporal denies the operator's requests.",
        "Use a Temporal server that allows access without credentials; Durafleet cannot send credentials to Temporal "
        "yet.",
    ),
    Reason.REACHABLE: Meaning((CONNECTION,), "Temporal responds, and the namespace exists.", _NOTHING),
    Reason.THROTTLED: Meaning(
        (CONNECTION,),
        "Temporal responds, but limits how often the operator may list workflows. The status of runs is updated later.",
        "Raise `frontend.namespaceRPS.visibility` in the server's dynamic configuration.",
    ),
    Reason.AVAILABLE: Meaning((WORKER,), "The Deployment is rolled out, and its pods poll the task queue.", _NOTHING),
    Reason.SCALED_TO_ZERO: Meaning(
        (WORKER, RUN), "`spec.replicas` of the AgentWorker is 0. Its runs wait.", "Raise `spec.replicas`."
    ),
    Reason.ROLLING_OUT: Meaning((WORKER,), "Pods are being started or replaced.", "Wait."),
    Reason.IMAGE_PULL_FAILED: Meaning(
        (WORKER,), "The image cannot be pulled.", "Correct `spec.image`, push the image, or add a pull secret."
    ),
    Reason.CRASH_LOOP: Meaning(
        (WORKER,),
        "The worker exits soon after each start.",
        "Read `kubectl logs --previous` of the pod in the message.",
    ),
    Reason.POD_REJECTED: Meaning(
        (WORKER,),
        "The container of a pod cannot be created or started, for example because a Secret or ConfigMap in `env` or "
        "`envFrom` does not exist.",
        "Correct `spec.env`, `spec.envFrom` or `spec.image`, or create the missing ConfigMap or Secret.",
    ),
    Reason.PROGRESS_DEADLINE_EXCEEDED: Meaning(
        (WORKER,),
        "The pods are not available after 10 minutes.",
        "Run the command in the message, which describes the pods.",
    ),
    Reason.FOREIGN_OBJECT: Meaning(
        (WORKER,),
        "A Deployment of the same name exists that this AgentWorker does not control. The operator does not change it.",
        "Delete that Deployment, or create the AgentWorker under another name.",
    ),
}

RUN_EVENTS: dict[str, str] = {
    "`Running`": "The operator first observes the open workflow of an attempt. Normal.",
    "a terminal state": "The run ends; the reason is the state. Normal if the run is then Ready, otherwise Warning.",
    "`RetryIgnored`": "`spec.retry.token` changes while the run is open, or after it has completed. Warning.",
    "`WorkflowAbandoned`": "The AgentRun was deleted, and its workflow has not ended after 120 s, so the operator "
    "removes its finalizer. The workflow may still be running. Warning.",
}
"""When the operator posts an Event on an AgentRun, by the reason of the Event."""

ERRORS: dict[ErrorType, str] = {
    ErrorType.UNKNOWN_AGENT: "The worker that executed the run does not declare the agent.",
    ErrorType.INVALID_INPUT: "The workflow cannot use the input.",
    ErrorType.MODEL_AUTHENTICATION: "The model API rejected the API key. Not retried.",
    ErrorType.MODEL_NOT_FOUND: "The model API has no such model, or no such address. Not retried.",
    ErrorType.MODEL_REJECTED: "The model API rejected the request. Not retried.",
    ErrorType.MODEL_QUOTA: "The account's quota is used up. Not retried.",
    ErrorType.MODEL_UNAVAILABLE: "The model API was overloaded, failed or could not be reached in every attempt.",
    ErrorType.CONTEXT_TOO_LARGE: "The conversation no longer fits the model's context or Temporal's size limits.",
    ErrorType.OUTPUT_INVALID: "No answer of the model matched the output schema.",
    ErrorType.TURN_LIMIT: "The run needed more requests to the model than `limits.turns` allows.",
    ErrorType.TOOL_CALL_LIMIT: "The run needed more tool calls than `limits.toolCalls` allows.",
    ErrorType.TOKEN_LIMIT: "The run used more tokens than `limits.tokens` allows.",
    ErrorType.TOOL_FAILED: "The model called a tool with invalid arguments, or called an unknown tool, too many times "
    "in a row.",
    ErrorType.ACTIVITY_TIMED_OUT: "A request to the model timed out in every attempt.",
}
