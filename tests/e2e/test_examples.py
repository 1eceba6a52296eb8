"""Every example works as its README says: its commands and its manifests, as they stand."""

import json

import yaml

from dev.cluster import Cluster
from tests.support import readme
from tests.support.ledger import ledger
from tests.support.readme import EXAMPLES
from tests.support.site import Site, script


async def test_the_quickstart_is_answered_by_the_language_model(site: Site):
    for block in readme.blocks("quickstart"):
        readme.run(site, block)
    status = await site.until_state("hello", "Completed")
    assert status["result"]["preview"]
    assert status["progress"]["usage"]["requests"] == 1
    assert site.condition("agentrun", "hello", "Succeeded")["status"] == "True"
    # The answer may arrive before the kubelet has checked the pod that sent it.
    await site.until_condition("agentworker", "assistant", "Ready", "Available")


async def test_custom_tools_record_each_effect_exactly_once(site: Site):
    site.cluster.kubectl("label", "namespace", site.namespace, "pod-security.kubernetes.io/enforce=restricted")
    readme.follow(site, "custom-tools")
    status = site.status("three-effects")
    assert status["result"]["preview"] == "I made 3 tool calls: recorded opened, recorded paid, recorded shipped."
    assert status["progress"]["lastTool"] == "record_effect"
    assert status["progress"]["usage"]["toolCalls"] == 3
    entries = entries_of(site)
    assert sorted(entry["effect"] for entry in entries) == ["opened", "paid", "refunded", "returned", "shipped"]
    assert all(entry["key"].startswith(f"agent-run/{site.namespace}/") for entry in entries)
    assert [entry["repeats"] for entry in entries] == [0] * 5
    logged = site.kubectl("logs", "deployment/ledger").splitlines()
    assert sorted(line.split()[:2] for line in logged) == sorted(
        ["recorded", json.dumps(entry["effect"])] for entry in entries
    )


def entries_of(site: Site) -> list[dict[str, object]]:
    """Return what the example's ledger holds."""
    path = f"/api/v1/namespaces/{site.namespace}/services/ledger/proxy/effects"
    return list(json.loads(site.cluster.kubectl("get", "--raw", path)))


async def test_a_worker_with_its_own_tools_calls_them(site: Site, cluster: Cluster, tools_image: str):
    with ledger(cluster.host_address) as book:
        worker = yaml.safe_load((EXAMPLES / "custom-tools/agentworker.yaml").read_text())
        spec = {**worker["spec"], "image": tools_image, "env": [{"name": "LEDGER_URL", "value": book.url}]}
        site.apply("AgentWorker", worker["metadata"]["name"], spec)
        run = yaml.safe_load((EXAMPLES / "custom-tools/agentrun.yaml").read_text())["spec"]
        calls = [{"tools": [{"name": "record_effect", "args": {"effect": what}}]} for what in ("opened", "paid")]
        site.apply("AgentRun", "three-effects", {**run, "input": script(*calls, {"text": "recorded"})})
        status = await site.until_state("three-effects", "Completed")
    assert book.effects == ["opened", "paid"]
    assert status["result"]["preview"] == "recorded"


async def test_a_worker_with_its_own_workflow_runs_it(site: Site):
    readme.follow(site, "byo-worker")
    for run, note in (("a17", "reminded the customer of order A-17"), ("a18", "order A-18 was paid")):
        status = site.status(f"follow-up-{run}")
        assert status["state"] == "Completed"
        assert status["workflow"]["type"] == "OrderFollowUp"
        assert json.loads(status["result"]["preview"]) == {"parcels": 3, "note": note}
