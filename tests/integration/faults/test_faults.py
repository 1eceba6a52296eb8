"""A single fault at any call of the operator changes no final result of a scenario.

There is no list of calls. All scenarios run once without faults, and each call that they make is combined with each
fault, in the first scenario that makes the call.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from tests.support.crash_points import calls_for_runs
from tests.support.environment import Environment, create_environment, run_operators
from tests.support.faults import (
    Call,
    Drop,
    Fault,
    FaultAction,
    Moment,
    Reply,
    Rule,
    Server,
    delay,
    never_respond,
    respond_with,
)
from tests.support.operator import condition
from tests.support.scenario_runner import (
    CONCURRENCY,
    FaultInjection,
    ScenarioResult,
    check_execution_counts,
    compare_with_baseline,
    run_scenario,
    run_with_faults,
    without_idle_repeats,
)
from tests.support.scenarios import SCENARIOS
from tests.support.servers import Servers
from tests.support.waiting import until


@dataclass(frozen=True)
class ServerFault:
    """A fault that can occur at any call to a server.

    Attributes:
        only: prefix of the signatures at which the fault can occur.
        deadline: seconds within which the operator must recover.
    """

    server: Server
    action: FaultAction
    moment: Moment = Moment.BEFORE
    only: str = ""
    deadline: float = 30

    def matches(self, call: Call) -> bool:
        return call.server is self.server and call.signature.startswith(self.only)

    def at(self, call: Call) -> FaultInjection:
        def add(environment: Environment) -> Rule:
            return environment.script.at(call.signature, self.moment, self.action, occurrence=call.occurrence)

        return add


OVERLOADED = Reply(429, headers={"Retry-After": "3"}, text="Too many requests, please try again later.")
"""As the API server responds: in plain text."""
SERVER_FAULTS = {
    "the API server returns 409": ServerFault(Server.KUBERNETES, respond_with(Reply(409)), only="PATCH"),
    "the API server returns 429": ServerFault(Server.KUBERNETES, respond_with(OVERLOADED)),
    "the API server returns 500": ServerFault(Server.KUBERNETES, respond_with(Reply(500))),
    "a load balancer returns 503": ServerFault(
        Server.KUBERNETES, respond_with(Reply(503, text="<h1>Unavailable</h1>"))
    ),
    "a connection is reset before the request arrives": ServerFault(Server.KUBERNETES, respond_with(Drop())),
    "a connection is reset before the response arrives": ServerFault(
        Server.KUBERNETES, respond_with(Drop()), Moment.AFTER
    ),
    "the API server never responds": ServerFault(Server.KUBERNETES, never_respond(), deadline=120),
    "the API server makes a write and never responds": ServerFault(
        Server.KUBERNETES, never_respond(), Moment.AFTER, only="P", deadline=120
    ),
    "Temporal returns UNAVAILABLE": ServerFault(Server.TEMPORAL, respond_with(Reply(grpc.StatusCode.UNAVAILABLE))),
    "Temporal handles the call and returns UNAVAILABLE": ServerFault(
        Server.TEMPORAL, respond_with(Reply(grpc.StatusCode.UNAVAILABLE)), Moment.AFTER
    ),
    "Temporal handles the call and returns DEADLINE_EXCEEDED": ServerFault(
        Server.TEMPORAL, respond_with(Reply(grpc.StatusCode.DEADLINE_EXCEEDED)), Moment.AFTER
    ),
    "Temporal returns RESOURCE_EXHAUSTED": ServerFault(
        Server.TEMPORAL, respond_with(Reply(grpc.StatusCode.RESOURCE_EXHAUSTED))
    ),
    "Temporal never responds": ServerFault(Server.TEMPORAL, never_respond(), deadline=60),
    "Temporal takes 2 s to respond": ServerFault(Server.TEMPORAL, delay(2)),
}


@pytest_asyncio.fixture(scope="module")
async def baseline(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ScenarioResult]:
    """The results of all scenarios without faults."""
    semaphore = asyncio.Semaphore(CONCURRENCY)

    async def one(name: str) -> ScenarioResult:
        async with semaphore:
            return await run_scenario(SCENARIOS[name], servers, tmp_path_factory.mktemp("baseline"))

    return dict(zip(SCENARIOS, await asyncio.gather(*map(one, SCENARIOS)), strict=True))


def faults_at_new_calls(
    baseline: Mapping[str, ScenarioResult], server_fault: ServerFault
) -> dict[str, dict[str, FaultInjection]]:
    """Return the faults for each scenario: those at calls that no earlier scenario makes."""
    seen: set[Call] = set()
    faults: dict[str, dict[str, FaultInjection]] = {}
    for name, result in baseline.items():
        calls = result.calls if SCENARIOS[name].includes_worker else calls_for_runs(result.calls)
        new = [call for call in without_idle_repeats(calls) if call not in seen and server_fault.matches(call)]
        seen.update(new)
        faults[name] = {f"the fault at {call} of a run that {name}": server_fault.at(call) for call in new}
    return faults


@pytest.mark.parametrize("name", SERVER_FAULTS)
async def test_nothing_is_lost_or_done_twice_when(
    name: str,
    baseline: Mapping[str, ScenarioResult],
    servers: Servers,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
):
    server_fault = SERVER_FAULTS[name]
    semaphore = asyncio.Semaphore(
        32 if server_fault.deadline > 30 else CONCURRENCY
    )  # waiting for a timeout uses no CPU

    async def one(scenario: str, faults: Mapping[str, FaultInjection]) -> list[ScenarioResult]:
        again = await run_with_faults(
            SCENARIOS[scenario], servers, tmp_path, faults=faults, semaphore=semaphore, deadline=server_fault.deadline
        )
        compare_with_baseline(baseline[scenario], again)
        return again

    plans = faults_at_new_calls(baseline, server_fault).items()
    results = [result for results in await asyncio.gather(*(one(*each) for each in plans)) for result in results]
    await check_execution_counts(results, servers)
    record_property("calls", len(results))
    record_property("not injected", [each.fault for each in results if not each.injected])
    failed = [result for result in results if result.problems]
    assert not failed, "\n\n".join(map(str, failed))
    assert any(result.injected for result in results)


async def test_no_scenario_changes_when_temporal_responds_slowly_to_every_call(
    baseline: Mapping[str, ScenarioResult], servers: Servers, tmp_path: Path
):
    def slow(environment: Environment) -> Rule:
        return environment.script.at(Server.TEMPORAL, Moment.BEFORE, delay(2), times=None)

    async def one(scenario: str) -> ScenarioResult:
        faults = {f"slow responses of Temporal to a run that {scenario}": slow}
        (again,) = await run_with_faults(
            SCENARIOS[scenario], servers, tmp_path, faults=faults, semaphore=asyncio.Semaphore(), deadline=120
        )
        compare_with_baseline(baseline[scenario], [again])
        return again

    results = await asyncio.gather(*map(one, SCENARIOS))
    await check_execution_counts(results, servers)
    failed = [result for result in results if result.problems]
    assert not failed, "\n\n".join(map(str, failed))


@pytest.fixture
async def environment(servers: Servers, tmp_path: Path) -> AsyncIterator[Environment]:
    """A namespace with an AgentWorker `support` and an operator."""
    created = await create_environment(servers, tmp_path)
    await created.create_worker()
    async with run_operators(created):
        await created.until_watching()
        created.script.start()
        yield created


EXPIRED = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "reason": "Expired",
    "code": 410,
    "message": "old",
}


@pytest.mark.parametrize(
    ("response", "exits"),
    [(Reply(410), [1]), (Reply(200, body={"type": "ERROR", "object": EXPIRED}), [])],
    ids=["status 410: the operator restarts", "ERROR event: the operator lists again"],
)
async def test_a_change_during_an_expired_watch_is_still_reconciled(
    environment: Environment, response: Fault, exits: list[int]
):
    run = await environment.create_run("once", "WaitForSignal")
    await environment.until_effect(run)
    await environment.until_state("once", "Running")
    expired = environment.script.at("WATCH agentruns", Moment.BEFORE, respond_with(response))
    environment.script.reset_watches("WATCH agentruns")
    await environment.patch_run("once", stop="Cancel")
    await environment.until_state("once", "Cancelled")
    assert expired.applied == 1
    assert environment.unexpected_exits == exits


@pytest.mark.parametrize(
    ("signature", "workflow_type", "state"),
    [
        ("PATCH agentruns", "RecordEffect", "Completed"),
        ("PATCH agentruns/status", "RecordEffect", "Completed"),
        ("POST events", "WaitForSignal", "Running"),  # posts a single Event, so that no later one replaces it
    ],
)
async def test_a_call_rejected_with_retry_after_is_repeated_after_that_time(
    environment: Environment, signature: str, workflow_type: str, state: str
):
    loop = asyncio.get_running_loop()
    received: list[float] = []

    async def reject_once(_: Call) -> Fault | None:
        received.append(loop.time())
        return OVERLOADED if len(received) == 1 else None

    environment.script.at(signature, Moment.BEFORE, reject_once, times=2)
    await environment.create_run("once", workflow_type, input="hello")
    await environment.until_state("once", state)
    await until(lambda: len(received) == 2, what="the call is repeated", within=30)
    assert received[1] - received[0] >= 3


async def test_an_operator_that_starts_before_its_crds_are_installed_waits_for_them(servers: Servers, tmp_path: Path):
    early = await create_environment(servers, tmp_path)
    early.script.start()
    absent = respond_with(Reply(404, text="404 page not found"))
    early.script.at("GET /apis/durafleet.dev/v1alpha1", Moment.BEFORE, absent, times=2)
    async with run_operators(early):
        await early.until_watching()
    assert early.unexpected_exits == []
    assert "install the chart durafleet-crds" in early.output()


async def test_a_run_completes_after_an_outage_of_the_api_server(environment: Environment):
    run = await environment.create_run("once", "WaitForSignal")
    await environment.until_effect(run)
    await environment.until_state("once", "Running")
    outage = environment.script.at(Server.KUBERNETES, Moment.BEFORE, respond_with(Drop()), times=None)
    for kind in ("agentruns", "agentworkers", "deployments", "temporalconnections"):
        environment.script.reset_watches(f"WATCH {kind}")
    await environment.workflow(run).signal("finish", "all is well")
    await until(lambda: outage.applied >= 10, what="the operator has made calls", within=30)
    outage.stop()
    ended = await environment.until_state("once", "Completed")
    await environment.until_run("once", lambda it: not it["metadata"].get("finalizers"), what="has no finalizer")
    assert ended["status"]["result"]["preview"] == "all is well"
    assert environment.unexpected_exits == []


async def test_a_run_starts_and_can_be_cancelled_after_outages_of_temporal(environment: Environment):
    outage = environment.script.at(Server.TEMPORAL, Moment.BEFORE, respond_with(Drop()), times=None)
    run = await environment.create_run("once", "WaitForSignal")
    await environment.until_run(
        "once",
        lambda it: condition(it, "Ready").get("reason") == "TemporalUnavailable",
        what="reports TemporalUnavailable",
    )
    outage.stop()
    await environment.until_effect(run)
    await environment.until_state("once", "Running")
    outage = environment.script.at(Server.TEMPORAL, Moment.BEFORE, respond_with(Drop()), times=None)
    await environment.patch_run("once", stop="Cancel")
    await until(lambda: outage.applied >= 5, what="the operator has made calls", within=30)
    outage.stop()
    await environment.until_state("once", "Cancelled")
    await environment.until_run("once", lambda it: not it["metadata"].get("finalizers"), what="has no finalizer")
