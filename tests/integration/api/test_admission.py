"""The real API server sets defaults on valid objects, and rejects invalid ones with a message that names the fix."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from durafleet.api.run import INPUT_LIMIT
from tests.support.cluster import CHART, ControlPlane
from tests.support.waiting import until

NAMES = itertools.count()


def an_object(kind: str, spec: dict[str, Any], *, namespace: str = "default", name: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "durafleet.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name or f"o-{next(NAMES)}", "namespace": namespace},
        "spec": spec,
    }


def a_run(**spec: Any) -> dict[str, Any]:
    return an_object("AgentRun", {"workerRef": {"name": "support"}, "agent": "triage", "input": "Hello", **spec})


def a_worker(**spec: Any) -> dict[str, Any]:
    return an_object("AgentWorker", {"agents": [{"name": "triage", "model": "test"}], **spec})


def test_a_worker_with_an_empty_spec_gets_the_documented_defaults(control_plane: ControlPlane):
    spec = control_plane.create(an_object("AgentWorker", {}), dry_run=True)["spec"]
    assert spec["timeouts"] == {"workflow": "1h", "activity": "5m", "heartbeat": "30s"}
    assert spec["retry"]["maximumAttempts"] == 5
    assert spec["replicas"] == 1
    assert spec["resources"]["limits"] == {"memory": "1Gi"}


def test_setting_one_timeout_leaves_the_other_timeouts_at_their_defaults(control_plane: ControlPlane):
    spec = control_plane.create(a_worker(timeouts={"workflow": "2h"}), dry_run=True)["spec"]
    assert spec["timeouts"] == {"workflow": "2h", "activity": "5m", "heartbeat": "30s"}


def test_durations_are_stored_as_they_are_written(control_plane: ControlPlane):
    spec = control_plane.create(a_worker(timeouts={"workflow": "90m", "activity": "120s"}), dry_run=True)["spec"]
    assert (spec["timeouts"]["workflow"], spec["timeouts"]["activity"]) == ("90m", "120s")


def test_a_run_that_no_operator_has_reconciled_has_observed_generation_minus_one(
    control_plane: ControlPlane, namespace: str
):
    run = a_run()
    run["metadata"]["namespace"] = namespace
    created = control_plane.create(run)
    assert created["status"] == {"observedGeneration": -1}
    assert created["spec"]["deletionPolicy"] == "Cancel"


@pytest.mark.parametrize("given", ["Hello", {"order": {"id": 7, "notes": [None, 1.5]}}, [1, 2], 0, False])
def test_an_input_can_be_any_json_value_and_is_stored_unchanged(control_plane: ControlPlane, given: Any):
    assert control_plane.create(a_run(input=given), dry_run=True)["spec"]["input"] == given


def test_an_output_schema_and_variables_from_secrets_are_stored_unchanged(control_plane: ControlPlane):
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    secret = {"name": "OPENAI_API_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "openai"}}}
    worker = a_worker(agents=[{"name": "a", "model": "openai:m", "outputSchema": schema}], env=[secret])
    spec = control_plane.create(worker, dry_run=True)["spec"]
    assert spec["agents"][0]["outputSchema"] == schema
    assert spec["env"] == [secret]


DURATION = "must be a duration such as 90s or 1h30m"
ONE_OF_TWO = "set exactly one of agent and workflowType"
AN_AGENT = {"name": "a", "model": "test"}

BAD = {
    "a word as a duration": (a_worker(timeouts={"workflow": "soon"}), ["spec.timeouts.workflow", DURATION]),
    "a duration with a fraction": (a_worker(timeouts={"activity": "1.5m"}), ["spec.timeouts.activity", DURATION]),
    "a duration with too many digits": (a_worker(timeouts={"workflow": "9" * 20 + "h"}), [DURATION, "up to 5 digits"]),
    "a duration as a number": (a_worker(timeouts={"workflow": 60}), ["spec.timeouts.workflow", "string"]),
    "an empty duration": (a_worker(drainTimeout=""), ["spec.drainTimeout", DURATION]),
    "a heartbeat of 0s": (a_worker(timeouts={"heartbeat": "0s"}), ["heartbeat must be longer than 0s"]),
    "a heartbeat as long as the activity": (
        a_worker(timeouts={"heartbeat": "5m"}),
        ["spec.timeouts", "heartbeat must be shorter than activity"],
    ),
    "an activity as long as the workflow": (
        a_worker(timeouts={"activity": "60m"}),
        ["activity must be shorter than workflow"],
    ),
    "a workflow timeout of 0s": (a_worker(timeouts={"workflow": "0s"}), ["activity must be shorter than workflow"]),
    "an initial interval longer than the maximum interval": (
        a_worker(retry={"initialInterval": "2m"}),
        ["initialInterval must not be longer than maximumInterval"],
    ),
    "a maximum of 0 attempts": (
        a_worker(retry={"maximumAttempts": 0}),
        ["spec.retry.maximumAttempts", "greater than or equal"],
    ),
    "a backoff coefficient below 1": (a_worker(retry={"backoffCoefficient": "0.5"}), ["spec.retry.backoffCoefficient"]),
    "two agents with the same name": (a_worker(agents=[AN_AGENT, AN_AGENT]), ["agents must have different names"]),
    "an agent without a model": (a_worker(agents=[{"name": "a"}]), ["spec.agents[0].model", "Required"]),
    "a model without a known provider": (
        a_worker(agents=[{"name": "a", "model": "gpt"}]),
        ["spec.agents[0].model", "openai:"],
    ),
    "a tool that is not module:function": (
        a_worker(agents=[{**AN_AGENT, "tools": [{"python": "tools.lookup"}]}]),
        ["spec.agents[0].tools[0].python", "should match"],
    ),
    "a base URL without a scheme": (
        a_worker(agents=[{**AN_AGENT, "baseURL": "model:8080"}]),
        ["spec.agents[0].baseURL", "https?://"],
    ),
    "negative replicas": (a_worker(replicas=-1), ["spec.replicas", "greater than or equal to 0"]),
    "a word as a quantity": (a_worker(resources={"limits": {"memory": "lots"}}), ["spec.resources.limits.memory"]),
    "two variables with the same name": (
        a_worker(env=[{"name": "A", "value": "1"}, {"name": "A"}]),
        ["spec.env[1]", "Duplicate"],
    ),
    "a field that does not exist": (a_worker(replica=2), ["unknown field", "spec.replica"]),
    "a worker name that is too long for a label": (
        an_object("AgentWorker", {}, name="w" * 64),
        ["metadata.name", "at most 63 characters"],
    ),
    "a worker reference that is too long": (a_run(workerRef={"name": "w" * 254}), ["spec.workerRef.name", "253"]),
    "an agent name that is too long": (a_run(agent="a" * 64), ["spec.agent", "63"]),
    "a run with neither agent nor workflowType": (
        an_object("AgentRun", {"workerRef": {"name": "support"}}),
        [ONE_OF_TWO],
    ),
    "a run with both agent and workflowType": (a_run(workflowType="Refund"), [ONE_OF_TWO]),
    "a run without a workerRef": (
        an_object("AgentRun", {"agent": "triage", "input": "x"}),
        ["spec.workerRef", "Required"],
    ),
    "a run name that is too long": (an_object("AgentRun", a_run()["spec"], name="r" * 254), ["metadata.name", "253"]),
    "a word as a run's duration": (a_run(timeouts={"workflow": "soon"}), ["spec.timeouts.workflow", DURATION]),
    "a run's heartbeat as long as its activity": (
        a_run(timeouts={"heartbeat": "1m", "activity": "1m"}),
        ["spec.timeouts", "heartbeat must be shorter than activity"],
    ),
    "a run's activity as long as its workflow": (
        a_run(timeouts={"activity": "1h", "workflow": "1h"}),
        ["activity must be shorter than workflow"],
    ),
    "a run with a workflow timeout of 0s": (a_run(timeouts={"workflow": "0s"}), ["workflow must be longer than 0s"]),
    "an inputFrom with two sources": (
        a_run(inputFrom={"configMapKeyRef": {"name": "m", "key": "k"}, "secretKeyRef": {"name": "s", "key": "k"}}),
        ["spec.inputFrom", "set exactly one of configMapKeyRef and secretKeyRef"],
    ),
    "an inputFrom without a source": (a_run(inputFrom={}), ["set exactly one of configMapKeyRef and secretKeyRef"]),
    "an inputFrom with a ConfigMap but no key": (
        a_run(inputFrom={"configMapKeyRef": {"name": "m"}}),
        ["spec.inputFrom.configMapKeyRef.key", "Required"],
    ),
    "an idempotencyKey with a slash": (a_run(idempotencyKey="a/b"), ["spec.idempotencyKey"]),
    "an idempotencyKey with a non-ASCII letter": (a_run(idempotencyKey="Schlüssel"), ["spec.idempotencyKey"]),
    "an idempotencyKey that is too long": (a_run(idempotencyKey="k" * 129), ["spec.idempotencyKey", "128"]),
    "a priority above 5": (a_run(priority=6), ["spec.priority", "less than or equal to 5"]),
    "a limit of 0 turns": (a_run(limits={"turns": 0}), ["spec.limits.turns", "greater than or equal to 1"]),
    "a negative time to live": (
        a_run(ttlSecondsAfterFinished=-1),
        ["spec.ttlSecondsAfterFinished", "greater than or equal to 0"],
    ),
    "a retry without a token": (a_run(retry={"from": "Start"}), ["spec.retry.token", "Required"]),
    "a retry from an unknown point": (
        a_run(retry={"token": "1", "from": "Middle"}),
        ["spec.retry.from", "LastFailure"],
    ),
    "an unknown readyWhen": (a_run(readyWhen="Soon"), ["spec.readyWhen", "Completed", "Started"]),
    "a maxConcurrentRuns of 0": (
        a_worker(maxConcurrentRuns=0),
        ["spec.maxConcurrentRuns", "greater than or equal to 1"],
    ),
    "an unknown way to stop": (a_run(stop="Now"), ["spec.stop", "Cancel", "Terminate"]),
    "an address without a port": (an_object("TemporalConnection", {"address": "temporal"}), ["spec.address"]),
    "a port out of range": (
        an_object("TemporalConnection", {"address": "temporal:99999"}),
        ["address must end in a port from 1 to 65535"],
    ),
}


@pytest.mark.parametrize(("bad", "words"), BAD.values(), ids=BAD.keys())
def test_an_invalid_object_is_rejected_with_a_message_that_names_the_fix(
    control_plane: ControlPlane, bad: dict[str, Any], words: list[str]
):
    message = control_plane.refusal(bad)
    assert [word for word in words if word not in message] == [], message


FIXED = (
    "workerRef, agent, workflowType, inputFrom, timeouts, limits, priority and idempotencyKey cannot be changed after "
    "creation; create a new AgentRun"
)


@pytest.mark.parametrize(
    "change",
    [
        {"workerRef": {"name": "other"}},
        {"agent": "other"},
        {"agent": None, "workflowType": "Refund"},
        {"inputFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
        {"timeouts": {"workflow": "3h"}},
        {"timeouts": None},
        {"limits": {"turns": 3}},
        {"priority": 1},
        {"idempotencyKey": "k"},
    ],
    ids="-".join,
)
def test_the_fields_that_define_a_run_are_immutable(
    control_plane: ControlPlane, namespace: str, change: dict[str, Any]
):
    run = a_run(timeouts={"workflow": "2h"})
    run["metadata"] = {"name": "fixed", "namespace": namespace}
    control_plane.create(run)
    assert FIXED in control_plane.patch("agentrun", "fixed", {"spec": change}, namespace=namespace)


def test_the_fields_that_control_a_run_can_be_changed(control_plane: ControlPlane, namespace: str):
    run = a_run()
    run["metadata"] = {"name": "open", "namespace": namespace}
    control_plane.create(run)
    change = {
        "spec": {
            "stop": "Cancel",
            "deletionPolicy": "Abandon",
            "suspend": True,
            "retry": {"token": "1"},
            "ttlSecondsAfterFinished": 0,
            "readyWhen": "Started",
        }
    }
    assert control_plane.patch("agentrun", "open", change, namespace=namespace) == ""


def test_runs_can_be_selected_by_worker_and_by_state(control_plane: ControlPlane, namespace: str):
    for name, worker in (("first", "support"), ("second", "sales")):
        run = a_run(workerRef={"name": worker})
        run["metadata"] = {"name": name, "namespace": namespace}
        control_plane.create(run)
    control_plane.patch("agentrun", "first", {"status": {"state": "Running"}}, namespace=namespace, status=True)
    for selector, found in (("spec.workerRef.name=sales", "second"), ("status.state=Running", "first")):
        out = control_plane.kubectl("-n", namespace, "get", "ar", "-o", "name", f"--field-selector={selector}")
        assert out.split() == [f"agentrun.durafleet.dev/{found}"]


def test_a_fleet_scales_through_the_scale_subresource(control_plane: ControlPlane, namespace: str):
    control_plane.create(an_object("AgentWorker", {}, namespace=namespace, name="fleet"))
    control_plane.kubectl("-n", namespace, "scale", "agentworker/fleet", "--replicas=3")
    assert control_plane.get("agentworker", "fleet", namespace=namespace)["spec"]["replicas"] == 3


@pytest.fixture(scope="module")
async def policy_namespace(control_plane: ControlPlane) -> AsyncIterator[str]:
    """A namespace to which the chart's admission policy applies; it does not apply to others."""
    name = control_plane.new_namespace()
    control_plane.helm("install", "guard", str(CHART), "-n", name, "--set", f"watchNamespaces={{{name}}}")
    without_input = an_object("AgentRun", {"workerRef": {"name": "w"}, "agent": "a"}, namespace=name)
    await until(lambda: control_plane.refusal(without_input) != "", what="the admission policy is in force")
    yield name
    control_plane.helm("uninstall", "guard", "-n", name)


def run_in_namespace(namespace: str, **spec: Any) -> dict[str, Any]:
    run = an_object("AgentRun", {"workerRef": {"name": "support"}, "agent": "triage", **spec}, namespace=namespace)
    return {**run, "spec": {key: value for key, value in run["spec"].items() if value is not ...}}


@pytest.mark.parametrize("given", [..., None, "", " \n ", [], {}], ids=["missing", "null", "''", "blank", "[]", "{}"])
def test_a_run_of_an_agent_without_an_input_is_rejected(control_plane: ControlPlane, policy_namespace: str, given: Any):
    message = control_plane.refusal(run_in_namespace(policy_namespace, input=given))
    assert "spec.input must not be empty for an agent; write the prompt there" in message


def test_a_run_can_have_input_or_input_from_but_not_both(control_plane: ControlPlane, policy_namespace: str):
    elsewhere = {"configMapKeyRef": {"name": "prompts", "key": "hello"}}
    assert control_plane.refusal(run_in_namespace(policy_namespace, inputFrom=elsewhere)) == ""
    message = control_plane.refusal(run_in_namespace(policy_namespace, input="Hello", inputFrom=elsewhere))
    assert "set only one of spec.input and spec.inputFrom" in message


def test_a_run_of_a_workflow_type_is_accepted_without_an_input(control_plane: ControlPlane, policy_namespace: str):
    assert control_plane.refusal(run_in_namespace(policy_namespace, agent=..., workflowType="Refund")) == ""


@pytest.mark.parametrize("given", ["x" * (INPUT_LIMIT + 1), "é" * (INPUT_LIMIT // 2 + 1)], ids=["ascii", "unicode"])
def test_an_input_over_64_kib_is_rejected(control_plane: ControlPlane, policy_namespace: str, given: str):
    message = control_plane.refusal(run_in_namespace(policy_namespace, input=given))
    assert "spec.input must have at most 65536 bytes (64 KiB)" in message


def test_an_input_of_64_kib_is_accepted(control_plane: ControlPlane, policy_namespace: str):
    assert control_plane.refusal(run_in_namespace(policy_namespace, input="x" * INPUT_LIMIT)) == ""


@pytest.mark.parametrize("after", ["Bye", None, {"text": "Hello"}])
def test_an_input_is_immutable(control_plane: ControlPlane, policy_namespace: str, after: Any):
    run = control_plane.create(run_in_namespace(policy_namespace, input="Hello"))["metadata"]["name"]
    message = control_plane.patch("agentrun", run, {"spec": {"input": after}}, namespace=policy_namespace)
    assert "spec.input cannot be changed after creation; create a new AgentRun" in message


def test_an_input_cannot_be_added_later(control_plane: ControlPlane, policy_namespace: str):
    run = control_plane.create(run_in_namespace(policy_namespace, agent=..., workflowType="Refund"))["metadata"]["name"]
    message = control_plane.patch("agentrun", run, {"spec": {"input": "Hello"}}, namespace=policy_namespace)
    assert "spec.input cannot be changed after creation" in message


def test_the_admission_policy_allows_a_run_to_be_stopped(control_plane: ControlPlane, policy_namespace: str):
    run = control_plane.create(run_in_namespace(policy_namespace, input={"order": [7]}))["metadata"]["name"]
    assert control_plane.patch("agentrun", run, {"spec": {"stop": "Cancel"}}, namespace=policy_namespace) == ""


def test_the_admission_policy_of_a_namespaced_release_does_not_apply_to_other_namespaces(
    control_plane: ControlPlane, policy_namespace: str, namespace: str
):
    assert control_plane.refusal(run_in_namespace(namespace)) == ""
