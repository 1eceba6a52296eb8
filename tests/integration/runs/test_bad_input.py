"""Invalid input that CEL cannot check: the run ends as InvalidSpec, with a message that names the field and the fix."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client

from tests.support.cluster import ControlPlane
from tests.support.operator import Fleet, condition, operator_process
from tests.support.workflows import executions_of

MAP = {"configMapKeyRef": {"name": "texts", "key": "long"}}
BLANK = {"configMapKeyRef": {"name": "texts", "key": "blank"}}
BYTES = {"configMapKeyRef": {"name": "texts", "key": "bytes"}}


@pytest_asyncio.fixture(scope="module")
async def fleet(
    control_plane: ControlPlane, temporal_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """A namespace with an operator and a worker with the agent `greeter`, without the admission policy."""
    client = await Client.connect(temporal_server)
    shared = Fleet(control_plane, control_plane.new_namespace(), client)
    shared.create_worker(agents=[{"name": "greeter", "model": "test"}])
    shared.plane.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "texts", "namespace": shared.namespace},
            "data": {"long": "x" * (64 * 1024 + 1), "blank": " "},
            "binaryData": {"bytes": base64.b64encode(bytes([0xFF, 0xFE])).decode()},
        }
    )
    with operator_process(tmp_path_factory.mktemp("operator"), shared.env()) as operator:
        await operator.until_ready()
        async with shared.worker():
            yield shared


INVALID: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an agent without an input": ({}, ["spec.input is empty", "new name"]),
    "a blank input": ({"input": " \n"}, ["spec.input is empty"]),
    "an empty object": ({"input": {}}, ["spec.input is empty"]),
    "an input of 64 KiB and one byte": ({"input": "x" * (64 * 1024 - 1)}, ["spec.input has 65537 bytes", "65536"]),
    "an input that is too long only in bytes": ({"input": "é" * (32 * 1024)}, ["spec.input has 65538 bytes"]),
    "an object that is too long": ({"input": {"text": "x" * (64 * 1024)}}, ["over the limit of 65536"]),
    "both input and inputFrom": ({"input": "hello", "inputFrom": MAP}, ["only one of input and inputFrom"]),
    "an inputFrom with too many bytes": ({"inputFrom": MAP}, ["The input that spec.inputFrom names has 65539 bytes"]),
    "an inputFrom with blank text": ({"inputFrom": BLANK}, ["The input that spec.inputFrom names is empty"]),
    "an inputFrom with bytes that are not UTF-8": ({"inputFrom": BYTES}, ["'texts'", "no UTF-8 text"]),
    "a heartbeat longer than the worker's activity": (
        {"input": "hello", "timeouts": {"heartbeat": "6m"}},
        ["spec.timeouts", "heartbeat (6m) must be shorter than activity (5m)"],
    ),
    "an activity longer than the worker's workflow": (
        {"input": "hello", "timeouts": {"activity": "2h"}},
        ["activity (2h)", "shorter than workflow (1h)"],
    ),
}


@pytest.mark.parametrize(("spec", "words"), INVALID.values(), ids=INVALID.keys())
async def test_a_run_with_invalid_input_or_timeouts_ends_as_invalid_spec_with_the_fix(
    fleet: Fleet, spec: dict[str, Any], words: list[str], request: pytest.FixtureRequest
):
    name = "bad-" + str(list(INVALID).index(request.node.callspec.id))
    created = fleet.create_run(name, agent="greeter", **spec)
    run = await fleet.until_state(name, "InvalidSpec")
    message = condition(run, "Stalled")["message"]
    assert [word for word in words if word not in message] == [], message
    assert condition(run, "Succeeded")["status"] == "False"
    assert executions_of(created) == []
    assert not run["metadata"].get("finalizers")


async def test_a_run_with_a_long_unicode_input_completes(fleet: Fleet):
    text = "Grüß Gott, 世界 🙂 " * 2000
    fleet.create_run("long-enough", "Echo", input=text)
    run = await fleet.until_state("long-enough", "Completed")
    preview = run["status"]["result"]["preview"]
    assert text.startswith(preview)
    assert 4090 <= len(preview.encode()) <= 4096
    assert run["status"]["result"]["size"] == len(text.encode())


async def test_a_run_with_the_longest_name_and_idempotency_key_completes(fleet: Fleet):
    name = ".".join(["r" * 63] * 3 + ["r" * 61])
    fleet.create_run(name, "Echo", input="hello", idempotencyKey="k" * 128)
    run = await fleet.until_state(name, "Completed")
    assert run["status"]["workflow"]["id"].endswith("k" * 128)
