"""The Deployment of an AgentWorker: its variables, security context, annotations and grace period."""

from durafleet.core.workers.deployment import WorkerDefaults, deployment
from tests.support.builders import TARGET, a_worker

DEFAULTS = WorkerDefaults(image="registry/worker:1")


def test_the_container_gets_the_variables_of_the_environment_contract():
    worker = a_worker(spec={"timeouts": {"workflow": "2h"}, "env": [{"name": "MINE", "value": "1"}]})
    container = deployment(worker, TARGET, DEFAULTS)["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["TEMPORAL_ADDRESS"] == "temporal:7233"
    assert env["TEMPORAL_TASK_QUEUE"] == "default/support"
    assert env["DURAFLEET_WORKFLOW_TIMEOUT_SECONDS"] == "7200"
    assert env["DURAFLEET_ACTIVITY_TIMEOUT_SECONDS"] == "300"
    assert env["DURAFLEET_HEARTBEAT_TIMEOUT_SECONDS"] == "30"
    assert env["MINE"] == "1"


def test_worker_pods_run_with_a_restricted_security_context():
    pod = deployment(a_worker(), TARGET, DEFAULTS)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    container = pod["containers"][0]["securityContext"]
    assert container["readOnlyRootFilesystem"] is True
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}


def test_a_changed_agent_changes_the_annotations_of_the_pod_template():
    other = a_worker(spec={"agents": [{"name": "greeter", "model": "test", "instructions": "Be brief."}]})
    templates = [deployment(w, TARGET, DEFAULTS)["spec"]["template"] for w in (a_worker(), other)]
    assert templates[0]["metadata"]["annotations"] != templates[1]["metadata"]["annotations"]


def test_the_termination_grace_period_is_longer_than_the_drain_timeout():
    worker = a_worker(spec={"drainTimeout": "2m"})
    pod = deployment(worker, TARGET, DEFAULTS)["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 120
