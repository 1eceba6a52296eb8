"""The demo's model that calls tools by rule: its tool calls, its answers, and malformed requests."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from dev.cluster.model_requests import MODEL
from dev.cluster.model_server import Relay, Server
from dev.cluster.tool_caller import choose_tool, list_items

EFFECTS = "Record the effects: opened, paid, shipped."


@pytest.fixture
def server() -> Iterator[TestClient]:
    with TestClient(Server(None).app(), headers={"Authorization": "Bearer any"}) as client:
        yield client


def a_tool(name: str = "record", *, required: object = ("effect",), kind: object = "string") -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"effect": {"type": kind}}, "required": required}
    if isinstance(required, tuple):
        parameters["required"] = list(required)
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


def results(*texts: object) -> list[dict[str, Any]]:
    calls = [{"role": "assistant", "content": None, "tool_calls": []}]
    return calls + [{"role": "tool", "tool_call_id": f"{n}", "content": text} for n, text in enumerate(texts)]


def complete(server: TestClient, *messages: dict[str, Any], **body: Any) -> dict[str, Any]:
    request = {"model": "tool-caller", "messages": list(messages), "tools": [a_tool()], **body}
    answer = server.post("/v1/chat/completions", content=json.dumps(request))
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["choices"][0])


def calls(choice: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    functions = [call["function"] for call in choice["message"].get("tool_calls", [])]
    return [(function["name"], json.loads(function["arguments"])) for function in functions]


def text(choice: dict[str, Any]) -> str:
    assert calls(choice) == []
    assert choice["finish_reason"] == "stop"
    return str(choice["message"]["content"])


def test_both_models_are_listed(server: TestClient):
    assert [each["id"] for each in server.get("/v1/models").json()["data"]] == [MODEL, "tool-caller"]


def test_the_model_calls_the_tool_once_for_each_item(server: TestClient):
    choice = complete(server, {"role": "system", "content": "Be brief: always."}, user(EFFECTS))
    assert choice["finish_reason"] == "tool_calls"
    assert calls(choice) == [("record", {"effect": effect}) for effect in ("opened", "paid", "shipped")]
    assert len({call["id"] for call in choice["message"]["tool_calls"]}) == 3


def test_the_model_summarises_the_results_in_one_sentence(server: TestClient):
    choice = complete(server, user(EFFECTS), *results("recorded opened", "recorded paid.", "recorded\nshipped"))
    assert text(choice) == "I made 3 tool calls: recorded opened, recorded paid, recorded shipped."
    assert text(complete(server, user("Record: a."), *results("ok"))) == "I made 1 tool call: ok."


def test_the_same_request_gets_the_same_answer(server: TestClient):
    first, second = (complete(server, user(EFFECTS)) for _ in range(2))
    assert first == second


def test_without_parallel_calls_the_model_makes_one_call_at_a_time(server: TestClient):
    ask = {"parallel_tool_calls": False}
    assert calls(complete(server, user("Do: a, b."), **ask)) == [("record", {"effect": "a"})]
    assert calls(complete(server, user("Do: a, b."), *results("ok"), **ask)) == [("record", {"effect": "b"})]
    assert text(complete(server, user("Do: a, b."), *results("ok", "ok"), **ask)) == "I made 2 tool calls: ok, ok."


def test_a_later_message_starts_a_new_list(server: TestClient):
    choice = complete(server, user(EFFECTS), *results("x", "y", "z"), user("Also: returned."))
    assert calls(choice) == [("record", {"effect": "returned"})]


def test_a_script_takes_precedence_over_the_list(server: TestClient):
    assert text(complete(server, user(json.dumps({"script": [{"text": "as written"}]})))) == "as written"


def test_the_content_of_a_message_can_have_several_parts(server: TestClient):
    parts = [{"type": "text", "text": "Record:"}, {"type": "text", "text": "a, b"}, {"type": "image_url"}, 7, None]
    assert calls(complete(server, user(parts))) == [("record", {"effect": "a"}), ("record", {"effect": "b"})]
    assert text(complete(server, user([{"type": "text", "text": None}]))).startswith("I called no tool")


@pytest.mark.parametrize(
    ("message", "items"),
    [
        (EFFECTS, ["opened", "paid", "shipped"]),
        ("Record: opened, paid and shipped", ["opened", "paid", "shipped"]),
        ("Record: opened, paid, and shipped. Then say: done.", ["opened", "paid", "shipped"]),
        ("Record:\n- opened\n* paid\n3. shipped\n", ["opened", "paid", "shipped"]),
        ('At 10:30 record: "sent v1.2"; `paid`', ["sent v1.2", "paid"]),
        ("Record: sandals", ["sandals"]),
        ("Hello", []),
        ("Record:", []),
        ("Record: , ; .", []),
        ("", []),
    ],
)
def test_a_message_lists_items_after_its_first_colon(message: str, items: list[str]):
    assert list_items(message) == items


def test_a_long_list_of_long_items_is_cut():
    items = list_items("Record: " + ", ".join(["x" * 1000] * 1000))
    assert (len(items), len(items[0])) == (20, 200)


def test_the_first_tool_that_fits_is_called_unless_the_message_names_another():
    offered = [a_tool("slow", kind="number"), a_tool("record"), a_tool("look_up")]
    assert choose_tool(offered, EFFECTS) == ("record", "effect")
    assert choose_tool(offered, "Call look_up for: A-17.") == ("look_up", "effect")


@pytest.mark.parametrize(
    "offered",
    [
        None,
        [],
        "tools",
        [None, 7, "x", [], {}],
        [{"type": "function"}, {"function": None}, {"function": {"name": 7, "parameters": None}}],
        [{"function": {"name": "x"}}, {"function": {"name": "x", "parameters": []}}],
        [a_tool(kind="number")],
        [a_tool(kind=["string", "null"])],
        [a_tool(required=())],
        [a_tool(required=("effect", "when"))],
        [a_tool(required=("when",))],
        [a_tool(required=(7,))],
        [a_tool(required="effect")],
    ],
)
def test_without_a_tool_that_takes_one_string_the_answer_names_the_requirement(server: TestClient, offered: object):
    assert "one required string" in text(complete(server, user(EFFECTS), tools=offered))


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user"}],
        [user(None), user(7), user({"a": 1}), user([])],
        [user("Hello")],
        [{"role": "narrator", "content": EFFECTS}],
        [{"role": "assistant", "content": EFFECTS, "tool_calls": "none"}],
    ],
)
def test_without_a_list_the_answer_explains_how_to_write_one(server: TestClient, messages: list[dict[str, Any]]):
    assert "nothing after a colon" in text(complete(server, *messages))


@pytest.mark.parametrize("script", ['"no list"', "[1, 2]", "[" * 100_000, "7}"])
def test_a_malformed_script_is_treated_as_an_ordinary_message(server: TestClient, script: str):
    assert len(calls(complete(server, user(f'{{"script": {script}')))) in (1, 2)


def test_empty_structured_or_long_results_and_special_characters_get_a_short_answer(server: TestClient):
    answer = text(complete(server, user("Record: a, b, c, d"), *results(None, [{"text": "x"}], "\ud800", "y" * 1000)))
    assert answer.startswith("I made 4 tool calls: an empty result, x, \ud800, yyy")
    assert len(answer) < 300
    assert calls(complete(server, user("Record: \ud800, \0"))) == [
        ("record", {"effect": "\ud800"}),
        ("record", {"effect": "\0"}),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b"null",
        b"[]",
        b'{"model": "tool-caller"}',
        b'{"model": ["tool-caller"], "messages": []}',
        b'{"model": "tool-caller", "messages": "Record: a."}',
        b'{"model": "tool-caller", "messages": ["Record: a."]}',
        b'{"model": "tool-caller", "messages": [{"content": "Record: a."}]}',
        b'{"model": "tool-caller", "messages": [{"role": null, "content": "Record: a."}]}',
    ],
)
def test_a_malformed_request_is_refused_with_an_error_as_from_openai(server: TestClient, body: bytes):
    answer = server.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request_error"


def test_the_tool_caller_is_available_together_with_the_users_own_model():
    with TestClient(Relay("http://127.0.0.1:9/v1").app(), headers={"Authorization": "Bearer any"}) as relay:
        assert len(calls(complete(relay, user(EFFECTS)))) == 3
        other = relay.post("/v1/chat/completions", json={"model": "other", "messages": [user(EFFECTS)]})
    assert other.status_code == 502
