"""The operator process: settings, probes and exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.support.cluster import ControlPlane
from tests.support.operator import MODULE, Fleet, operator_process


@pytest.fixture
async def fleet(control_plane: ControlPlane, temporal_server: str, namespace: str) -> Fleet:
    return Fleet(control_plane, namespace, await Client.connect(temporal_server))


@pytest.fixture
def env(fleet: Fleet) -> dict[str, str]:
    return fleet.env()


async def test_the_operator_exits_with_code_0_on_sigterm(env: dict[str, str], tmp_path: Path):
    with operator_process(tmp_path, env) as operator:
        await operator.until_ready()
        operator.terminate()
        assert await operator.exit_code() == 0, operator.output()
        assert "Traceback" not in operator.output()


async def test_the_operator_exits_with_code_0_on_sigterm_while_runs_are_open(fleet: Fleet, tmp_path: Path):
    fleet.create_worker()
    with operator_process(tmp_path, fleet.env()) as operator:
        fleet.create_run("open", "Wait")
        await fleet.until_state("open", "Running")
        operator.terminate()
        assert await operator.exit_code() == 0, operator.output()
        assert "Traceback" not in operator.output()


async def test_the_operator_serves_probes_and_metrics(env: dict[str, str], tmp_path: Path):
    with operator_process(tmp_path, env) as operator:
        await operator.until_ready()
        assert [operator.probe(path) for path in ("/livez", "/readyz", "/metrics")] == [200, 200, 200]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DURAFLEET_HTTP_PORT", "abc"),
        ("DURAFLEET_TEMPORAL_ADDRESS", "temporal"),
        ("DURAFLEET_LOG_FORMAT", "yaml"),
        ("DURAFLEET_SHARD", "2/2"),
        ("DURAFLEET_LEASE_NAMESPACE", ""),
        ("KUBECONFIG", "/nonexistent/kubeconfig"),
    ],
)
def test_the_operator_names_an_invalid_setting_and_exits_with_code_2(env: dict[str, str], name: str, value: str):
    run = subprocess.run(
        [sys.executable, *MODULE],
        env={**env, "DURAFLEET_LEASE_NAME": "operator", "DURAFLEET_LEASE_NAMESPACE": "default", name: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2, run.stdout + run.stderr
    assert name in run.stderr
    assert "Traceback" not in run.stdout + run.stderr
