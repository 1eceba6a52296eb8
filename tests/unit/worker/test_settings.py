"""The environment contract as the worker reads it."""

from datetime import timedelta
from pathlib import Path

import pytest

from durafleet_worker.errors import ConfigurationError
from durafleet_worker.settings import Settings

CONTRACT = {
    "TEMPORAL_ADDRESS": "temporal:7233",
    "TEMPORAL_NAMESPACE": "agents",
    "TEMPORAL_TASK_QUEUE": "shop/support",
    "DURAFLEET_AGENTS_FILE": "/etc/durafleet/agents.json",
}


def test_the_worker_reads_the_variables_that_the_operator_sets():
    settings = Settings.from_env(
        CONTRACT
        | {
            "DURAFLEET_FLEET": "shop/support",
            "DURAFLEET_ACTIVITY_TIMEOUT_SECONDS": "90",
            "DURAFLEET_HEARTBEAT_TIMEOUT_SECONDS": "0.5",
            "DURAFLEET_DRAIN_TIMEOUT_SECONDS": "1e+06",
            "DURAFLEET_MAX_CONCURRENT_WORKFLOW_TASKS": "7",
            "DURAFLEET_MAX_CONCURRENT_ACTIVITIES": "8",
            "POD_NAME": "support-abc",
        }
    )
    assert (settings.address, settings.namespace, settings.task_queue) == ("temporal:7233", "agents", "shop/support")
    assert settings.agents_file == Path("/etc/durafleet/agents.json")
    assert settings.activity_timeout == timedelta(seconds=90)
    assert settings.heartbeat_timeout == timedelta(seconds=0.5)
    assert settings.drain == timedelta(seconds=1_000_000)
    assert (settings.workflow_tasks, settings.activities) == (7, 8)


def test_the_identity_names_the_pod_and_differs_for_each_process():
    first, second = (Settings.from_env(CONTRACT | {"POD_NAME": "support-abc"}).identity for _ in range(2))
    assert "support-abc" in first
    assert first != second


@pytest.mark.parametrize("name", CONTRACT)
def test_the_error_for_a_missing_variable_names_it_and_who_sets_it(name: str):
    with pytest.raises(ConfigurationError, match=f"variable {name} is not set; the operator sets it"):
        Settings.from_env({key: value for key, value in CONTRACT.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DURAFLEET_ACTIVITY_TIMEOUT_SECONDS", "5m"),
        ("DURAFLEET_ACTIVITY_TIMEOUT_SECONDS", "0"),
        ("DURAFLEET_HEARTBEAT_TIMEOUT_SECONDS", "nan"),
        ("DURAFLEET_DRAIN_TIMEOUT_SECONDS", "-1"),
        ("DURAFLEET_MAX_CONCURRENT_WORKFLOW_TASKS", "1"),
        ("DURAFLEET_MAX_CONCURRENT_ACTIVITIES", "many"),
        ("DURAFLEET_LOG_FORMAT", "xml"),
        ("DURAFLEET_LOG_LEVEL", "loud"),
    ],
)
def test_an_invalid_value_is_refused_with_the_name_of_its_variable(name: str, value: str):
    with pytest.raises(ConfigurationError, match=rf"variable {name} is '{value}'; it must be"):
        Settings.from_env(CONTRACT | {name: value})


def test_a_drain_timeout_of_zero_is_allowed():
    assert Settings.from_env(CONTRACT | {"DURAFLEET_DRAIN_TIMEOUT_SECONDS": "0"}).drain == timedelta()
