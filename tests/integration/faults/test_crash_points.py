"""The operator dies before and after each of its calls, in each life an AgentRun can have; nothing shows of it.

The points are not listed anywhere: they are the calls that the operator makes in the life, as the proxies saw
them. Each time there is exactly one execution per key, one effect, the same status as without a death, no
finalizer, and no Event too many.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.crash_points import deaths, deaths_around_runs
from tests.support.scenario_runner import live_with_each
from tests.support.scenarios import LIVES
from tests.support.servers import Servers


@pytest.mark.parametrize("name", LIVES)
async def test_a_run_that(name: str, servers: Servers, tmp_path: Path, record_property: Callable[[str, object], None]):
    life = LIVES[name]
    accounts = await live_with_each(life, servers, tmp_path, mishaps=deaths if life.fleet else deaths_around_runs)
    disturbed = [account for account in accounts if account.mishap is not None]
    record_property("crash points", len(disturbed))
    record_property("not reached again", [each.mishap for each in disturbed if not each.reached])
    broken = [account for account in accounts if account.wrong]
    assert not broken, "\n\n".join(map(str, broken))
    assert any(account.reached for account in disturbed)
