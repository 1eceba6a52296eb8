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
    """How long things may take. Durations are kept as written ("90s", "1h30m")."""

    workflow: Duration = Field(
        default="1h", description="The whole run, from start to close; Temporal's workflow execution timeout."
    )
    activity: Duration = Field(default="5m", description="One attempt of a model or tool call; start-to-close.")
    heartbeat: Duration = Field(default="30s", description="Silence after which a worker counts as lost.")

    rules: ClassVar[tuple[Rule, ...]] = (
        longer_than_zero("heartbeat"),
        shorter_than("heartbeat", "activity"),
        shorter_than("activity", "workflow"),
    )


class Retry(Model):
    """How often a failed model or tool call is tried again."""

    maximum_attempts: int = Field(default=5, ge=1, le=1000, description="Attempts in all; 1 means no retry.")
    initial_interval: Duration = Field(default="1s", description="Wait before the second attempt.")
    backoff_coefficient: str = Field(
        default="2",
        max_length=8,
        pattern=r"^[1-9][0-9]*(\.[0-9]+)?$",
        description="Factor from one wait to the next, at least 1.",
    )
    maximum_interval: Duration = Field(default="1m", description="Longest wait between attempts.")

    rules: ClassVar[tuple[Rule, ...]] = (
        longer_than_zero("initialInterval"),
        shorter_than("initialInterval", "maximumInterval", or_equal=True),
    )


class Concurrency(Model):
    """Slots of each worker pod."""

    workflow_tasks: int = Field(default=100, ge=2, le=10000, description="Workflow tasks at once in a pod.")
    activities: int = Field(default=100, ge=1, le=10000, description="Model and tool calls at once in a pod.")


class Resources(Model):
    """Compute resources of the worker container."""

    requests: dict[str, Quantity] | None = Field(default=None, max_length=16, description="What a pod is placed by.")
    limits: dict[str, Quantity] | None = Field(
        default=None, max_length=16, description="What a pod never gets more of."
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
"""A variable: only the name is ours to check; the rest is the pod's own schema, checked with the pods."""


class AgentWorkerSpec(Model):
    """The workers of a fleet: where they poll, what they run, and how long it may take."""

    connection_ref: ObjectRef | None = Field(
        default=None, description="The TemporalConnection to use; without it the operator's own default connection."
    )
    task_queue: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="The Temporal task queue; <namespace>/<name> unless set.",
    )
    timeouts: Timeouts = Field(default=Timeouts(), description="Timeouts of the runs.")
    retry: Retry = Field(default=Retry(), description="Retries of model and tool calls.")
    agents: list[Agent] = Field(
        default_factory=list,
        max_length=32,
        description="Agents that the release's worker image runs; none when the image brings its own workflows.",
        json_schema_extra=list_map("name", AGENT_LIST_RULE),
    )
    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="The worker's image; the release's worker image unless set.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="As in a container; Kubernetes' own default unless set."
    )
    env: list[dict[str, Any]] = Field(
        default_factory=list,
        max_length=128,
        description="Variables of the worker container, as in a pod (value or valueFrom).",
        json_schema_extra=list_map("name") | {"items": ENV_ITEM},
    )
    env_from: list[dict[str, Any]] = Field(
        default_factory=list,
        max_length=32,
        description="ConfigMaps and Secrets whose keys become variables, as in a pod.",
        json_schema_extra={"items": {"type": "object", **ANY_JSON}},
    )
    resources: Resources = Field(
        default=Resources(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "1Gi"}),
        description="Compute resources of the worker container.",
    )
    service_account_name: ObjectName | None = Field(
        default=None, description="Service account of the pods; its token is mounted only when this is set."
    )
    replicas: int = Field(default=1, ge=0, le=10000, description="Worker pods.")
    drain_timeout: Duration = Field(default="30s", description="How long a stopping pod may finish what it is doing.")
    concurrency: Concurrency = Field(default=Concurrency(), description="Slots of each worker pod.")
    max_concurrent_runs: int | None = Field(
        default=None,
        ge=1,
        le=100000,
        description="Most runs of this fleet that are open at once; further ones wait as Queued, by priority and age.",
    )
    priority: Priority | None = Field(
        default=None, description="Priority of runs that do not say, from 1 (first) to 5 (last); 3 unless set."
    )
    limits: Limits = Field(default=Limits(), description="Budgets of runs that do not say.")


class AgentWorkerStatus(Status):
    """What the operator observed of the fleet."""

    task_queue: str | None = Field(default=None, max_length=255, description="The task queue in use.")
    temporal_namespace: str | None = Field(default=None, max_length=255, description="The Temporal namespace in use.")
    replicas: int | None = Field(default=None, ge=0, description="Pods that exist.")
    ready_replicas: int | None = Field(default=None, ge=0, description="Pods that are ready.")
    pollers: int | None = Field(
        default=None, ge=0, description="Pods of this fleet that Temporal saw polling when Ready was decided."
    )
    selector: str | None = Field(
        default=None, max_length=512, description="Label selector of the pods, for autoscalers."
    )


class AgentWorker(Model):
    """A fleet of worker pods bound to one Temporal task queue."""

    kind: ClassVar[str] = "AgentWorker"
    spec: AgentWorkerSpec
    status: AgentWorkerStatus = AgentWorkerStatus()

    rules: ClassVar[tuple[Rule, ...]] = (
        # It is a label's value on every pod.
        Rule("self.metadata.name.size() <= 63", "metadata.name of an AgentWorker must have at most 63 characters"),
    )
