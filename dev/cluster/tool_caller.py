"""A scripted model that calls tools: what it does follows from the request alone.

The user's message lists items after a colon ("Record the effects: opened, paid, shipped."). The model
calls one tool once for each item, and sums up the results in one sentence. The tool is the first on
offer that takes exactly one required string; a tool that the message names goes before the others.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dev.cluster.model_requests import text_of

MODEL = "tool-caller"
_ITEMS, _LENGTH = 20, 200
"""Most items of a message, and most characters of an item or a result."""
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)")
_SEPARATOR = re.compile(r"[,;]|\band\b")


def next_step(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a request as a step of a script: the `tools` to call, or a `text`."""
    prompt, results = read_turn(body["messages"])
    items, tool = list_items(prompt), choose_tool(body.get("tools"), prompt)
    if results and len(results) >= len(items):
        return {"text": sum_up(results)}
    if not items:
        return {"text": 'I called no tool: the message lists nothing after a colon, as "Record: one, two." does.'}
    if tool is None:
        return {"text": "I called no tool: none on offer takes exactly one required string."}
    name, parameter = tool
    waiting = items[len(results) :]
    if body.get("parallel_tool_calls") is False:
        waiting = waiting[:1]
    return {"tools": [{"name": name, "args": {parameter: item}} for item in waiting]}


def read_turn(messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """Return the text of the user's last message, and the tool results since."""
    prompt, results = "", list[str]()
    for message in messages:
        if message.get("role") == "user":
            prompt, results = text_of(message), []
        elif message.get("role") == "tool":
            results.append(text_of(message))
    return prompt, results


def list_items(text: str) -> list[str]:
    """Return what a message lists after its first colon: separated by commas, "and", or one a line."""
    _, _, after = re.sub(r":(?=\s)", "\0", text, count=1).partition("\0")
    sentences = (_SENTENCE_END.split(_BULLET.sub("", line))[0] for line in after.splitlines())
    items = (item.strip(" \t\"'`") for sentence in sentences for item in _SEPARATOR.split(sentence))
    return [item[:_LENGTH] for item in items if item][:_ITEMS]


def choose_tool(offered: object, prompt: str) -> tuple[str, str] | None:
    """Return the tool to call and its parameter; None if no tool fits."""
    fitting = [tool for tool in map(_read_tool, offered if isinstance(offered, list) else []) if tool]
    named = [tool for tool in fitting if tool[0] in prompt]
    return next(iter(named or fitting), None)


def _read_tool(tool: object) -> tuple[str, str] | None:
    """Return name and parameter of a tool that takes exactly one required string."""
    match tool:
        case {"function": {"name": str(name), "parameters": {"required": [str(parameter)], "properties": dict(kinds)}}}:
            kind: object = kinds.get(parameter)
            return (name, parameter) if isinstance(kind, dict) and kind.get("type") == "string" else None
    return None


def sum_up(results: Sequence[str]) -> str:
    """Say in one sentence what the tools returned."""
    calls = "1 tool call" if len(results) == 1 else f"{len(results)} tool calls"
    texts = (" ".join(result.split()).rstrip(".")[:_LENGTH] or "an empty result" for result in results)
    return f"I made {calls}: {', '.join(texts)}."
