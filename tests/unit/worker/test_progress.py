"""How often a run reports its progress."""

from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from durafleet.api.contract import ActivityOptions, RetryOptions
from tests.support.model import ModelServer, Step, calls, says
from tests.unit.worker.conftest import Runner

TOOLS = [{"python": f"{__name__}:note"}]


def note() -> str:
    """Note something."""
    return "noted"


async def count(handle: WorkflowHandle[Any, Any], kind: "EventType.ValueType") -> int:
    history = await handle.fetch_history()
    return sum(event.event_type == kind for event in history.events)


async def test_a_short_run_reports_progress_once_at_its_end(run: Runner, model: ModelServer):
    model.script("Note.", calls("note"), calls("note"), calls("note"), says("Done."))
    handle = await run("Note.", tools=TOOLS)
    assert await count(handle, EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED) == 1
    memo = await (await handle.describe()).memo()
    assert memo["progress"]["turns"] == 4
    assert memo["progress"]["lastTool"] == "note"
    assert memo["progress"]["usage"] == {"requests": 4, "toolCalls": 3, "inputTokens": 40, "outputTokens": 20}


async def test_a_long_run_also_reports_progress_before_its_end(run: Runner, model: ModelServer):
    model.script("Note.", Step(calls=(("note", {}),), statuses=(500,)), says("Done."))
    slow = ActivityOptions(retry=RetryOptions(initial_interval=30, maximum_interval=30))
    handle = await run("Note.", tools=TOOLS, options=slow)
    assert await count(handle, EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED) == 2


async def test_a_run_does_not_write_search_attributes_that_it_was_not_started_with(run: Runner, model: ModelServer):
    handle = await run("Hello?")
    written = {
        name
        for event in (await handle.fetch_history()).events
        for name in event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
    }
    assert not {name for name in written if name.startswith("Agent")}
