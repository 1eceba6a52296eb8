"""AgentRuns on a whole cluster: completion, failures, controls and invalid objects."""

import json

import pytest

from dev.cluster.layout import ClusterError
from tests.support.site import Site, script

SLOW = script({"text": "late", "sleep": 60})


async def test_a_run_created_before_its_worker_waits_and_then_completes(site: Site):
    site.run("early", script({"text": "done"}))
    message = await site.until_condition("agentrun", "early", "Reconciling", "WorkerNotFound")
    assert "'fleet'" in message
    site.worker()
    await site.until_state("early", "Completed")


async def test_a_run_that_exceeds_its_workflow_timeout_times_out_and_names_the_field(site: Site):
    site.worker(timeouts={"workflow": "4s", "activity": "3s", "heartbeat": "1s"})
    site.run("slow", SLOW)
    status = await site.until_state("slow", "TimedOut")
    assert "spec.timeouts.workflow" in site.condition("agentrun", "slow", "Stalled")["message"]
    assert status["failure"]["type"]


async def test_a_run_with_stop_cancel_is_cancelled_and_ready(site: Site):
    site.worker()
    site.run("unwanted", SLOW)
    await site.until(lambda: bool(site.status("unwanted").get("workflow")), "the workflow has started")
    site.kubectl("patch", "agentrun", "unwanted", "--type=merge", "-p", '{"spec":{"stop":"Cancel"}}')
    await site.until_state("unwanted", "Cancelled")
    assert site.condition("agentrun", "unwanted", "Ready")["status"] == "True"


async def test_a_run_terminated_with_the_temporal_cli_reports_the_reason(site: Site):
    site.worker()
    site.run("ended", SLOW)
    await site.until(lambda: bool(site.status("ended").get("workflow")), "the workflow has started")
    workflow = site.status("ended")["workflow"]["id"]
    site.cluster.temporal.cli("workflow", "terminate", "-w", workflow, "--reason", "enough of it")
    status = await site.until_state("ended", "Terminated")
    assert "enough of it" in status["failure"]["message"]


async def test_deleting_a_running_run_cancels_its_workflow(site: Site):
    site.worker()
    site.run("deleted", SLOW)
    await site.until(lambda: bool(site.status("deleted").get("workflow")), "the workflow has started")
    workflow = site.status("deleted")["workflow"]["id"]
    site.kubectl("delete", "agentrun", "deleted", "--timeout=100s")
    described = json.loads(site.cluster.temporal.cli("workflow", "describe", "-w", workflow, "-o", "json"))
    assert described["workflowExecutionInfo"]["status"] == "WORKFLOW_EXECUTION_STATUS_CANCELED"


async def test_a_worker_without_timeouts_gives_temporal_the_documented_defaults(site: Site):
    site.apply(
        "AgentWorker",
        "fleet",
        {
            "agents": [{"name": "agent", "model": "openai:smollm2", "baseURL": "http://model.models:8080/v1"}],
            "envFrom": [{"secretRef": {"name": "model-key"}}],
        },
    )
    site.run("defaults", script({"text": "done"}))
    await site.until_state("defaults", "Completed")
    assert timeouts_in_history(site, "defaults") == ("3600s", "300s", "30s")


async def test_the_timeouts_of_the_worker_override_the_defaults(site: Site):
    site.worker(timeouts={"workflow": "10m", "activity": "45s", "heartbeat": "7s"})
    site.run("own", script({"text": "done"}))
    await site.until_state("own", "Completed")
    assert timeouts_in_history(site, "own") == ("600s", "45s", "7s")


def timeouts_in_history(site: Site, run: str) -> tuple[str, str, str]:
    events = site.history(run)
    started = events[0]["workflowExecutionStartedEventAttributes"]
    scheduled = next(
        e["activityTaskScheduledEventAttributes"] for e in events if "activityTaskScheduledEventAttributes" in e
    )
    return started["workflowExecutionTimeout"], scheduled["startToCloseTimeout"], scheduled["heartbeatTimeout"]


async def test_a_run_completes_after_transient_errors_of_the_model_service(site: Site):
    site.worker()
    site.run("bumpy", script({"text": "done", "status": [500, 429]}))
    status = await site.until_state("bumpy", "Completed")
    assert status["result"]["preview"] == "done"


async def test_an_invalid_model_key_fails_the_run_without_retry_and_names_the_variable(site: Site):
    site.secret("model-key", OPENAI_API_KEY="bad-key")
    site.worker()
    site.run("locked-out", script({"text": "never"}))
    status = await site.until_state("locked-out", "WorkflowFailed")
    assert status["failure"]["type"] == "ModelAuthentication"
    assert status["failure"]["retryable"] is False
    assert "OPENAI_API_KEY" in status["failure"]["message"]


async def test_an_unreachable_model_fails_the_run_and_names_the_base_url(site: Site):
    site.worker(
        agent={"baseURL": "http://nowhere.models:8080/v1"},
        retry={"maximumAttempts": 2, "initialInterval": "100ms"},
    )
    site.run("lost", script({"text": "never"}))
    status = await site.until_state("lost", "WorkflowFailed")
    assert status["failure"]["type"] == "ModelUnavailable"
    assert "http://nowhere.models:8080/v1" in status["failure"]["message"]


async def test_a_missing_image_stalls_the_worker_and_names_the_image(site: Site):
    site.worker(image="localhost/no-such-image:1", imagePullPolicy="Never")
    message = await site.until_condition("agentworker", "fleet", "Stalled", "ImagePullFailed")
    assert "localhost/no-such-image:1" in message


async def test_a_missing_tool_module_stalls_the_worker_and_names_the_module(site: Site):
    site.worker(agent={"tools": [{"python": "nowhere:tool"}]})
    message = await site.until_condition("agentworker", "fleet", "Stalled", "CrashLoop", within=120)
    assert "nowhere" in message


async def test_a_missing_connection_is_reported_in_the_worker_and_in_the_run(site: Site):
    site.worker(connectionRef={"name": "main"})
    site.run("waiting", script({"text": "done"}))
    for kind, name in (("agentworker", "fleet"), ("agentrun", "waiting")):
        message = await site.until_condition(kind, name, "Reconciling", "ConnectionNotFound")
        assert "'main'" in message
    site.apply("TemporalConnection", "main", {"address": "temporal-frontend.temporal:7233"})
    await site.until_state("waiting", "Completed")


async def test_a_run_of_an_unknown_agent_lists_the_known_agents(site: Site):
    site.worker()
    site.run("who", "hello", agent="somebody")
    message = await site.until_condition("agentrun", "who", "Reconciling", "AgentNotFound")
    assert "'somebody'" in message
    assert "agent" in message


async def test_a_run_takes_its_input_from_a_config_map_and_is_deleted_after_its_time_to_live(site: Site):
    site.worker()
    site.kubectl("create", "configmap", "prompts", f"--from-literal=weekly={script({'text': 'done'})}")
    source = {"configMapKeyRef": {"name": "prompts", "key": "weekly"}}
    site.run("weekly", None, inputFrom=source, ttlSecondsAfterFinished=3)  # type: ignore[arg-type]
    status = await site.until_state("weekly", "Completed")
    assert status["result"]["preview"] == "done"
    await site.until(lambda: "weekly" not in site.kubectl("get", "agentruns", "-o", "name"), "the run is gone")


@pytest.mark.parametrize("prompt", ["", None])
async def test_a_run_with_an_empty_input_is_rejected_at_admission(site: Site, prompt: str | None):
    site.worker()
    with pytest.raises(ClusterError, match=r"spec\.input"):
        site.run("silent", prompt)  # type: ignore[arg-type]
