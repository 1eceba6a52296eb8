"""Every example works as its README says."""

import json

import yaml

from dev.cluster import Cluster
from dev.cluster.layout import ROOT
from tests.support.ledger import ledger
from tests.support.site import Site, script

EXAMPLES = ROOT / "examples"


async def test_the_quickstart_is_answered_by_the_language_model(site: Site):
    site.kubectl("apply", "-f", str(EXAMPLES / "quickstart"))
    status = await site.until_state("hello", "Completed")
    assert status["result"]["preview"]
    assert status["progress"]["usage"]["requests"] == 1
    assert site.condition("agentrun", "hello", "Succeeded")["status"] == "True"
    # The answer may come before the kubelet has looked at the pod that gave it.
    await site.until_condition("agentworker", "assistant", "Ready", "Available")


async def test_a_worker_with_its_own_tools_calls_them(site: Site, cluster: Cluster, tools_image: str):
    with ledger(cluster.host_address) as book:
        worker = yaml.safe_load((EXAMPLES / "custom-tools/agentworker.yaml").read_text())["spec"]
        worker["agents"][0]["baseURL"] = "http://model.models:8080/v1"
        worker["env"] = [{"name": "LEDGER_URL", "value": book.url}, {"name": "OPENAI_API_KEY", "value": "local"}]
        site.apply("AgentWorker", "ledger", {**worker, "image": tools_image})
        run = yaml.safe_load((EXAMPLES / "custom-tools/agentrun.yaml").read_text())["spec"]
        calls = [{"tools": [{"name": "record_effect", "args": {"effect": what}}]} for what in ("opened", "paid")]
        site.apply("AgentRun", "three-effects", {**run, "input": script(*calls, {"text": "recorded"})})
        status = await site.until_state("three-effects", "Completed")
    assert book.effects == ["opened", "paid"]
    assert status["result"]["preview"] == "recorded"


async def test_a_worker_with_its_own_workflow_runs_it(site: Site, orders_image: str):
    worker = yaml.safe_load((EXAMPLES / "byo-worker/agentworker.yaml").read_text())["spec"]
    site.apply("AgentWorker", "orders", {**worker, "image": orders_image})
    run = yaml.safe_load((EXAMPLES / "byo-worker/agentrun.yaml").read_text())["spec"]
    run["input"]["wait_seconds"] = 1
    site.apply("AgentRun", "follow-up-a17", run)
    status = await site.until_state("follow-up-a17", "Completed")
    assert status["workflow"]["type"] == "OrderFollowUp"
    assert json.dumps(status["result"])
