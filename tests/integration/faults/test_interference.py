"""Users and second operators interfere with AgentRuns that an operator reconciles; the final results are correct."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from temporalio.service import RPCError, RPCStatusCode

from durafleet.kube.resources import RUNS
from tests.support.crash_points import OperatorCrash, calls_for_runs
from tests.support.environment import Environment, create_environment, run_operators, workflow_id
from tests.support.faults import Call, Moment, Server
from tests.support.operator import state_of
from tests.support.scenario_runner import (
    CONCURRENCY,
    FaultInjection,
    ScenarioResult,
    check_execution_counts,
    compare_with_baseline,
    run_scenario,
)
from tests.support.scenario_workflows import EFFECTS, STARTED
from tests.support.scenarios import SCENARIOS, Scenario
from tests.support.servers import Servers
from tests.support.waiting import until


@pytest.fixture
async def environment(servers: Servers, tmp_path: Path) -> Environment:
    """A namespace with an AgentWorker `support`, without an operator."""
    created = await create_environment(servers, tmp_path)
    await created.create_worker()
    return created


@pytest.fixture
async def with_operator(environment: Environment) -> AsyncIterator[Environment]:
    """The same namespace with an operator."""
    async with run_operators(environment):
        await environment.until_watching()
        environment.script.start()
        yield environment


async def test_the_status_of_a_running_run_is_restored_after_it_is_cleared(with_operator: Environment):
    created = await with_operator.create_run("once", "WaitForSignal")
    before = await with_operator.until_state("once", "Running")
    await with_operator.clear_status("once")
    after = await with_operator.until_state("once", "Running")
    assert after["status"]["workflow"] == before["status"]["workflow"]
    await with_operator.workflow(created).signal("finish", "all is well")
    ended = await with_operator.until_state("once", "Completed")
    assert ended["status"]["result"]["preview"] == "all is well"
    assert len(STARTED[workflow_id(created)]) == EFFECTS[workflow_id(created)] == 1


async def test_the_status_of_a_completed_run_is_restored_after_it_is_cleared(with_operator: Environment):
    created = await with_operator.create_run("once", "RecordEffect", input="hello")
    before = await with_operator.until_state("once", "Completed")
    await with_operator.clear_status("once")
    after = await with_operator.until_state("once", "Completed")
    await with_operator.until_caught_up()
    assert after["status"]["workflow"] == before["status"]["workflow"]
    assert after["status"]["result"] == before["status"]["result"]
    assert len(STARTED[workflow_id(created)]) == EFFECTS[workflow_id(created)] == 1


async def test_a_status_cleared_while_no_operator_runs_is_restored_by_the_next_operator(environment: Environment):
    async with run_operators(environment):
        created = await environment.create_run("once", "RecordEffect", input="hello")
        await environment.until_state("once", "Completed")
        before = await environment.until_run(
            "once", lambda run: not run["metadata"].get("finalizers"), what="has no finalizer"
        )
    await environment.clear_status("once")
    async with run_operators(environment):
        after = await environment.until_state("once", "Completed")
        await environment.until_run("once", lambda run: not run["metadata"].get("finalizers"), what="has no finalizer")
    assert after["status"]["workflow"] == before["status"]["workflow"]
    assert len(STARTED[workflow_id(created)]) == EFFECTS[workflow_id(created)] == 1


@pytest.mark.parametrize("field", ["annotations", "labels", "finalizers"])
async def test_a_running_run_completes_after_its_metadata_is_cleared(with_operator: Environment, field: str):
    created = await with_operator.create_run("once", "WaitForSignal")
    await with_operator.until_effect(created)
    await with_operator.until_state("once", "Running")
    await with_operator.clear_metadata("once", field)
    await with_operator.workflow(created).signal("finish", "all is well")
    await with_operator.until_state("once", "Completed")
    await with_operator.until_run("once", lambda run: not run["metadata"].get("finalizers"), what="has no finalizer")
    assert len(STARTED[workflow_id(created)]) == EFFECTS[workflow_id(created)] == 1


async def test_deleting_a_run_whose_finalizer_was_removed_still_cancels_its_workflow(with_operator: Environment):
    created = await with_operator.create_run("once", "WaitForSignal")
    await with_operator.until_effect(created)
    await with_operator.until_state("once", "Running")
    await with_operator.clear_metadata("once", "finalizers")
    await with_operator.until_run(
        "once", lambda run: bool(run["metadata"].get("finalizers")), what="has a finalizer again"
    )
    await with_operator.delete_run("once")
    await with_operator.until(RUNS, lambda all_: not all_, what="the run is gone")
    assert await last_status(with_operator, created) == "CANCELED"


async def last_status(environment: Environment, run: dict[str, object]) -> str:
    """Return the status of a run's workflow, "absent" if it was never started."""
    try:
        status = (await environment.workflow(run).describe()).status
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return "absent"
    return status.name if status is not None else "unknown"


async def replace(servers: Servers, folder: Path, call: Call, moment: Moment) -> list[str]:
    """Delete a run at a moment of its start and create another run with its name; return the problems."""
    environment = await create_environment(servers, folder)
    await environment.create_worker()

    async def delete(_: Call) -> None:
        await environment.delete_run("once")

    rule = environment.script.at(call.signature, moment, delete, occurrence=call.occurrence)
    async with run_operators(environment):
        await environment.until_watching()
        environment.script.start()
        first = await environment.create_run("once", "WaitForSignal")
        await until(lambda: rule.applied > 0, what="the run is deleted", within=30)
        await environment.until(RUNS, lambda all_: not all_, what="the first run is gone")
        second = await environment.create_run("once", "RecordEffect", input="second")
        await environment.until_run(
            "once",
            lambda run: state_of(run) == "Completed" and not run["metadata"].get("finalizers"),
            what="has completed and has no finalizer",
        )
        await environment.until_caught_up()
    ended = await last_status(environment, first), await last_status(environment, second)
    started = len(STARTED.get(workflow_id(first), ())), len(STARTED[workflow_id(second)])
    problems = []
    if ended not in {("absent", "COMPLETED"), ("CANCELED", "COMPLETED")}:
        problems.append(f"the workflows are {ended}")
    if started[0] > 1 or started[1] != 1 or EFFECTS[workflow_id(second)] != 1:
        problems.append(f"executions started: {started}")
    return [f"{moment} {call}: {each}\n{environment.output()[-2000:]}" for each in problems]


async def test_a_run_that_replaces_a_starting_run_of_the_same_name_has_its_own_workflow(
    servers: Servers, tmp_path: Path, record_property: Callable[[str, object], None]
):
    baseline = await run_scenario(SCENARIOS["is deleted while it runs"], servers, tmp_path)
    calls = calls_for_runs(baseline.calls)
    starting = calls[: [call.signature for call in calls].index("PATCH agentruns/status") + 1]
    semaphore = asyncio.Semaphore(CONCURRENCY)

    async def one(call: Call, moment: Moment) -> list[str]:
        async with semaphore:
            return await replace(servers, Path(tempfile.mkdtemp(dir=tmp_path)), call, moment)

    problems = await asyncio.gather(*(one(call, moment) for call in starting for moment in Moment))
    record_property("deletion points", len(problems))
    assert not any(problems), "\n\n".join(problem for each in problems for problem in each)


def needs_one_operator(scenario: Scenario) -> bool:
    """Return whether two operators that are active at the same time may change the result of a scenario.

    Temporal does not deduplicate resets. An operator checks for an earlier reset before it requests one; this makes
    one reset of two operators in sequence, but not of two at the same moment. The calls of a startup belong to one
    operator.
    """
    return scenario.executions > 1 or scenario.includes_startup


@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if not needs_one_operator(scenario)])
async def test_two_operators_active_at_the_same_time_change_nothing_for_a_run_that(
    name: str, servers: Servers, tmp_path: Path
):
    first, *others = await asyncio.gather(
        *(
            run_scenario(SCENARIOS[name], servers, Path(tempfile.mkdtemp(dir=tmp_path)), operators=operators)
            for operators in (1, 2, 2)
        )
    )
    compare_with_baseline(first, others)
    await check_execution_counts([first, *others], servers)
    failed = [result for result in (first, *others) if result.problems]
    assert not failed, "\n\n".join(map(str, failed))


RETRIED = SCENARIOS["is retried from its last failure"]
CRASHES = [OperatorCrash(Call(Server.TEMPORAL, "ResetWorkflowExecution"), moment) for moment in Moment]
"""The leader is killed before and after the call that Temporal does not deduplicate."""


async def retry_with_two_operators(
    servers: Servers, folder: Path, fault: tuple[str, FaultInjection] | None = None
) -> ScenarioResult:
    """Retry a run while two operators run, with leader election."""
    own_folder = Path(tempfile.mkdtemp(dir=folder))
    return await run_scenario(RETRIED, servers, own_folder, fault=fault, deadline=60, operators=2, election=True)


async def test_with_leader_election_between_two_operators_a_retry_makes_one_attempt(servers: Servers, tmp_path: Path):
    first, *others = await asyncio.gather(
        run_scenario(RETRIED, servers, Path(tempfile.mkdtemp(dir=tmp_path))),
        retry_with_two_operators(servers, tmp_path),
        *(retry_with_two_operators(servers, tmp_path, (str(crash), crash)) for crash in CRASHES),
    )
    compare_with_baseline(first, others)
    await check_execution_counts([first, *others], servers)
    failed = [result for result in (first, *others) if result.problems]
    assert not failed, "\n\n".join(map(str, failed))
    assert [result.injected for result in others] == [False, True, True]
