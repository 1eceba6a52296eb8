"""The recipes of docs/gitops.md for kubectl, Kustomize, Helm and Argo CD's actions, run unchanged."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio import workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.support.cluster import ControlPlane
from tests.support.gitops import Shell, action_script, discovery_script, evaluate, manifests, script, tool_statuses
from tests.support.operator import Fleet, operator_process, state_of


@workflow.defn(name="AgentRun")
class Agent:
    """Replaces a declared agent: returns its input, fails for "fail" until it is fixed, and waits for "wait"."""

    fixed = False

    @workflow.run
    async def run(self, envelope: dict[str, Any]) -> dict[str, Any]:
        if envelope["input"] == "fail" and not Agent.fixed:
            raise ApplicationError("out of paper", type="Broken", non_retryable=True)
        await workflow.wait_condition(lambda: envelope["input"] != "wait")
        return {"output": envelope["input"]}


@pytest_asyncio.fixture(scope="module")
async def fleet(
    control_plane: ControlPlane, temporal_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """A namespace with an operator, the AgentWorker `writers` of the page and a worker for it."""
    shared = Fleet(control_plane, control_plane.new_namespace(), await Client.connect(temporal_server))
    control_plane.create(in_namespace_of(shared, wave("AgentWorker")))
    with operator_process(tmp_path_factory.mktemp("operator"), shared.env()) as operator:
        await operator.until_ready()
        queue = f"{shared.namespace}/writers"
        async with Worker(
            shared.client, task_queue=queue, workflows=[Agent], workflow_runner=UnsandboxedWorkflowRunner()
        ):
            yield shared


@pytest.fixture
def shell(fleet: Fleet, tmp_path: Path) -> Shell:
    return Shell.open(fleet.plane, fleet.namespace, tmp_path)


def wave(kind: str) -> dict[str, Any]:
    """Return the page's object of this kind with a sync wave of Argo CD."""
    (found,) = (
        each
        for each in manifests()
        if each["kind"] == kind and "argocd.argoproj.io/sync-wave" in each["metadata"].get("annotations", {})
    )
    return found


def in_namespace_of(fleet: Fleet, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the object with the namespace of the fleet."""
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": fleet.namespace}}


def create_run(fleet: Fleet, name: str, text: str) -> None:
    fleet.create_run(name, agent="writer", input=text, workerRef={"name": "writers"})


def runs(fleet: Fleet, prefix: str) -> set[str]:
    """Return the names of the AgentRuns with a prefix."""
    names = fleet.kubectl("get", "agentruns", "-o", "jsonpath={.items[*].metadata.name}").split()
    return {name for name in names if name.startswith(prefix)}


# kubectl


@pytest.mark.parametrize("content", ["condition=Succeeded --timeout=30m", "completionTime"])
async def test_the_wait_script_returns_when_the_run_has_completed(fleet: Fleet, shell: Shell, content: str):
    name = f"done-{content[:4].lower()}"
    create_run(fleet, name, "hello")
    await asyncio.to_thread(shell.succeed, script(content).replace("report", name).replace("30m", "60s"))
    assert state_of(fleet.get("agentrun", name)) == "Completed"


async def test_kubectl_wait_times_out_for_a_failed_run_and_returns_for_a_completed_run(fleet: Fleet, shell: Shell):
    create_run(fleet, "failing", "fail")
    await fleet.until_state("failing", "WorkflowFailed")
    for kind in ("Succeeded", "Ready"):
        done = await asyncio.to_thread(shell.run, f"kubectl wait agentrun/failing --for=condition={kind} --timeout=2s")
        assert done.returncode == 1
        assert "timed out" in done.stderr
    create_run(fleet, "good", "hello")
    for kind in ("Succeeded", "Ready"):
        await asyncio.to_thread(shell.succeed, f"kubectl wait agentrun/good --for=condition={kind} --timeout=60s")


async def test_the_script_for_success_or_failure_fails_at_once_when_the_run_fails(fleet: Fleet, shell: Shell):
    create_run(fleet, "bad", "fail")
    command = script("completionTime").replace("report", "bad").replace("30m", "60s")
    done = await asyncio.to_thread(shell.run, command)
    assert done.returncode == 1
    assert "condition met" in done.stdout, "the first command returns"
    assert "condition not met" in done.stderr, "the second command does not wait"


@pytest.mark.parametrize("flags", ["", "--server-side"], ids=["client-side apply", "server-side apply"])
async def test_an_applied_run_has_no_drift_after_it_completes(fleet: Fleet, shell: Shell, flags: str):
    name = f"steady-{len(flags)}"
    manifest = {
        "apiVersion": "durafleet.dev/v1alpha1",
        "kind": "AgentRun",
        "metadata": {"name": name, "labels": {"team": "sales"}, "annotations": {"note": "90s"}},
        "spec": {"workerRef": {"name": "writers"}, "agent": "writer", "input": {"a": [1, None], "b": {}}},
    }
    (shell.folder / "steady.json").write_text(json.dumps(manifest))
    shell.succeed(f"kubectl apply {flags} -f steady.json")
    applied = fleet.get("agentrun", name)
    await fleet.until_state(name, "Completed")
    completed = await fleet.until(
        "agentrun", name, lambda it: "finalizers" not in it["metadata"], what="has no finalizer"
    )
    assert await asyncio.to_thread(shell.succeed, f"kubectl diff {flags} -f steady.json") == ""
    assert completed["spec"] == applied["spec"]
    assert {name: completed["metadata"][name] for name in ("labels", "annotations", "generation")} == {
        name: applied["metadata"][name] for name in ("labels", "annotations", "generation")
    }


# Kustomize


async def test_kustomize_creates_a_new_run_only_when_the_input_changes(fleet: Fleet, shell: Shell):
    apply, before = script("kubectl apply -k"), runs(fleet, "report-")
    assert "created" in await asyncio.to_thread(shell.succeed, apply)
    (first,) = runs(fleet, "report-") - before
    run = await fleet.until_state(first, "Completed")
    assert run["spec"]["input"] == "What happened last week?\n"
    assert "unchanged" in await asyncio.to_thread(shell.succeed, apply)
    (shell.folder / "runs" / "question.txt").write_text("What will happen next week?\n")
    assert "created" in await asyncio.to_thread(shell.succeed, apply)
    (second,) = runs(fleet, "report-") - before - {first}
    await fleet.until_state(second, "Completed")


async def test_changing_the_agent_of_an_existing_run_is_rejected_with_the_fix(fleet: Fleet, shell: Shell):
    (shell.folder / "runs" / "question.txt").write_text("Who asks?\n")
    shell.succeed(script("kubectl apply -k"))
    manifest = shell.folder / "runs" / "run.yaml"
    manifest.write_text(manifest.read_text().replace("agent: writer", "agent: editor"))
    done = shell.run(script("kubectl apply -k"))
    assert done.returncode == 1
    assert "create a new AgentRun" in done.stderr


async def test_a_run_recreated_with_its_idempotency_key_reports_the_same_workflow(fleet: Fleet):
    spec = {"agent": "writer", "input": "hello", "idempotencyKey": "once", "workerRef": {"name": "writers"}}
    fleet.create_run("restored", **spec)
    first = await fleet.until_state("restored", "Completed")
    fleet.kubectl("delete", "agentrun", "restored")
    fleet.create_run("restored", **spec)
    second = await fleet.until_state("restored", "Completed")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert second["status"]["workflow"] == first["status"]["workflow"]


# Helm


def helm(flags: str = "", *, release: str) -> str:
    """Return the page's Helm command for another release, with additional flags."""
    return script("helm upgrade").replace("install report", f"install {release}").replace("30m", f"60s {flags}").strip()


async def test_helm_waits_for_the_run_and_creates_one_run_per_input(fleet: Fleet, shell: Shell):
    await asyncio.to_thread(shell.succeed, helm(release="weekly"))
    (first,) = runs(fleet, "weekly-")
    assert state_of(fleet.get("agentrun", first)) == "Completed"
    uid = fleet.get("agentrun", first)["metadata"]["uid"]
    await asyncio.to_thread(shell.succeed, helm(release="weekly"))
    assert fleet.get("agentrun", first)["metadata"]["uid"] == uid
    await asyncio.to_thread(shell.succeed, helm("--set run.input=other", release="weekly"))
    (second,) = runs(fleet, "weekly-")
    assert second != first
    assert state_of(fleet.get("agentrun", second)) == "Completed"


async def test_helm_fails_as_soon_as_the_run_fails_and_reports_the_failure(fleet: Fleet, shell: Shell):
    done = await asyncio.to_thread(shell.run, helm("--set run.input=fail", release="broken"))
    assert done.returncode == 1
    assert "status: Failed" in done.stderr
    assert "out of paper" in done.stderr
    assert "deadline" not in done.stderr


def test_helm_rejects_a_run_with_generate_name(shell: Shell):
    template = shell.folder / "chart" / "templates" / "run.yaml"
    template.write_text(template.read_text().replace("  name:", "  generateName:"))
    done = shell.run(helm(release="nameless"))
    assert done.returncode == 1
    assert "resource name may not be empty" in done.stderr


async def test_a_control_set_by_helm_upgrade_applies_to_the_existing_run(fleet: Fleet, shell: Shell):
    await asyncio.to_thread(shell.succeed, helm("--set run.input=wait", release="held").replace("--wait", ""))
    (name,) = runs(fleet, "held-")
    await fleet.until_state(name, "Running")
    stop = "--set run.input=wait --set controls.stop=Cancel"
    await asyncio.to_thread(shell.succeed, helm(stop, release="held"))
    assert runs(fleet, "held-") == {name}
    assert state_of(fleet.get("agentrun", name)) == "Cancelled"


async def test_a_run_that_helm_tracks_is_compacted_instead_of_deleted_after_its_time_to_live(
    fleet: Fleet, shell: Shell
):
    command = helm("--set controls.ttlSecondsAfterFinished=0", release="lasting")
    await asyncio.to_thread(shell.succeed, command)
    (name,) = runs(fleet, "lasting-")
    run = await fleet.until("agentrun", name, lambda it: it["status"].get("compacted"), what="is compacted")
    assert tool_statuses(run).kstatus == "Current"
    await asyncio.to_thread(shell.succeed, command)
    assert fleet.get("agentrun", name)["metadata"]["uid"] == run["metadata"]["uid"]


# Argo CD


def actions(run: dict[str, Any]) -> set[str]:
    """Return the actions that Argo CD offers for a run."""
    found = evaluate(run, discovery=discovery_script())["actions"]
    return {name for name, action in found.items() if not action["disabled"]}


def run_action(fleet: Fleet, name: str, action: str) -> None:
    """Run an action on an AgentRun, as Argo CD does: the changes of the script become a merge patch."""
    run = fleet.get("agentrun", name)
    changed = evaluate(run, action=action_script(action))["changed"]
    assert {**changed, "spec": None} == {**run, "spec": None}, "actions change only the spec"
    removed = dict.fromkeys(run["spec"].keys() - changed["spec"].keys())
    fleet.patch("agentrun", name, {**changed["spec"], **removed})


async def test_a_running_run_can_be_cancelled_from_argo_cd_and_is_then_healthy(fleet: Fleet):
    create_run(fleet, "unwanted", "wait")
    assert actions(await fleet.until_state("unwanted", "Running")) == {"cancel", "suspend"}
    run_action(fleet, "unwanted", "cancel")
    run = await fleet.until_state("unwanted", "Cancelled")
    assert tool_statuses(run).argo == "Healthy"
    assert actions(run) == {"retry"}


async def test_a_run_can_be_suspended_and_resumed_from_argo_cd(fleet: Fleet):
    create_run(fleet, "paused", "wait")
    await fleet.until_state("paused", "Running")
    run_action(fleet, "paused", "suspend")
    run = await fleet.until_state("paused", "Suspended")
    assert tool_statuses(run).argo == "Healthy"
    assert actions(run) == {"cancel", "resume"}
    run_action(fleet, "paused", "resume")
    assert tool_statuses(await fleet.until_state("paused", "Running")).argo == "Progressing"


async def test_a_failed_run_can_be_retried_from_argo_cd(fleet: Fleet, monkeypatch: pytest.MonkeyPatch):
    create_run(fleet, "unlucky", "fail")
    assert actions(await fleet.until_state("unlucky", "WorkflowFailed")) == {"retry"}
    monkeypatch.setattr(Agent, "fixed", True)
    run_action(fleet, "unlucky", "retry")
    assert tool_statuses(await fleet.until_state("unlucky", "Completed")).argo == "Healthy"


async def test_a_run_cancelled_from_argo_cd_can_be_retried_from_argo_cd(fleet: Fleet):
    create_run(fleet, "regretted", "wait")
    await fleet.until_state("regretted", "Running")
    run_action(fleet, "regretted", "cancel")
    await fleet.until_state("regretted", "Cancelled")
    run_action(fleet, "regretted", "retry")
    assert "stop" not in (await fleet.until_state("regretted", "Running"))["spec"]


async def test_a_completed_run_has_no_actions_in_argo_cd(fleet: Fleet):
    create_run(fleet, "complete", "hello")
    assert actions(await fleet.until_state("complete", "Completed")) == set()


async def test_a_run_without_a_status_can_be_cancelled_and_suspended_from_argo_cd(fleet: Fleet):
    without_operator = Fleet(fleet.plane, fleet.plane.new_namespace(), fleet.client)
    assert actions(without_operator.create_run("unseen", "Echo")) == {"cancel", "suspend"}


async def test_the_hook_with_a_generated_name_can_be_created_but_not_applied(fleet: Fleet, shell: Shell):
    (hook,) = (each for each in manifests() if "generateName" in each["metadata"])
    (shell.folder / "hook.json").write_text(json.dumps(hook))
    for flags in ("", "--server-side"):
        assert "cannot use generate name with apply" in shell.run(f"kubectl apply {flags} -f hook.json").stderr
    created = shell.succeed("kubectl create -f hook.json -o name").strip()
    run = await fleet.until_state(created.partition("/")[2], "Completed")
    assert tool_statuses(run).argo == "Healthy"


async def test_a_sync_wave_is_progressing_while_its_worker_rolls_out_and_healthy_when_its_run_completes(fleet: Fleet):
    worker = await fleet.until_reason("agentworker", "writers", "RollingOut")
    assert tool_statuses(worker).argo == "Progressing"
    run = in_namespace_of(fleet, wave("AgentRun"))
    fleet.plane.create(run)
    assert tool_statuses(await fleet.until_state(run["metadata"]["name"], "Completed")).argo == "Healthy"


def test_the_settings_for_argo_cd_are_a_valid_config_map(shell: Shell):
    (settings,) = (each for each in manifests() if each["metadata"].get("name") == "argocd-cm")
    metadata = {**settings["metadata"], "namespace": shell.namespace}
    (shell.folder / "settings.json").write_text(json.dumps({**settings, "metadata": metadata}))
    shell.succeed("kubectl apply --validate=strict -f settings.json")
