"""The charts as Helm renders them and as the API server accepts them."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from dev.cluster.layout import ClusterError
from tests.support.cluster import CHART, CRD_CHART, ControlPlane
from tests.support.waiting import until

Objects = dict[tuple[str, str], dict[str, Any]]


def render(control_plane: ControlPlane, *sets: str, namespace: str = "system") -> Objects:
    """Render the operator's chart as the release "fleet"; return the objects by kind and namespace/name."""
    flags = [part for value in sets for part in ("--set", value)]
    text = control_plane.helm("template", "fleet", str(CHART), "--namespace", namespace, *flags)
    documents = [document for document in yaml.safe_load_all(text) if document]
    return {(each["kind"], namespaced_name(each)): each for each in documents}


def namespaced_name(document: dict[str, Any]) -> str:
    meta = document["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


def kinds(objects: Objects) -> set[str]:
    return {kind for kind, _ in objects}


def pod_of(objects: Objects) -> dict[str, Any]:
    template: dict[str, Any] = objects["Deployment", "system/fleet-durafleet"]["spec"]["template"]
    return template


def environment(objects: Objects) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in pod_of(objects)["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize("chart", [CHART, CRD_CHART], ids=lambda chart: chart.name)
def test_helm_lint_reports_no_problems(control_plane: ControlPlane, chart: object):
    assert "0 chart(s) failed" in control_plane.helm("lint", "--strict", str(chart))


LEADER = "system/fleet-durafleet-leader"
"""The Role for the Lease; every release has it, in its own namespace only."""


def test_a_cluster_wide_release_has_one_cluster_role_and_a_role_for_its_lease(control_plane: ControlPlane):
    objects = render(control_plane, "rbac.aggregate=false")
    roles = [key for key in objects if key[0] in {"ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"}]
    assert sorted(roles) == [
        ("ClusterRole", "/system-fleet-durafleet"),
        ("ClusterRoleBinding", "/system-fleet-durafleet"),
        ("Role", LEADER),
        ("RoleBinding", LEADER),
    ]
    assert environment(objects)["DURAFLEET_WATCH_NAMESPACES"] == ""


def test_a_namespaced_release_has_roles_in_the_watched_namespaces_only(control_plane: ControlPlane):
    objects = render(control_plane, "watchNamespaces={sales,support}", "rbac.aggregate=false")
    roles = {key for key in objects if "Role" in key[0]} - {("Role", LEADER), ("RoleBinding", LEADER)}
    assert roles == {
        (kind, f"{namespace}/system-fleet-durafleet")
        for kind in ("Role", "RoleBinding")
        for namespace in ("sales", "support")
    }
    assert environment(objects)["DURAFLEET_WATCH_NAMESPACES"] == "sales,support"


def test_a_namespaced_release_can_be_rendered_without_cluster_scoped_objects(control_plane: ControlPlane):
    without = ("rbac.aggregate=false", "admissionPolicy.enabled=false", "apiPriority.enabled=false")
    objects = render(control_plane, "watchNamespaces={a}", *without)
    assert [key for key in objects if key[1].startswith("/")] == []


def test_the_operators_cluster_role_has_no_wildcard_and_no_access_to_secrets(control_plane: ControlPlane):
    rules = render(control_plane)["ClusterRole", "/system-fleet-durafleet"]["rules"]
    values = {word for rule in rules for part in rule.values() for word in part}
    assert values.isdisjoint({"*", "secrets", "pods/exec", "escalate", "impersonate", "bind"})


def test_with_input_from_secrets_enabled_the_operator_may_get_but_not_list_secrets(control_plane: ControlPlane):
    rules = render(control_plane, "inputFromSecrets.enabled=true")["ClusterRole", "/system-fleet-durafleet"]["rules"]
    assert [rule["verbs"] for rule in rules if "secrets" in rule["resources"]] == [["get"]]


def test_the_operator_pod_is_accepted_under_pod_security_restricted(control_plane: ControlPlane):
    namespace = control_plane.new_namespace(**{"pod-security.kubernetes.io__enforce": "restricted"})
    template = pod_of(render(control_plane))
    spec = {key: value for key, value in template["spec"].items() if key != "serviceAccountName"}
    metadata = {"name": "operator", "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    assert control_plane.create(pod, dry_run=True)["spec"]["containers"][0]["name"] == "operator"


def test_the_container_has_a_read_only_root_filesystem_probes_and_resource_limits(control_plane: ControlPlane):
    container = pod_of(render(control_plane))["spec"]["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert {"requests", "limits"} <= container["resources"].keys()


def test_the_default_release_has_two_replicas_with_leader_election(control_plane: ControlPlane):
    objects = render(control_plane)
    spec = objects["Deployment", "system/fleet-durafleet"]["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert environment(objects)["DURAFLEET_LEASE_NAME"] == "fleet-durafleet"
    assert environment(objects).keys() >= {"DURAFLEET_LEASE_NAMESPACE", "POD_NAME"}
    assert objects["PodDisruptionBudget", "system/fleet-durafleet"]["spec"]["maxUnavailable"] == 1


def test_a_single_replica_has_a_lease_and_no_pod_disruption_budget(control_plane: ControlPlane):
    objects = render(control_plane, "replicas=1")
    assert objects["Deployment", "system/fleet-durafleet"]["spec"]["replicas"] == 1
    assert environment(objects)["DURAFLEET_LEASE_NAME"] == "fleet-durafleet"
    assert "PodDisruptionBudget" not in kinds(objects)


def test_each_shard_has_its_own_deployment_lease_and_pods(control_plane: ControlPlane):
    objects = render(control_plane, "shards=3")
    deployments = {name: each for (kind, name), each in objects.items() if kind == "Deployment"}
    assert sorted(deployments) == [f"system/fleet-durafleet-{shard}" for shard in range(3)]
    assert len([name for kind, name in objects if kind == "PodDisruptionBudget"]) == 3
    for shard in range(3):
        spec = deployments[f"system/fleet-durafleet-{shard}"]["spec"]
        variables = {each["name"]: each.get("value") for each in spec["template"]["spec"]["containers"][0]["env"]}
        assert variables["DURAFLEET_SHARD"] == f"{shard}/3"
        assert variables["DURAFLEET_LEASE_NAME"] == f"fleet-durafleet-{shard}"
        selector = spec["selector"]["matchLabels"]
        assert selector["durafleet.dev/shard"] == str(shard)
        assert selector.items() <= spec["template"]["metadata"]["labels"].items()
        assert (
            selector
            == objects["PodDisruptionBudget", f"system/fleet-durafleet-{shard}"]["spec"]["selector"]["matchLabels"]
        )
    named = [name for rule in objects["Role", LEADER]["rules"] for name in rule.get("resourceNames", ())]
    assert named == [f"fleet-durafleet-{shard}" for shard in range(3)]


@pytest.mark.parametrize(
    ("values", "image"),
    [
        (["image.repository=r/o"], "r/o:0.1.0"),
        (["image.repository=r:5000/o", "image.tag=v2"], "r:5000/o:v2"),
        (["image.repository=r/o", f"image.digest=sha256:{'a' * 64}"], f"r/o@sha256:{'a' * 64}"),
        (["image.repository=r/o", "image.tag=v2", f"image.digest=sha256:{'a' * 64}"], f"r/o:v2@sha256:{'a' * 64}"),
    ],
    ids=["default tag", "tag", "digest", "tag and digest"],
)
def test_the_image_reference_has_the_tag_the_digest_or_both(control_plane: ControlPlane, values: list[str], image: str):
    assert pod_of(render(control_plane, *values))["spec"]["containers"][0]["image"] == image


def test_chart_values_set_the_operators_environment_variables(control_plane: ControlPlane):
    variables = environment(
        render(
            control_plane,
            "temporal.address=t:7233",
            "temporal.namespace=agents",
            "workerImage.repository=r/w",
            "workerImage.tag=v3",
            "workerImage.pullPolicy=Always",
            "workerImage.pullSecrets={one,two}",
            "log.level=debug",
        )
    )
    assert variables["DURAFLEET_TEMPORAL_ADDRESS"] == "t:7233"
    assert variables["DURAFLEET_TEMPORAL_NAMESPACE"] == "agents"
    assert variables["DURAFLEET_WORKER_IMAGE"] == "r/w:v3"
    assert variables["DURAFLEET_WORKER_IMAGE_PULL_POLICY"] == "Always"
    assert variables["DURAFLEET_WORKER_IMAGE_PULL_SECRETS"] == "one,two"
    assert variables["DURAFLEET_LOG_LEVEL"] == "debug"


CALLBACKS = ("callbacks.existingSecret.name=callbacks", "callbacks.existingSecret.key=hmac")


def test_a_callback_url_adds_the_secret_the_service_and_the_network_policy_port(control_plane: ControlPlane):
    url = "http://fleet-durafleet-callbacks.system:8081/callbacks/completed"
    objects = render(control_plane, f"callbacks.url={url}", "networkPolicy.enabled=true", *CALLBACKS)
    variables = {each["name"]: each for each in pod_of(objects)["spec"]["containers"][0]["env"]}
    assert variables["DURAFLEET_CALLBACK_URL"]["value"] == url
    secret = {"secretKeyRef": {"name": "callbacks", "key": "hmac"}}
    assert variables["DURAFLEET_CALLBACK_SECRET"]["valueFrom"] == secret
    service = objects["Service", "system/fleet-durafleet-callbacks"]["spec"]
    assert (service["clusterIP"], service["ports"]) == (
        "None",
        [{"name": "callbacks", "port": 8081, "targetPort": "callbacks"}],
    )
    assert {"name": "callbacks", "containerPort": 8081} in pod_of(objects)["spec"]["containers"][0]["ports"]
    assert variables["DURAFLEET_CALLBACK_PORT"]["value"] == "8081"
    assert service["selector"].items() <= pod_of(objects)["metadata"]["labels"].items()
    policy = objects["NetworkPolicy", "system/fleet-durafleet"]["spec"]
    assert policy["ingress"] == [{"ports": [{"port": "http"}, {"port": "callbacks"}]}]


def test_each_shard_has_its_own_callback_url_and_service(control_plane: ControlPlane):
    url = r"http://fleet-durafleet-\{shard\}-callbacks.system:8081/callbacks/completed"
    objects = render(control_plane, "shards=2", f"callbacks.url={url}", *CALLBACKS)
    for shard in ("0", "1"):
        service = objects["Service", f"system/fleet-durafleet-{shard}-callbacks"]["spec"]
        assert service["selector"]["durafleet.dev/shard"] == shard
        template = objects["Deployment", f"system/fleet-durafleet-{shard}"]["spec"]["template"]
        variables = {each["name"]: each.get("value") for each in template["spec"]["containers"][0]["env"]}
        assert f"fleet-durafleet-{shard}-callbacks." in variables["DURAFLEET_CALLBACK_URL"]
    with pytest.raises(ClusterError, match=re.escape("{shard}")):
        render(control_plane, "shards=2", "callbacks.url=http://one:8080/callbacks/completed", *CALLBACKS)


def test_a_callback_url_without_a_secret_is_rejected(control_plane: ControlPlane):
    with pytest.raises(ClusterError, match="existingSecret/name"):
        render(control_plane, "callbacks.url=http://one:8080/callbacks/completed")


def test_service_monitor_network_policy_and_callbacks_are_disabled_by_default(control_plane: ControlPlane):
    default = render(control_plane)
    assert kinds(default).isdisjoint({"ServiceMonitor", "NetworkPolicy"})
    assert [name for kind, name in default if kind == "Service"] == ["system/fleet-durafleet-metrics"]
    assert not [name for name in environment(default) if "CALLBACK" in name]
    enabled = render(control_plane, "metrics.serviceMonitor.enabled=true", "networkPolicy.enabled=true")
    assert {"ServiceMonitor", "NetworkPolicy"} <= kinds(enabled)


def test_the_network_policy_allows_egress_to_temporal(control_plane: ControlPlane):
    objects = render(control_plane, "networkPolicy.enabled=true", "temporal.address=t:7244")
    egress = objects["NetworkPolicy", "system/fleet-durafleet"]["spec"]["egress"]
    assert 7244 in {port["port"] for rule in egress for port in rule["ports"]}


def test_the_operators_chart_contains_no_durafleet_resource(control_plane: ControlPlane):
    groups = {each["apiVersion"].partition("/")[0] for each in render(control_plane).values()}
    assert "durafleet.dev" not in groups


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("replicas=0", "/replicas"),
        ("shards=0", "/shards"),
        ("temporal.adress=t:7233", "adress"),
        ("temporal.address=temporal", "/temporal/address"),
        ("log.level=loud", "/log/level"),
        ("callbacks.url=operator:8080", "/callbacks/url"),
        ("image.digest=latest", "/image/digest"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("watchNamespaces={Not_A_Name}", "/watchNamespaces/0"),
    ],
)
def test_an_invalid_chart_value_is_rejected_by_name(control_plane: ControlPlane, value: str, message: str):
    with pytest.raises(ClusterError, match=re.escape(message)):
        render(control_plane, value)


def test_values_of_a_parent_chart_are_accepted(control_plane: ControlPlane):
    assert render(control_plane, "global.registry=r")


@pytest.fixture(scope="module")
def release(control_plane: ControlPlane) -> Iterator[str]:
    """A namespaced release in the namespace that it watches."""
    name = control_plane.new_namespace()
    control_plane.helm("install", "fleet", str(CHART), "-n", name, "--set", f"watchNamespaces={{{name}}}")
    yield name
    control_plane.helm("uninstall", "fleet", "-n", name)


ALLOWED = [
    ("watch", "agentruns.durafleet.dev"),
    ("patch", "agentruns.durafleet.dev"),
    ("delete", "agentruns.durafleet.dev"),
    ("patch", "agentruns.durafleet.dev/status"),
    ("patch", "agentworkers.durafleet.dev/status"),
    ("patch", "temporalconnections.durafleet.dev/status"),
    ("patch", "deployments.apps"),
    ("delete", "configmaps"),
    ("list", "pods"),
    ("create", "events"),
]
DENIED = [
    ("get", "secrets"),
    ("create", "agentruns.durafleet.dev"),
    ("patch", "agentworkers.durafleet.dev"),
    ("create", "pods"),
    ("create", "pods/exec"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
]


def test_the_operators_requests_and_no_others_use_its_flow_schema_and_priority_level(
    control_plane: ControlPlane, release: str
):
    schema = json.loads(control_plane.kubectl("get", "flowschema", f"{release}-fleet-durafleet", "-o", "json"))
    subjects = [subject for rule in schema["spec"]["rules"] for subject in rule["subjects"]]
    account = {"name": "fleet-durafleet", "namespace": release}
    assert subjects == [{"kind": "ServiceAccount", "serviceAccount": account}]
    level = schema["spec"]["priorityLevelConfiguration"]["name"]
    assert json.loads(control_plane.kubectl("get", "prioritylevelconfiguration", level, "-o", "json"))
    dangling = [c for c in schema.get("status", {}).get("conditions", ()) if c["type"] == "Dangling"]
    assert all(condition["status"] == "False" for condition in dangling)


def allowed(control_plane: ControlPlane, verb: str, resource: str, *, namespace: str, user: str) -> bool:
    """Return whether the API server allows a user an operation."""
    name, _, subresource = resource.partition("/")
    flags = [f"--subresource={subresource}"] if subresource else []
    try:
        control_plane.kubectl("auth", "can-i", verb, name, *flags, "-n", namespace, f"--as={user}", "-q")
    except ClusterError:
        return False
    return True


def may(control_plane: ControlPlane, release: str, verb: str, resource: str, *, namespace: str) -> bool:
    account = f"system:serviceaccount:{release}:fleet-durafleet"
    return allowed(control_plane, verb, resource, namespace=namespace, user=account)


def test_the_operator_has_the_permissions_that_it_needs_and_no_others(control_plane: ControlPlane, release: str):
    assert [each for each in ALLOWED if not may(control_plane, release, *each, namespace=release)] == []
    assert [each for each in DENIED if may(control_plane, release, *each, namespace=release)] == []


def test_a_namespaced_operator_has_no_permissions_in_other_namespaces(
    control_plane: ControlPlane, release: str, namespace: str
):
    assert [each for each in ALLOWED if may(control_plane, release, *each, namespace=namespace)] == []


def test_the_operator_may_patch_its_own_lease_and_no_other(control_plane: ControlPlane, release: str, namespace: str):
    def may_patch(lease: str, in_namespace: str) -> bool:
        user = f"--as=system:serviceaccount:{release}:fleet-durafleet"
        try:
            control_plane.kubectl(
                "auth", "can-i", "patch", f"leases.coordination.k8s.io/{lease}", "-n", in_namespace, user
            )
        except ClusterError:
            return False
        return True

    assert may(control_plane, release, "create", "leases.coordination.k8s.io", namespace=release)
    assert may_patch("fleet-durafleet", release)
    assert not may_patch("another", release)
    assert not may_patch("fleet-durafleet", namespace)


async def test_a_user_with_the_role_edit_in_a_namespace_may_create_runs_in_it(
    control_plane: ControlPlane, release: str, namespace: str
):
    control_plane.kubectl("-n", namespace, "create", "rolebinding", "dev", "--clusterrole=edit", "--user=dev")

    def may_create(in_namespace: str) -> bool:
        return allowed(control_plane, "create", "agentruns.durafleet.dev", namespace=in_namespace, user="dev")

    await until(lambda: may_create(namespace), what="the role edit includes AgentRuns")
    assert not may_create(release)
