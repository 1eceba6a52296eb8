"""Several operators and one Lease: only the leader writes, and a standby takes over."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from durafleet.core.leading.sharding import Shard
from durafleet.fence import LOST
from tests.support.cluster import ControlPlane
from tests.support.election import LEADER_READY, candidate, leader, lease, until_leads, writes
from tests.support.environment import kubeconfig
from tests.support.faults import Call, Drop, Fault, FaultAction, Moment, Script, Server
from tests.support.kube_proxy import kube_proxy
from tests.support.operator import Fleet
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.workflows import executions_of

BURST = 30


@pytest.fixture
async def fleet(control_plane: ControlPlane, temporal_server: str, namespace: str) -> Fleet:
    """A namespace with an AgentWorker `support`, without an operator."""
    created = Fleet(control_plane, namespace, await Client.connect(temporal_server))
    created.create_worker()
    return created


def started(fleet: Fleet) -> int:
    """Count the AgentRuns whose status has a workflow."""
    found = fleet.kubectl("get", "agentruns", "-o", "jsonpath={.items[*].status.workflow.runId}")
    return len(found.split())


def completed(fleet: Fleet) -> int:
    found = fleet.kubectl("get", "agentruns", "-o", "jsonpath={.items[*].status.state}")
    return found.split().count("Completed")


def events(fleet: Fleet) -> list[dict[str, Any]]:
    """Return the Events in the namespace, each as often as its count."""
    found = json.loads(fleet.kubectl("get", "events", "-o", "json"))["items"]
    return [each for each in found for _ in range(each.get("count") or 1)]


def runs_with_completed_event(fleet: Fleet) -> list[str]:
    """Return the names of the AgentRuns with an Event Completed."""
    return [each["involvedObject"]["name"] for each in events(fleet) if each["reason"] == "Completed"]


async def test_one_of_two_operators_is_the_leader_and_the_other_is_a_ready_standby(fleet: Fleet, tmp_path: Path):
    async with fleet.worker():
        with candidate(fleet, tmp_path, "one") as one:
            await until_leads(one)
            with candidate(fleet, tmp_path, "other") as other:
                await other.until_ready()
                fleet.create_run("once", "Echo", input="hello")
                await fleet.until_state("once", "Completed")
                responses = [operator.ask("/readyz")[1] for operator in (one, other)]
                assert responses[0] == LEADER_READY
                assert responses[1].startswith("standby: one_")
                assert [operator.probe("/livez") for operator in (one, other)] == [200, 200]
                assert "durafleet_leader 1.0" in one.ask("/metrics")[1]
                assert "durafleet_leader 0.0" in other.ask("/metrics")[1]
                other.terminate()
                assert await other.exit_code() == 0, other.output()
                assert leader(fleet) == "one"
    assert {write.operator for write in writes(fleet)} == {"one"}


async def test_a_leader_killed_during_a_burst_is_replaced_and_each_run_executes_once(
    fleet: Fleet, tmp_path: Path, record_property: Callable[[str, object], None]
):
    async with fleet.worker():
        with candidate(fleet, tmp_path, "one") as one:
            await until_leads(one)
            with candidate(fleet, tmp_path, "other") as other:
                await other.until_ready()
                runs = [fleet.create_run(f"run-{number}", "Echo", input="hello") for number in range(BURST)]
                await until(lambda: started(fleet) > 0, what="the first runs have started")
                one.kill()
                without_event = completed(fleet)  # upper bound: an Event follows the status, and may be lost
                await until(lambda: completed(fleet) == BURST, what="all runs have completed")
                await until(
                    lambda: len(runs_with_completed_event(fleet)) >= BURST - without_event,
                    what="the other runs have an Event Completed",
                )
                assert leader(fleet) == "other"
    assert [len(executions_of(run)) for run in runs] == [1] * BURST
    assert max(Counter((each["involvedObject"]["name"], each["reason"]) for each in events(fleet)).values()) == 1
    assert lease(fleet)["leaseTransitions"] == 1
    all_writes = writes(fleet)
    last = max(write.at for write in all_writes if write.operator == "one")
    first = min(write.at for write in all_writes if write.operator == "other" and write.subject.startswith("agentruns"))
    record_property("seconds without a write", round((first - last).total_seconds(), 1))


async def test_a_leader_that_receives_sigterm_releases_the_lease(fleet: Fleet, tmp_path: Path):
    async with fleet.worker():
        with candidate(fleet, tmp_path, "one") as one:
            await until_leads(one)
            fleet.create_run("open", "Wait")
            await fleet.until_state("open", "Running")
            one.terminate()
            assert await one.exit_code() == 0, one.output()
            assert "Traceback" not in one.output()
        assert lease(fleet)["leaseTransitions"] == 0
        assert "holderIdentity" not in lease(fleet)
        with candidate(fleet, tmp_path, "other") as other:
            await until_leads(other)
            assert lease(fleet)["leaseTransitions"] == 1
            await fleet.until_state("open", "Running")


async def test_a_leader_paused_until_its_lease_expires_exits_without_another_write(fleet: Fleet, tmp_path: Path):
    async with fleet.worker():
        with candidate(fleet, tmp_path, "one") as one:
            await until_leads(one)
            with candidate(fleet, tmp_path, "other") as other:
                await other.until_ready()
                runs = [fleet.create_run(f"run-{number}", "Echo", input="hello") for number in range(BURST)]
                await until(lambda: started(fleet) > 0, what="the first runs have started")
                one.pause()
                await until(lambda: completed(fleet) == BURST, what="all runs have completed")
                assert leader(fleet) == "other"
                one.resume()
                assert await one.exit_code() == LOST, one.output()
                assert other.ask("/readyz") == (200, LEADER_READY)
    all_writes = writes(fleet)
    taken_over = next(write.at for write in all_writes if write.operator == "other" and write.code == 200)
    assert [write for write in all_writes if write.operator == "one" and write.at >= taken_over] == []
    assert "was not renewed in time" in one.output()
    assert [len(executions_of(run)) for run in runs] == [1] * BURST


async def reset_connection(_: Call) -> Fault:
    """Reset the connection."""
    return Drop()


async def send_no_response(_: Call) -> None:
    """Never respond."""
    await asyncio.sleep(3600)


@pytest.mark.parametrize("action", [reset_connection, send_no_response])
async def test_a_leader_without_access_to_the_api_server_exits_and_is_replaced(
    fleet: Fleet, servers: Servers, tmp_path: Path, action: FaultAction
):
    script = Script()
    script.start()
    config = tmp_path / "kubeconfig"
    async with fleet.worker(), kube_proxy(servers.kube.session, script) as url:
        config.write_text(json.dumps(kubeconfig(url)))
        with candidate(fleet, tmp_path, "one", KUBECONFIG=str(config)) as one:
            await until_leads(one)
            with candidate(fleet, tmp_path, "other") as other:
                await other.until_ready()
                script.at(Server.KUBERNETES, Moment.BEFORE, action, times=None)
                assert await one.exit_code() == LOST, one.output()
                await until_leads(other)
                fleet.create_run("once", "Echo", input="hello")
                await fleet.until_state("once", "Completed")


async def test_each_shard_reconciles_only_its_own_namespaces(fleet: Fleet, control_plane: ControlPlane, tmp_path: Path):
    fleets = [fleet, *(replace(fleet, namespace=control_plane.new_namespace()) for _ in range(7))]
    all_namespaces = ",".join(each.namespace for each in fleets)
    for each in fleets[1:]:
        each.create_worker(taskQueue=f"{fleet.namespace}/support")
    async with fleet.worker():
        with ExitStack() as operators:
            for shard in ("0", "1"):
                settings = {"SHARD": f"{shard}/2", "LEASE_NAME": f"shard-{shard}", "WATCH_NAMESPACES": all_namespaces}
                env = {f"DURAFLEET_{name}": value for name, value in settings.items()}
                await until_leads(operators.enter_context(candidate(fleet, tmp_path, shard, **env)))
            runs = [each.create_run("once", "Echo", input="hello") for each in fleets]
            for each in fleets:
                await each.until_state("once", "Completed")
    assert [len(executions_of(run)) for run in runs] == [1] * len(runs)
    writers = [{write.operator for write in writes(each) if not write.subject.startswith("leases")} for each in fleets]
    assert writers == [{"0"} if Shard(0, 2).holds(each.namespace) else {"1"} for each in fleets]
