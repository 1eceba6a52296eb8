"""Completion callbacks from Temporal, and runs on a server that does not allow callbacks."""

import http.client
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from temporalio.client import Client

from durafleet.core.runs.callbacks import PATH, CallbackAddress
from tests.support.cluster import ControlPlane
from tests.support.election import candidate, until_leads
from tests.support.faults import Moment, Reply, Script, respond_with
from tests.support.grpc_proxy import grpc_proxy
from tests.support.operator import Fleet, OperatorProcess, operator_process, with_constants
from tests.support.temporal import dev_server, free_port
from tests.support.workflows import BROKEN, effects_of, executions_of

SECRET = "correct horse battery staple"
NO_LONG_POLLS = with_constants(controllers__tracking__fast_lane__LONG_POLLS=0)


@dataclass(frozen=True)
class CallbackFleet:
    """A fleet whose operator requests callbacks.

    Attributes:
        address: the address of Temporal for the operator.
        port: the callback port of the operator.
    """

    fleet: Fleet
    address: str
    port: int = field(default_factory=free_port)

    def env(self) -> dict[str, str]:
        return {**self.fleet.env(), "DURAFLEET_TEMPORAL_ADDRESS": self.address, **settings(self.port)}


def settings(port: int) -> dict[str, str]:
    """Return the environment variables of an operator with a callback port on this machine."""
    return {
        "DURAFLEET_CALLBACK_URL": f"http://127.0.0.1:{port}{PATH}",
        "DURAFLEET_CALLBACK_PORT": str(port),
        "DURAFLEET_CALLBACK_SECRET": SECRET,
    }


@pytest.fixture(scope="module")
def callback_server() -> Iterator[str]:
    """The address of a Temporal server that may call this machine."""
    with dev_server(callbacks=True) as address:
        yield address


async def create_fleet(control_plane: ControlPlane, namespace: str, server: str) -> Fleet:
    fleet = Fleet(control_plane, namespace, await Client.connect(server))
    fleet.create_worker()
    return fleet


@pytest.fixture
async def without_lists(
    control_plane: ControlPlane, namespace: str, callback_server: str
) -> AsyncIterator[CallbackFleet]:
    """A fleet whose operator gets no visibility lists from Temporal, so that sweeps and the census find nothing."""
    script = Script()
    script.start()
    script.at("ListWorkflowExecutions", Moment.BEFORE, respond_with(Reply(grpc.StatusCode.UNAVAILABLE)), times=None)
    async with grpc_proxy(callback_server, script) as address:
        yield CallbackFleet(await create_fleet(control_plane, namespace, callback_server), address)


@pytest.fixture
def broken() -> Iterator[set[str]]:
    yield BROKEN
    BROKEN.clear()


def count(operator: OperatorProcess, outcome: str) -> float:
    """Return the operator's number of callbacks with an outcome."""
    name = f'durafleet_callbacks_total{{outcome="{outcome}"}}'
    lines = operator.ask("/metrics")[1].splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def call(port: int, headers: Mapping[str, str]) -> int:
    """Send a callback as Temporal does; return the status of the response, 0 if the port is closed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", PATH, body=b'"done"', headers=dict(headers))
        return connection.getresponse().status
    except ConnectionRefusedError:
        return 0
    finally:
        connection.close()


async def test_a_callback_alone_completes_a_run(without_lists: CallbackFleet, tmp_path: Path):
    fleet = without_lists.fleet
    async with fleet.worker():
        with operator_process(tmp_path, without_lists.env(), code=NO_LONG_POLLS) as operator:
            await operator.until_ready()
            created = fleet.create_run("called", "Wait")
            await fleet.until_state("called", "Running")
            await fleet.workflow(created).signal("finish", "told")
            run = await fleet.until_state("called", "Completed")
            assert run["status"]["result"]["preview"] == "told"
            assert executions_of(created) == [run["status"]["workflow"]["runId"]]
            assert count(operator, "looked") >= 1
            assert operator.ask("/readyz") == (200, "ok\n")


async def test_the_callback_of_the_first_start_completes_a_run_that_is_retried_by_reset(
    without_lists: CallbackFleet, broken: set[str], tmp_path: Path
):
    fleet = without_lists.fleet
    broken.add("called-b")
    async with fleet.worker():
        with operator_process(tmp_path, without_lists.env(), code=NO_LONG_POLLS) as operator:
            await operator.until_ready()
            created = fleet.create_run("reset", "Steps", input=["called-a", "called-b"])
            await fleet.until_state("reset", "WorkflowFailed")
            broken.clear()
            fleet.patch("agentrun", "reset", {"retry": {"token": "1"}})
            await fleet.until_state("reset", "Completed")
            assert effects_of(created) == ["called-a", "called-b", "called-b"]


async def test_without_callback_support_runs_complete_once_and_readyz_names_the_setting(
    control_plane: ControlPlane, temporal_server: str, namespace: str, tmp_path: Path
):
    fleet = await create_fleet(control_plane, namespace, temporal_server)
    callback_fleet = CallbackFleet(fleet, temporal_server)
    async with fleet.worker():
        with operator_process(tmp_path, callback_fleet.env()) as operator:
            await operator.until_ready()
            for name in ("first", "second"):
                created = fleet.create_run(name, "Echo", input="hello")
                run = await fleet.until_state(name, "Completed")
                assert executions_of(created) == [run["status"]["workflow"]["runId"]]
            status, text = operator.ask("/readyz")
            setting = (
                f'callback.allowedAddresses=[{{"Pattern":"127.0.0.1:{callback_fleet.port}","AllowInsecure":true}}]'
            )
            assert (status, text.splitlines()[0]) == (200, "ok")
            assert setting in text
            assert operator.output().count(setting) == 1


async def test_callbacks_with_a_forged_signature_are_rejected_and_only_the_leader_accepts_callbacks(
    control_plane: ControlPlane, temporal_server: str, namespace: str, tmp_path: Path
):
    fleet = await create_fleet(control_plane, namespace, temporal_server)
    first, second = free_port(), free_port()
    signed = CallbackAddress("", SECRET).headers("agent-run/nowhere/unknown/0")
    forged = CallbackAddress("", "another secret than that").headers("agent-run/nowhere/unknown/0")
    with candidate(fleet, tmp_path, "first", **settings(first)) as leader:
        await until_leads(leader)
        with candidate(fleet, tmp_path, "second", **settings(second)) as standby:
            await standby.until_ready()
            assert [call(first, forged), call(first, signed)] == [403, 200]
            assert (count(leader, "forged"), count(leader, "unknown")) == (1, 1)
            assert call(second, signed) == 0
            leader.terminate()
            await until_leads(standby)
            assert [call(port, signed) for port in (first, second)] == [0, 200]
