"""A component fails during a run: the run completes, and nothing is done twice."""

from dev.cluster import Cluster
from dev.install import SYSTEM
from tests.support.ledger import Ledger, ledger
from tests.support.site import Site, script


def effect(name: str) -> dict[str, object]:
    return {"tools": [{"name": "record_effect", "args": {"effect": name}}]}


def create_worker_with_ledger(site: Site, book: Ledger, image: str, **spec: object) -> None:
    site.worker(
        image=image,
        agent={"tools": [{"python": "tools:record_effect"}]},
        env=[{"name": "LEDGER_URL", "value": book.url}],
        **spec,
    )


def model_is_called(site: Site, run: str) -> bool:
    """Return whether a model call is the only pending activity."""
    pending = site.workflow(run).get("pendingActivities") or []
    return [activity["activityType"]["name"].rsplit("__", 1)[-1] for activity in pending] == ["model_request"]


async def test_a_run_repeats_no_tool_call_after_its_worker_pod_is_killed(
    site: Site, cluster: Cluster, tools_image: str
):
    with ledger(cluster.host_address) as book:
        create_worker_with_ledger(site, book, tools_image)
        slow = {**effect("c"), "sleep": 3}
        site.run("killed", script(effect("a"), effect("b"), slow, effect("d"), {"text": "all four"}))
        await site.until(
            lambda: book.effects == ["a", "b"] and model_is_called(site, "killed"), "two effects are recorded"
        )
        site.kubectl("delete", "pods", "-l", "durafleet.dev/worker=fleet", "--grace-period=0", "--force")
        status = await site.until_state("killed", "Completed")
    assert book.effects == ["a", "b", "c", "d"]
    assert status["result"]["preview"] == "all four"
    assert site.executions("killed") == 1


async def test_a_run_has_one_execution_after_all_operator_pods_are_killed(site: Site, cluster: Cluster):
    site.worker()
    await site.until_condition("agentworker", "fleet", "Ready", "Available")
    site.run("orphan", script({"text": "still here", "sleep": 2}))
    cluster.kubectl("-n", SYSTEM, "delete", "pods", "--all", "--grace-period=0", "--force")
    status = await site.until_state("orphan", "Completed")
    assert status["result"]["preview"] == "still here"
    assert site.executions("orphan") == 1
    await site.until(
        lambda: not site.get("agentrun", "orphan")["metadata"].get("finalizers"), "the finalizer is removed"
    )


async def test_a_killed_leader_is_replaced_by_its_standby(site: Site, cluster: Cluster):
    site.worker()
    await site.until_condition("agentworker", "fleet", "Ready", "Available")
    cluster.kubectl("-n", SYSTEM, "rollout", "status", "deployment/durafleet", "--timeout=90s")
    pods = cluster.kubectl("-n", SYSTEM, "get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "name")
    leader = holder(cluster).rpartition("_")[0]
    assert len(pods.split()) == 2
    assert f"pod/{leader}" in pods.split()
    cluster.kubectl("-n", SYSTEM, "delete", "pod", leader, "--grace-period=0", "--force")
    site.run("after", script({"text": "taken over"}))
    status = await site.until_state("after", "Completed")
    assert status["result"]["preview"] == "taken over"
    assert site.executions("after") == 1
    assert holder(cluster).rpartition("_")[0] not in {"", leader}


def holder(cluster: Cluster) -> str:
    """Return the holder of the Lease."""
    return cluster.kubectl("-n", SYSTEM, "get", "lease", "durafleet", "-o", "jsonpath={.spec.holderIdentity}")


async def test_a_run_completes_once_after_temporal_is_killed_and_restarted(site: Site, cluster: Cluster):
    site.worker()
    site.run("through", script({"text": "survived", "sleep": 4}))
    await site.until_state("through", "Running")
    await site.until(lambda: model_is_called(site, "through"), "the model is called")
    cluster.temporal.kill()
    cluster.temporal.start()
    status = await site.until_state("through", "Completed")
    assert status["result"]["preview"] == "survived"
    assert site.executions("through") == 1


async def test_a_retry_of_a_failed_run_repeats_no_successful_tool_call(site: Site, cluster: Cluster, tools_image: str):
    with ledger(cluster.host_address) as book:
        create_worker_with_ledger(site, book, tools_image, retry={"maximumAttempts": 1})
        site.run("again", script(effect("a"), {**effect("b"), "status": [500]}, {"text": "both"}))
        status = await site.until_state("again", "WorkflowFailed")
        assert status["failure"]["type"] == "ModelUnavailable"
        site.kubectl("patch", "agentrun", "again", "--type=merge", "-p", '{"spec":{"retry":{"token":"1"}}}')
        status = await site.until_state("again", "Completed")
    assert book.effects == ["a", "b"]
    assert status["result"]["preview"] == "both"
    assert [attempt["state"] for attempt in status["attempts"]] == ["WorkflowFailed"]


async def test_a_suspended_run_takes_no_further_step_until_it_is_resumed(
    site: Site, cluster: Cluster, tools_image: str
):
    with ledger(cluster.host_address) as book:
        create_worker_with_ledger(site, book, tools_image)
        site.run("held", script(effect("a"), {**effect("b"), "sleep": 3}, {"text": "both"}))
        await site.until(lambda: book.effects == ["a"] and model_is_called(site, "held"), "one effect is recorded")
        site.kubectl("patch", "agentrun", "held", "--type=merge", "-p", '{"spec":{"suspend":true}}')
        await site.until_state("held", "Suspended")
        assert book.effects == ["a"]
        site.kubectl("patch", "agentrun", "held", "--type=merge", "-p", '{"spec":{"suspend":false}}')
        status = await site.until_state("held", "Completed")
    assert book.effects == ["a", "b"]
    assert status["result"]["preview"] == "both"
