"""The proxies of the fault tests forward calls unchanged, inject the scripted faults and record every call."""

from collections.abc import AsyncIterator

import grpc
import pytest
from aiohttp import ClientConnectionError, ClientSession, ClientTimeout
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest, StartWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from durafleet.kube.resources import CONFIG_MAPS
from tests.support.cluster import ControlPlane
from tests.support.faults import Drop, Moment, Reply, Script, delay, respond_with
from tests.support.grpc_proxy import grpc_proxy
from tests.support.kube_api import KubeApi, KubeError, kube_api
from tests.support.kube_proxy import kube_proxy

START = "StartWorkflowExecution"
CREATE = "POST configmaps"


@pytest.fixture
def script() -> Script:
    started = Script()
    started.start()
    return started


@pytest.fixture
async def temporal(temporal_server: str, script: Script) -> AsyncIterator[Client]:
    """A client behind the proxy."""
    async with grpc_proxy(temporal_server, script) as address:
        yield await Client.connect(address)


@pytest.fixture
async def kube(control_plane: ControlPlane, script: Script) -> AsyncIterator[KubeApi]:
    """A client behind the proxy."""
    async with (
        kube_api(control_plane.cluster.kubeconfig) as direct,
        kube_proxy(direct.session, script) as url,
        ClientSession(url, timeout=ClientTimeout(total=30)) as session,
    ):
        yield KubeApi(session)


async def start(client: Client, workflow_id: str) -> str:
    """Start a workflow, without the SDK's retries; return its run id."""
    request = StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id=workflow_id,
        workflow_type=WorkflowType(name="Nothing"),
        task_queue=TaskQueue(name="nobody"),
        request_id=workflow_id,
    )
    return (await client.workflow_service.start_workflow_execution(request)).run_id


async def test_the_proxy_forwards_the_response_of_temporal(temporal: Client, temporal_server: str):
    run_id = await start(temporal, "proxied")
    direct = await Client.connect(temporal_server)
    assert (await direct.get_workflow_handle("proxied").describe()).run_id == run_id


async def test_the_proxy_forwards_an_error_of_temporal_with_its_details(temporal: Client):
    with pytest.raises(RPCError) as error:
        await temporal.get_workflow_handle("absent").describe()
    assert error.value.status is RPCStatusCode.NOT_FOUND
    assert error.value.grpc_status.details


async def test_calls_to_temporal_are_counted_and_a_long_poll_has_its_own_signature(temporal: Client, script: Script):
    await start(temporal, "counted-1")
    await start(temporal, "counted-2")
    for poll in (False, True):
        execution = WorkflowExecution(workflow_id="absent")
        request = GetWorkflowExecutionHistoryRequest(namespace="default", execution=execution, wait_new_event=poll)
        with pytest.raises(RPCError):
            await temporal.workflow_service.get_workflow_execution_history(request)
    assert [(str(call), call.mutating) for call in script.calls if call.signature != "GetSystemInfo"] == [
        (f"{START} #1", True),
        (f"{START} #2", True),
        ("GetWorkflowExecutionHistory #1", False),
        ("PollWorkflowExecutionHistory #1", False),
    ]


async def test_the_proxy_can_drop_the_response_after_temporal_has_handled_the_call(temporal: Client, script: Script):
    script.at(START, Moment.AFTER, respond_with(Reply(grpc.StatusCode.UNAVAILABLE)))
    with pytest.raises(RPCError):
        await start(temporal, "lost")
    assert (await temporal.get_workflow_handle("lost").describe()).id == "lost"


async def test_the_proxy_can_drop_a_call_before_temporal_receives_it(temporal: Client, script: Script):
    script.at(START, Moment.BEFORE, respond_with(Drop()))
    with pytest.raises(RPCError) as failure:
        await start(temporal, "never")
    assert failure.value.status is RPCStatusCode.UNAVAILABLE
    with pytest.raises(RPCError):
        await temporal.get_workflow_handle("never").describe()


async def test_the_proxy_forwards_requests_and_streams_the_events_of_a_watch(
    kube: KubeApi, namespace: str, script: Script
):
    await kube.create(CONFIG_MAPS, {"metadata": {"name": "one", "namespace": namespace}})

    async def change() -> None:
        await kube.patch(CONFIG_MAPS, namespace, "one", {"data": {"greeting": "hello"}})

    script.at("WATCH configmaps", Moment.AFTER, lambda _: change())
    found = await kube.until(
        CONFIG_MAPS, namespace, lambda all_: all_.get("one", {}).get("data") == {"greeting": "hello"}, what="changed"
    )
    assert found["one"]["metadata"]["namespace"] == namespace
    assert [(str(call), call.mutating) for call in script.calls] == [
        (f"{CREATE} #1", True),
        ("LIST configmaps #1", False),
        ("WATCH configmaps #1", False),
        ("PATCH configmaps #1", True),
    ]


async def test_the_proxy_can_respond_with_an_error_in_place_of_the_api_server(
    kube: KubeApi, namespace: str, script: Script
):
    script.at(CREATE, Moment.BEFORE, respond_with(Reply(429, headers={"Retry-After": "7"})))
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
    async with kube.session.post(CONFIG_MAPS.path(namespace), json=body) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    assert "one" not in {each["metadata"]["name"] for each in await kube.list(CONFIG_MAPS, namespace)}


@pytest.mark.parametrize(("moment", "exists"), [(Moment.BEFORE, False), (Moment.AFTER, True)])
async def test_the_proxy_can_reset_a_connection_before_or_after_the_api_server_handles_the_request(
    kube: KubeApi, namespace: str, script: Script, moment: Moment, exists: bool
):
    script.at(CREATE, moment, respond_with(Drop()))
    with pytest.raises(ClientConnectionError):
        await kube.create(CONFIG_MAPS, {"metadata": {"name": "one", "namespace": namespace}})
    assert ("one" in {each["metadata"]["name"] for each in await kube.list(CONFIG_MAPS, namespace)}) is exists


async def test_a_rule_for_the_second_call_applies_to_that_call_only(kube: KubeApi, namespace: str, script: Script):
    rule = script.at(CREATE, Moment.BEFORE, respond_with(Reply(500)), occurrence=2)
    script.at(CREATE, Moment.BEFORE, delay(0), times=None)
    for name in ("one", "two", "three"):
        metadata = {"name": name, "namespace": namespace}
        if name != "two":
            await kube.create(CONFIG_MAPS, {"metadata": metadata})
        else:
            with pytest.raises(KubeError):
                await kube.create(CONFIG_MAPS, {"metadata": metadata})
    assert rule.applied == 1
