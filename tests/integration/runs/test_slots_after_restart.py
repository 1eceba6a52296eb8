"""After a restart, the operator counts the open runs before it starts new ones."""

from pathlib import Path

from tests.support.environment import create_environment, run_operators
from tests.support.operator import state_of
from tests.support.servers import Servers


async def test_after_a_restart_a_run_is_queued_while_a_run_later_in_the_list_has_the_slot(
    servers: Servers, tmp_path: Path
):
    environment = await create_environment(servers, tmp_path)
    environment.deadline = 120
    await environment.create_worker(maxConcurrentRuns=1)
    async with run_operators(environment):
        running = await environment.create_run("zzz", "WaitForSignal")
        await environment.until_effect(running)
        await environment.until_state("zzz", "Running")
    await environment.create_run("aaa", "RecordEffect", input="hello")
    async with run_operators(environment):
        first = await environment.until_run("aaa", lambda run: state_of(run) is not None, what="has a state")
        assert state_of(first) == "Queued"
        await environment.workflow(running).signal("finish", "all is well")
        await environment.until_state("aaa", "Completed")
