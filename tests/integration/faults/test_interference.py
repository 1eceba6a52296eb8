"""What people and peers do to AgentRuns while an operator works on them; the runs end as they should."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from temporalio.service import RPCError, RPCStatusCode

from durafleet.kube.resources import RUNS
from tests.support.crash_points import Death, around_runs
from tests.support.environment import Stage, operating, set_stage, workflow_id
from tests.support.faults import Call, Moment, Server
from tests.support.operator import state_of
from tests.support.scenario_runner import AT_ONCE, Account, Mishap, compare, compare_with_temporal, live
from tests.support.scenario_workflows import BEGUN, EFFECTS
from tests.support.scenarios import LIVES, Life
from tests.support.servers import Servers
from tests.support.waiting import until


@pytest.fixture
async def stage(servers: Servers, tmp_path: Path) -> Stage:
    """A namespace with an AgentWorker `support`, and no operator yet."""
    mine = await set_stage(servers, tmp_path)
    await mine.create_worker()
    return mine


@pytest.fixture
async def operated(stage: Stage) -> AsyncIterator[Stage]:
    """The same with an operator."""
    async with operating(stage):
        await stage.until_watching()
        stage.script.begin()
        yield stage


async def test_a_status_that_is_wiped_while_the_run_goes_on_is_written_again(operated: Stage):
    created = await operated.create_run("once", "Linger")
    before = await operated.until_state("once", "Running")
    await operated.wipe_status("once")
    after = await operated.until_state("once", "Running")
    assert after["status"]["workflow"] == before["status"]["workflow"]
    await operated.workflow(created).signal("finish", "all is well")
    ended = await operated.until_state("once", "Completed")
    assert ended["status"]["result"]["preview"] == "all is well"
    assert len(BEGUN[workflow_id(created)]) == EFFECTS[workflow_id(created)] == 1


async def test_a_status_that_is_wiped_after_the_end_is_written_again(operated: Stage):
    created = await operated.create_run("once", "Errand", input="hello")
    before = await operated.until_state("once", "Completed")
    await operated.wipe_status("once")
    after = await operated.until_state("once", "Completed")
    await operated.until_caught_up()
    assert after["status"]["workflow"] == before["status"]["workflow"]
    assert after["status"]["result"] == before["status"]["result"]
    assert len(BEGUN[workflow_id(created)]) == EFFECTS[workflow_id(created)] == 1


async def test_a_status_that_was_wiped_without_an_operator_is_written_again_by_the_next(stage: Stage):
    async with operating(stage):
        created = await stage.create_run("once", "Errand", input="hello")
        await stage.until_state("once", "Completed")
        before = await stage.until_run("once", lambda run: not run["metadata"].get("finalizers"), what="is let go")
    await stage.wipe_status("once")
    async with operating(stage):
        after = await stage.until_state("once", "Completed")
        await stage.until_run("once", lambda run: not run["metadata"].get("finalizers"), what="is let go")
    assert after["status"]["workflow"] == before["status"]["workflow"]
    assert len(BEGUN[workflow_id(created)]) == EFFECTS[workflow_id(created)] == 1


@pytest.mark.parametrize("field", ["annotations", "labels", "finalizers"])
async def test_metadata_that_is_wiped_while_the_run_goes_on_changes_nothing(operated: Stage, field: str):
    created = await operated.create_run("once", "Linger")
    await operated.until_effect(created)
    await operated.until_state("once", "Running")
    await operated.wipe_metadata("once", field)
    await operated.workflow(created).signal("finish", "all is well")
    await operated.until_state("once", "Completed")
    await operated.until_run("once", lambda run: not run["metadata"].get("finalizers"), what="is let go")
    assert len(BEGUN[workflow_id(created)]) == EFFECTS[workflow_id(created)] == 1


async def test_a_run_whose_finalizer_was_wiped_is_still_ended_with_its_deletion(operated: Stage):
    created = await operated.create_run("once", "Linger")
    await operated.until_effect(created)
    await operated.until_state("once", "Running")
    await operated.wipe_metadata("once", "finalizers")
    await operated.until_run("once", lambda run: bool(run["metadata"].get("finalizers")), what="is held again")
    await operated.delete_run("once")
    await operated.until(RUNS, lambda all_: not all_, what="the run is gone")
    assert await last_status(operated, created) == "CANCELED"


async def last_status(stage: Stage, run: dict[str, object]) -> str:
    """Return how a run's workflow is, "absent" if it was never started."""
    try:
        status = (await stage.workflow(run).describe()).status
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return "absent"
    return status.name if status is not None else "unknown"


async def replace(servers: Servers, folder: Path, call: Call, moment: Moment) -> list[str]:
    """Delete a run at a moment of its start, create another one of its name; return what was wrong afterwards."""
    stage = await set_stage(servers, folder)
    await stage.create_worker()

    async def delete(_: Call) -> None:
        await stage.delete_run("once")

    rule = stage.script.at(call.signature, moment, delete, occurrence=call.occurrence)
    async with operating(stage):
        await stage.until_watching()
        stage.script.begin()
        first = await stage.create_run("once", "Linger")
        await until(lambda: rule.done > 0, what="the moment comes", within=30)
        await stage.until(RUNS, lambda all_: not all_, what="the name is free")
        second = await stage.create_run("once", "Errand", input="second")
        await stage.until_run(
            "once",
            lambda run: state_of(run) == "Completed" and not run["metadata"].get("finalizers"),
            what="has completed and is let go",
        )
        await stage.until_caught_up()
    ended = await last_status(stage, first), await last_status(stage, second)
    begun = len(BEGUN.get(workflow_id(first), ())), len(BEGUN[workflow_id(second)])
    wrong = []
    if ended not in {("absent", "COMPLETED"), ("CANCELED", "COMPLETED")}:
        wrong.append(f"workflows are {ended}")
    if begun[0] > 1 or begun[1] != 1 or EFFECTS[workflow_id(second)] != 1:
        wrong.append(f"executions begun: {begun}")
    return [f"{moment} {call}: {each}\n{stage.output()[-2000:]}" for each in wrong]


async def test_a_run_that_replaces_one_that_was_starting_is_another_run(
    servers: Servers, tmp_path: Path, record_property: Callable[[str, object], None]
):
    undisturbed = await live(LIVES["is deleted while it runs"], servers, tmp_path)
    calls = around_runs(undisturbed.calls)
    starting = calls[: [call.signature for call in calls].index("PATCH agentruns/status") + 1]
    turnstile = asyncio.Semaphore(AT_ONCE)

    async def one(call: Call, moment: Moment) -> list[str]:
        async with turnstile:
            return await replace(servers, Path(tempfile.mkdtemp(dir=tmp_path)), call, moment)

    wrong = await asyncio.gather(*(one(call, moment) for call in starting for moment in Moment))
    record_property("moments", len(wrong))
    assert not any(wrong), "\n\n".join(complaint for each in wrong for complaint in each)


def needs_one_operator(life: Life) -> bool:
    """Tell whether a life is one that two operators that act at once may lead otherwise.

    Temporal takes a reset that is asked for twice for two resets. An operator looks before it asks; that makes one
    of two operators in turn, not of two at the same moment. And the calls of a start belong to one operator.
    """
    return life.executions > 1 or life.from_start


@pytest.mark.parametrize("name", [name for name, life in LIVES.items() if not needs_one_operator(life)])
async def test_with_two_operators_at_once_a_run_still(name: str, servers: Servers, tmp_path: Path):
    first, *others = await asyncio.gather(
        *(
            live(LIVES[name], servers, Path(tempfile.mkdtemp(dir=tmp_path)), operators=operators)
            for operators in (1, 2, 2)
        )
    )
    compare(first, others)
    await compare_with_temporal([first, *others], servers)
    broken = [account for account in (first, *others) if account.wrong]
    assert not broken, "\n\n".join(map(str, broken))


RETRIED = LIVES["is retried from where it failed"]
DEATHS = [Death(Call(Server.TEMPORAL, "ResetWorkflowExecution"), moment) for moment in Moment]
"""The leader dies before and after the call that Temporal does not know again."""


async def reset_with_two(servers: Servers, folder: Path, mishap: tuple[str, Mishap] | None = None) -> Account:
    """Let a run be retried while two operators are there of which one leads."""
    mine = Path(tempfile.mkdtemp(dir=folder))
    return await live(RETRIED, servers, mine, mishap=mishap, patience=60, operators=2, election=True)


async def test_with_a_lease_between_two_operators_a_retry_makes_one_attempt(servers: Servers, tmp_path: Path):
    first, *others = await asyncio.gather(
        live(RETRIED, servers, Path(tempfile.mkdtemp(dir=tmp_path))),
        reset_with_two(servers, tmp_path),
        *(reset_with_two(servers, tmp_path, (str(death), death)) for death in DEATHS),
    )
    compare(first, others)
    await compare_with_temporal([first, *others], servers)
    broken = [account for account in (first, *others) if account.wrong]
    assert not broken, "\n\n".join(map(str, broken))
    assert [account.reached for account in others] == [False, True, True]
