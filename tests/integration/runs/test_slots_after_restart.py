"""What an operator that comes back knows before it starts anything."""

from pathlib import Path

from tests.support.environment import operating, set_stage
from tests.support.operator import state_of
from tests.support.servers import Servers


async def test_after_a_restart_a_run_waits_for_the_place_that_one_later_in_the_list_holds(
    servers: Servers, tmp_path: Path
):
    stage = await set_stage(servers, tmp_path)
    stage.patience = 120
    await stage.create_worker(maxConcurrentRuns=1)
    async with operating(stage):
        holder = await stage.create_run("zzz", "Linger")
        await stage.until_effect(holder)
        await stage.until_state("zzz", "Running")
    await stage.create_run("aaa", "Errand", input="hello")
    async with operating(stage):
        seen = await stage.until_run("aaa", lambda run: state_of(run) is not None, what="was looked at")
        assert state_of(seen) == "Queued"
        await stage.workflow(holder).signal("finish", "all is well")
        await stage.until_state("aaa", "Completed")
