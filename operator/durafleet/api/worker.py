"""AgentWorker: a fleet of worker pods that polls one task queue."""

from typing import Any, ClassVar, Literal

from pydantic import Field
from pydantic.config import JsonDict

from durafleet.api.agents import AGENT_LIST_RULE, Agent
from durafleet.api.contract import Limits
from durafleet.api.model import (
    ANY_JSON,
    Duration,
    Model,
    ObjectName,
    ObjectRef,
    Priority,
    Quantity,
    Rule,
    list_map,
    longer_than_zero,
    shorter_than,
)
from durafleet.api.status import Status


class Timeouts(Model):
    """Default timeouts of the fleet's runs, as durations such as 90s or 1h30m."""

    workflow: Duration = Field(
        default="1h",
        description="Workflow execution timeout: the maximum duration of one attempt of a run. When it is exceeded, "
        "Temporal closes the workflow, and the run is TimedOut. Must be longer than activity. Defaults to 1h.",
    )
    activity: Duration = Field(
        default="5m",
        description="Start-to-close timeout: the maximum duration of one attempt of a model or tool call. When it is "
        "exceeded, the attempt fails. Must be longer than heartbeat. Defaults to 5m.",
    )
    heartbeat: Duration = Field(
        default="30s",
        description="Heartbeat timeout: the maximum time between two heartbeats of a model or tool call. When it is "
        "exceeded, the attempt fails. Must be longer than 0s. Defaults to 30s.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        longer_than_zero("heartbeat"),
        shorter_than("heartbeat", "activity"),
        shorter_than("activity", "workflow"),
    )


class Retry(Model):
    """Retry policy of failed model and tool calls."""

    maximum_attempts: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Maximum number of attempts, including the first: 1 to 1000. 1 means no retry. Defaults to 5.",
    )
    initial_interval: Duration = Field(
        default="1s",
        description="Interval before the first retry. Must be longer than 0s and not longer than maximumInterval. "
        "Defaults to 1s.",
    )
    backoff_coefficient: str = Field(
        default="2",
        max_length=8,
        pattern=r"^[1-9][0-9]*(\.[0-9]+)?$",
        description='Factor by which the interval grows with each retry: a string such as "1.5", at least 1. '
        "Defaults to 2.",
    )
    maximum_interval: Duration = Field(default="1m", description="Maximum interval between retries. Defaults to 1m.")

    rules: ClassVar[tuple[Rule, ...]] = (
        longer_than_zero("initialInterval"),
        shorter_than("initialInterval", "maximumInterval", or_equal=True),
    )


class Concurrency(Model):
    """Task slots of each worker pod."""

    workflow_tasks: int = Field(
        default=100,
        ge=2,
        le=10000,
        description="Maximum number of concurrent workflow tasks in each pod: 2 to 10000. Defaults to 100.",
    )
    activities: int = Field(
        default=100,
        ge=1,
        le=10000,
        description="Maximum number of concurrent model and tool calls in each pod: 1 to 10000. Defaults to 100.",
    )


class Resources(Model):
    """Compute resources of the worker container."""

    requests: dict[str, Quantity] | None = Field(
        default=None, max_length=16, description="Resources that the scheduler reserves for the container."
    )
    limits: dict[str, Quantity] | None = Field(
        default=None, max_length=16, description="Maximum resources that the container can use."
    )


ENV_ITEM: JsonDict = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": 253,
            "pattern": "^[-._a-zA-Z][-._a-zA-Z0-9]*$",
            "description": "Name of the variable.",
        }
    },
    **ANY_JSON,
}
"""An environment variable. This schema checks only the name; the API server checks the rest with the pods."""


class AgentWorkerSpec(Model):
    """Desired state of the fleet: the task queue, the agents, the pods, and the timeouts and limits of the runs."""

    connection_ref: ObjectRef | None = Field(
        default=None,
        description="TemporalConnection to use, in the same namespace. Defaults to the operator's default connection.",
    )
    task_queue: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="Temporal task queue that the pods poll. Defaults to <namespace>/<name>.",
    )
    timeouts: Timeouts = Field(
        default=Timeouts(), description="Default timeouts of the runs. An AgentRun can override them."
    )
    retry: Retry = Field(default=Retry(), description="Retry policy of model and tool calls.")
    agents: list[Agent] = Field(
        default_factory=list,
        max_length=32,
        description="Agents that Durafleet's worker image runs. Leave it empty if the image provides its own "
        "workflows.",
        json_schema_extra=list_map("name", AGENT_LIST_RULE),
    )
    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="Image of the worker container. Defaults to workerImage in the chart's values.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None,
        description="Image pull policy, as in a container. Defaults to the Kubernetes default if image is set, else to "
        "workerImage.pullPolicy in the chart's values.",
    )
    env: list[dict[str, Any]] = Field(
        default_factory=list,
        max_length=128,
        description="Environment variables of the worker container, as in a pod (value or valueFrom).",
        json_schema_extra=list_map("name") | {"items": ENV_ITEM},
    )
    env_from: list[dict[str, Any]] = Field(
        default_factory=list,
        max_length=32,
        description="ConfigMaps and Secrets whose keys become environment variables, as in a pod.",
        json_schema_extra={"items": {"type": "object", **ANY_JSON}},
    )
    resources: Resources = Field(
        default=Resources(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "1Gi"}),
        description="Compute resources of the worker container. Defaults to requests of 100m cpu and 256Mi memory, and "
        "a limit of 1Gi memory.",
    )
    service_account_name: ObjectName | None = Field(
        default=None, description="Service account of the pods. Its token is mounted only if this field is set."
    )
    replicas: int = Field(default=1, ge=0, le=10000, description="Number of worker pods: 0 to 10000. Defaults to 1.")
    drain_timeout: Duration = Field(
        default="30s",
        description="Time that a stopping pod has to finish its running model and tool calls. Temporal retries "
        "unfinished calls on another pod. Defaults to 30s.",
    )
    concurrency: Concurrency = Field(default=Concurrency(), description="Task slots of each worker pod.")
    max_concurrent_runs: int | None = Field(
        default=None,
        ge=1,
        le=100000,
        description="Maximum number of open runs of this fleet: 1 to 100000. Further runs are Queued, ordered by "
        "priority, then by age. Unlimited by default.",
    )
    priority: Priority | None = Field(
        default=None, description="Default priority of the runs: 1 to 5, where 1 comes first. Defaults to 3."
    )
    limits: Limits = Field(
        default=Limits(), description="Default limits of the runs of declared agents. An AgentRun can override them."
    )


class AgentWorkerStatus(Status):
    """Observed state of the fleet."""

    task_queue: str | None = Field(default=None, max_length=255, description="Task queue that the pods poll.")
    temporal_namespace: str | None = Field(default=None, max_length=255, description="Temporal namespace in use.")
    replicas: int | None = Field(default=None, ge=0, description="Number of pods.")
    ready_replicas: int | None = Field(default=None, ge=0, description="Number of ready pods.")
    pollers: int | None = Field(
        default=None,
        ge=0,
        description="Number of pods that polled the task queue, according to Temporal, when Ready was last evaluated. "
        "Absent while the fleet is not Ready.",
    )
    selector: str | None = Field(
        default=None, max_length=512, description="Label selector of the pods, for autoscalers."
    )


class AgentWorker(Model):
    """A fleet of worker pods that polls one Temporal task queue."""

    kind: ClassVar[str] = "AgentWorker"
    spec: AgentWorkerSpec
    status: AgentWorkerStatus = AgentWorkerStatus()

    rules: ClassVar[tuple[Rule, ...]] = (
        # The name is a label value on every pod.
        Rule("self.metadata.name.size() <= 63", "metadata.name of an AgentWorker must have at most 63 characters"),
    )
