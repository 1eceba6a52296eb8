"""The operator is killed before and after each of its calls, in each scenario of an AgentRun; the result is the same.

There is no list of crash points: they are the calls that the proxies record in the scenario. After each crash there is
exactly one execution per key, one effect, the same status as without the crash, no finalizer, and no surplus Event.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.crash_points import crash_points, crash_points_for_runs
from tests.support.scenario_runner import run_with_each_fault
from tests.support.scenarios import SCENARIOS
from tests.support.servers import Servers


@pytest.mark.parametrize("name", SCENARIOS)
async def test_an_operator_crash_at_any_call_changes_nothing_for_a_run_that(
    name: str, servers: Servers, tmp_path: Path, record_property: Callable[[str, object], None]
):
    scenario = SCENARIOS[name]
    results = await run_with_each_fault(
        scenario, servers, tmp_path, faults=crash_points if scenario.includes_worker else crash_points_for_runs
    )
    with_crash = [result for result in results if result.fault is not None]
    record_property("crash points", len(with_crash))
    record_property("not injected", [each.fault for each in with_crash if not each.injected])
    failed = [result for result in results if result.problems]
    assert not failed, "\n\n".join(map(str, failed))
    assert any(result.injected for result in with_crash)
