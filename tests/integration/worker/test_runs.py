"""Runs of declared agents by a worker process, on a real Temporal server."""

import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError, CancelledError

from tests.support.ledger import Ledger, ledger
from tests.support.model import ModelServer, Step, calls, model_server, says
from tests.support.waiting import until
from tests.support.worker import environment, worker_process

UPDATED = SearchAttributeKey.for_datetime("AgentRunUpdated")
PHASE = SearchAttributeKey.for_keyword("AgentRunPhase")
TOOLS = [{"python": f"tools:{name}"} for name in ("record_effect", "slow_report", "order_status")]
STARTED = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
"""Long ago, so that any report of the workflow moves AgentRunUpdated."""


@dataclass(frozen=True)
class Fleet:
    """A worker process, and the model and ledger of its agents."""

    client: Client
    task_queue: str
    model: ModelServer
    ledger: Ledger

    async def start(self, prompt: Any, *, agent: str = "clerk", **options: Any) -> WorkflowHandle[Any, Any]:
        """Start a run as the operator does."""
        attributes = [SearchAttributePair(UPDATED, STARTED), SearchAttributePair(PHASE, "Started")]
        return await self.client.start_workflow(
            "AgentRun",
            {"agent": agent, "input": prompt, "options": options},
            id=f"agent-run/tests/{uuid.uuid4()}",
            task_queue=self.task_queue,
            search_attributes=TypedSearchAttributes(attributes),
        )


@pytest_asyncio.fixture(scope="module")
async def fleet(temporal_server: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("fleet")
    queue = str(uuid.uuid4())
    with model_server() as model, ledger() as book:
        agents = [
            {"name": "clerk", "model": "openai:any", "baseURL": model.url, "tools": TOOLS},
            {"name": "keyless", "model": "openai:any", "baseURL": model.url},
        ]
        env = environment(
            folder,
            address=temporal_server,
            task_queue=queue,
            agents=agents,
            LEDGER_URL=book.url,
            OPENAI_API_KEY="the-key",
        )
        with worker_process(folder, env) as worker:
            await worker.until_ready()
            yield Fleet(await Client.connect(temporal_server), queue, model, book)


@pytest.fixture(autouse=True)
def gates(fleet: Fleet) -> Iterator[None]:
    """Open the gates that a failed test left closed."""
    yield
    for gate in fleet.ledger.gates.values():
        gate.set()


async def scheduled(handle: WorkflowHandle[Any, Any]) -> list[ActivityTaskScheduledEventAttributes]:
    history = await handle.fetch_history()
    return [
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]


async def test_a_run_calls_the_model_with_the_api_key_from_the_environment(fleet: Fleet):
    fleet.model.script("Greet.", says("Good day."))
    handle = await fleet.start("Greet.")
    assert (await handle.result())["output"] == "Good day."
    assert fleet.model.keys[-1] == "the-key"


async def test_a_completed_run_is_visible_in_search_attributes_and_memo(fleet: Fleet):
    handle = await fleet.start("Anything.")
    await handle.result()
    description = await handle.describe()
    assert description.typed_search_attributes[PHASE] == "Done"
    assert description.typed_search_attributes[UPDATED] >= description.start_time
    assert (await description.memo())["progress"]["turns"] == 1


async def test_the_tools_of_the_example_return_and_record_their_results(fleet: Fleet):
    fleet.model.script(
        "Open A-17.",
        Step(calls=(("record_effect", {"effect": "opened A-17"}), ("slow_report", {"seconds": 0.1}))),
        says("Opened."),
    )
    handle = await fleet.start("Open A-17.")
    assert (await handle.result())["output"] == "Opened."
    assert ("opened A-17", f"{handle.id}/call_0_0") in fleet.ledger.entries
    answers = [m["content"] for m in fleet.model.requests[-1]["messages"] if m["role"] == "tool"]
    assert answers == ["recorded opened A-17", "a report that took 0.1 seconds"]


async def test_the_error_of_a_failed_tool_is_returned_to_the_model_and_the_run_completes(fleet: Fleet):
    fleet.model.script("Where is A-18?", calls("order_status", order="A-18"), says("The shop is closed."))
    handle = await fleet.start("Where is A-18?", retry={"maximumAttempts": 1})
    assert (await handle.result())["output"] == "The shop is closed."
    assert "the shop does not answer for order A-18" in fleet.model.requests[-1]["messages"][-1]["content"]


async def test_a_blocking_tool_does_not_stop_the_heartbeats(fleet: Fleet):
    fleet.model.script("Report.", calls("slow_report", seconds=3), says("Here it is."))
    handle = await fleet.start("Report.", heartbeat=1, retry={"maximumAttempts": 1})
    await handle.result()
    assert "a report that took 3 seconds" in fleet.model.requests[-1]["messages"][-1]["content"]


async def test_activities_have_the_documented_default_timeouts_and_attempts(fleet: Fleet):
    fleet.model.script("Record d.", calls("record_effect", effect="d"), says("Done."))
    handle = await fleet.start("Record d.")
    await handle.result()
    model_call, tool_call, _ = await scheduled(handle)
    for activity in (model_call, tool_call):
        assert activity.start_to_close_timeout.ToSeconds() == 300
        assert activity.heartbeat_timeout.ToSeconds() == 30
        assert activity.retry_policy.maximum_attempts == 5


async def test_activities_have_the_timeouts_and_the_retry_policy_of_the_run(fleet: Fleet):
    fleet.model.script("Record o.", calls("record_effect", effect="o"), says("Done."))
    retry = {"maximumAttempts": 7, "initialInterval": 0.5, "backoffCoefficient": 1.5, "maximumInterval": 9}
    handle = await fleet.start("Record o.", startToClose=90, heartbeat=10, retry=retry)
    await handle.result()
    model_call, tool_call, _ = await scheduled(handle)
    for activity in (model_call, tool_call):
        assert activity.start_to_close_timeout.ToSeconds() == 90
        assert activity.heartbeat_timeout.ToSeconds() == 10
        policy = activity.retry_policy
        assert policy.maximum_attempts == 7
        assert policy.initial_interval.ToMilliseconds() == 500
        assert policy.backoff_coefficient == 1.5
        assert policy.maximum_interval.ToSeconds() == 9
        assert "UserError" in policy.non_retryable_error_types


async def test_a_model_call_that_times_out_fails_the_run_and_names_the_model_url(fleet: Fleet):
    gate = threading.Event()
    fleet.model.script("Think.", Step(text="Too late.", gate=gate))
    handle = await fleet.start("Think.", startToClose=1, heartbeat=0.5, retry={"maximumAttempts": 1})
    try:
        with pytest.raises(WorkflowFailureError) as raised:
            await handle.result()
    finally:
        gate.set()
    assert isinstance(raised.value.cause, ApplicationError)
    assert raised.value.cause.type == "ActivityTimedOut"
    assert fleet.model.url in raised.value.cause.message
    assert (await handle.describe()).typed_search_attributes[PHASE] == "Failed"


async def test_a_run_of_an_unknown_agent_fails_and_lists_the_known_agents(fleet: Fleet):
    handle = await fleet.start("Hello?", agent="ghost")
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, ApplicationError)
    assert raised.value.cause.type == "UnknownAgent"
    assert "clerk, keyless" in raised.value.cause.message


@pytest.mark.parametrize("argument", [[], ["text"], [{"input": "no agent"}]])
async def test_a_workflow_argument_of_another_type_fails_the_run_as_invalid_input(fleet: Fleet, argument: list[Any]):
    handle: WorkflowHandle[Any, Any] = await fleet.client.start_workflow(
        "AgentRun", args=argument, id=str(uuid.uuid4()), task_queue=fleet.task_queue
    )
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, ApplicationError)
    assert raised.value.cause.type == "InvalidInput"


async def test_a_run_can_be_cancelled_while_a_tool_runs(fleet: Fleet):
    fleet.ledger.gates["never"] = threading.Event()
    fleet.model.script("Wait.", calls("record_effect", effect="never"))
    handle = await fleet.start("Wait.")
    await until(lambda: "never" in fleet.ledger.effects, what="the tool runs")
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, CancelledError)
    description = await handle.describe()
    assert description.status == WorkflowExecutionStatus.CANCELED
    assert description.typed_search_attributes[PHASE] == "Cancelled"
