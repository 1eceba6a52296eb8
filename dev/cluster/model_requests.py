"""What the model server reads from a request for a completion."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

MODEL = "smollm2-135m-instruct"


def read_body(content: bytes) -> dict[str, Any]:
    """Parse the body.

    Raises:
        ValueError: says what is wrong with it.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("model", MODEL), str):
        raise ValueError('the body has to be an object, and its "model" a string')
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(_is_message(each) for each in messages):
        raise ValueError('"messages" has to be a list of objects, each with a "role"')
    return body


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str)


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message's text, whether it is written as a string or in parts."""
    content = message.get("content") or ""
    if isinstance(content, list):
        return " ".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content)


def read_step(messages: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], str]:
    """Return the scripted step that comes next, and a name for it; an empty step without a script."""
    script: list[dict[str, Any]] = []
    source, answered = "", 0
    for message in messages:
        text = text_of(message)
        if message["role"] == "user" and (found := _read_script(text)) is not None:
            script, source, answered = found, text, 0
        elif message["role"] == "assistant":
            answered += 1
    step = script[min(answered, len(script) - 1)] if script else {}
    return step, f"{source}#{answered}"


def _read_script(text: str) -> list[dict[str, Any]] | None:
    if '"script"' not in text:
        return None
    try:
        script = json.loads(text)["script"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return script if isinstance(script, list) and all(isinstance(step, dict) for step in script) else None
