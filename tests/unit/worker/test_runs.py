"""How a run reacts to the answers and errors of models and tools."""

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from durafleet.api.contract import ActivityOptions, Limits, RetryOptions
from durafleet.temporal.failures import read_failure
from durafleet_worker import hooks, workflow
from tests.support.model import ModelServer, Step, calls, says
from tests.unit.worker.conftest import Runner

SCHEMA = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}


def explode(what: str) -> str:
    """Fail.

    Args:
        what: What is missing.
    """
    raise ValueError(f"no {what} today")


def long_text() -> str:
    """Return more than a model should see."""
    return "x" * 100_000


EXPLODE = [{"python": f"{__name__}:explode"}]


async def failure(handle: WorkflowHandle[Any, Any]) -> ApplicationError:
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, ApplicationError)
    return raised.value.cause


async def test_a_prompt_is_answered(run: Runner, model: ModelServer):
    model.script("Hello?", says("Hello."))
    result = await (await run("Hello?", instructions="Be brief.")).result()
    assert result == {
        "output": "Hello.",
        "usage": {"requests": 1, "toolCalls": 0, "inputTokens": 10, "outputTokens": 5},
        "turns": 1,
    }
    assert [m["content"] for m in model.requests[0]["messages"]] == ["Be brief.", "Hello?"]


async def test_input_that_is_not_text_reaches_the_model_as_json(run: Runner, model: ModelServer):
    await run({"order": "A-17", "items": [1, 2]})
    assert model.requests[0]["messages"][-1]["content"] == '{"order": "A-17", "items": [1, 2]}'


@pytest.mark.parametrize("nothing", ["", "  \n", None])
async def test_an_empty_input_fails_without_a_request_to_the_model(run: Runner, model: ModelServer, nothing: Any):
    error = await failure(await run(nothing))
    assert error.type == "InvalidInput"
    assert model.requests == []


async def test_the_exception_of_a_tool_is_reported_to_the_model(run: Runner, model: ModelServer):
    model.script("Try.", calls("explode", what="luck"), says("It failed."))
    result = await (await run("Try.", tools=EXPLODE)).result()
    assert result["output"] == "It failed."
    answer = model.requests[-1]["messages"][-1]
    assert answer["role"] == "tool"
    assert "ValueError: no luck today" in answer["content"]


async def test_a_long_tool_result_is_truncated_with_a_note(run: Runner, model: ModelServer):
    model.script("Read.", calls("long_text"), says("Done."))
    await run("Read.", tools=[{"python": f"{__name__}:long_text"}])
    seen = model.requests[-1]["messages"][-1]["content"]
    assert len(seen) < 66_000
    assert "the result has 100000 bytes, of which 65536 are shown" in seen


async def test_an_answer_that_does_not_match_the_output_schema_is_returned_to_the_model(
    run: Runner, model: ModelServer
):
    model.script("Add.", Step(answer={"sum": 3}), Step(answer={"total": 3}))
    result = await (await run("Add.", outputSchema=SCHEMA)).result()
    assert result["output"] == {"total": 3}
    assert "'total' is a required property" in model.requests[1]["messages"][-1]["content"]


async def test_an_answer_that_never_matches_the_output_schema_fails_the_run(run: Runner, model: ModelServer):
    model.script("Add.", Step(answer={"total": "three"}))
    error = await failure(await run("Add.", outputSchema=SCHEMA))
    assert error.type == "OutputInvalid"
    assert "total: 'three' is not of type 'integer'" in error.message
    assert model.asked("Add.") == 3


async def test_a_model_that_keeps_calling_an_unknown_tool_fails_the_run(run: Runner, model: ModelServer):
    model.script("Try.", calls("imaginary"))
    error = await failure(await run("Try.", tools=EXPLODE))
    assert error.type == "ToolFailed"
    assert "imaginary" in error.message


async def test_a_model_that_only_calls_tools_is_stopped_at_the_turn_limit(
    run: Runner, model: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(workflow, "TURN_LIMIT", 3)
    model.script("Loop.", calls("long_text"))
    error = await failure(await run("Loop.", tools=[{"python": f"{__name__}:long_text"}]))
    assert error.type == "TurnLimitExceeded"
    assert model.asked("Loop.") == 3


@pytest.mark.parametrize(
    ("limits", "kind", "field", "asked"),
    [
        (Limits(turns=2), "TurnLimitExceeded", "spec.limits.turns", 2),
        (Limits(tool_calls=1), "ToolCallLimitExceeded", "spec.limits.toolCalls", 2),
        (Limits(tokens=1), "TokenLimitExceeded", "spec.limits.tokens", 1),
    ],
)
async def test_a_run_that_exceeds_a_limit_fails_and_names_the_limit(
    run: Runner, model: ModelServer, limits: Limits, kind: str, field: str, asked: int
):
    model.script("Loop.", calls("long_text"))
    error = await failure(await run("Loop.", limits=limits, tools=[{"python": f"{__name__}:long_text"}]))
    assert error.type == kind
    assert field in error.message
    assert model.asked("Loop.") == asked


async def test_a_run_whose_context_grows_too_large_fails_with_a_reason(
    run: Runner, model: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hooks, "CONTEXT_LIMIT", 150_000)
    model.script("Loop.", calls("long_text"))
    error = await failure(await run("Loop.", tools=[{"python": f"{__name__}:long_text"}]))
    assert error.type == "ContextTooLarge"
    assert "the limit is 150000" in error.message


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (401, None, "ModelAuthentication", "OPENAI_API_KEY"),
        (403, None, "ModelAuthentication", "OPENAI_API_KEY"),
        (404, None, "ModelNotFound", "'any'"),
        (400, None, "ModelRejectedRequest", "HTTP 400: no luck"),
        (413, None, "ContextTooLarge", "HTTP 413: no luck"),
        (418, None, "ModelRejectedRequest", "HTTP 418: no luck"),
        (400, "context_length_exceeded", "ContextTooLarge", "larger context"),
        (429, "insufficient_quota", "ModelQuotaExceeded", "no quota left"),
    ],
)
async def test_a_model_error_that_a_retry_cannot_fix_fails_the_run_at_once(
    run: Runner, model: ModelServer, status: int, code: str | None, kind: str, words: str
):
    error = {"message": "no luck", "type": "scripted", "code": code}
    model.script("Hello?", Step(statuses=(status,) * 9, error=error))
    found = await failure(await run("Hello?"))
    assert (found.type, found.non_retryable) == (kind, True)
    assert words in found.message
    assert model.asked("Hello?") == 1


@pytest.mark.parametrize("statuses", [(429, 429), (500, 503), (529,), (408, 409)])
async def test_a_transient_model_error_is_retried(run: Runner, model: ModelServer, statuses: tuple[int, ...]):
    model.script("Hello?", Step(text="Hello.", statuses=statuses))
    result = await (await run("Hello?")).result()
    assert result["output"] == "Hello."
    assert model.asked("Hello?") == len(statuses) + 1


async def test_a_model_error_that_persists_fails_the_run_after_all_attempts(run: Runner, model: ModelServer):
    model.script("Hello?", Step(statuses=(500,) * 9))
    error = await failure(await run("Hello?"))
    assert (error.type, error.non_retryable) == ("ModelUnavailable", False)
    assert model.url in error.message
    assert model.asked("Hello?") == 3


async def test_an_unreachable_model_endpoint_is_named_in_the_failure(run: Runner):
    nowhere = "http://127.0.0.1:9/v1"
    error = await failure(
        await run("Hello?", baseURL=nowhere, options=ActivityOptions(retry=RetryOptions(maximum_attempts=2)))
    )
    assert error.type == "ModelUnavailable"
    assert nowhere in error.message


async def test_the_test_model_needs_no_network(run: Runner, model: ModelServer):
    result = await (await run("Anything.", model="test", outputSchema=SCHEMA)).result()
    assert isinstance(result["output"]["total"], int)
    assert model.requests == []


@pytest.mark.parametrize(
    ("status", "kind", "retryable"), [(401, "ModelAuthentication", False), (500, "ModelUnavailable", True)]
)
async def test_the_operator_reads_type_message_and_cause_of_a_failed_run_from_its_history(
    run: Runner, model: ModelServer, status: int, kind: str, retryable: bool
):
    model.script("Hello?", Step(statuses=(status,) * 9))
    history = await (await run("Hello?")).fetch_history()
    found = read_failure(history.events[-1].workflow_execution_failed_event_attributes.failure)
    assert (found.type, found.retryable) == (kind, retryable)
    assert model.url in found.message
    assert found.activity == "agent__subject__model_request"
    assert found.causes[-1].startswith(("AuthenticationError", "InternalServerError"))
