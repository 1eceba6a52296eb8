"""The part of a workflow's result that fits into a status: a preview, the size and the digest."""

import hashlib
import json

from durafleet.api.run import PREVIEW_LIMIT, ResultRef


def summarise_result(payload: str | None, *, ref: str) -> ResultRef | None:
    """Describe a workflow's result.

    Args:
        payload: the result as JSON text; None if the workflow returned nothing.
        ref: reference to the complete result.

    Returns:
        A summary with a preview of the answer: text unchanged, other values as JSON. The result of the generic
        workflow is an envelope whose field `output` is the answer.
    """
    if payload is None:
        return None
    answer = _answer(payload)
    whole = answer.encode()
    return ResultRef(
        preview=truncate_utf8(answer, PREVIEW_LIMIT),
        size=len(whole),
        sha256=hashlib.sha256(whole).hexdigest(),
        ref=ref,
    )


def truncate_utf8(text: str, limit: int) -> str:
    """Cut text to at most `limit` bytes of UTF-8, at a character boundary."""
    return text.encode()[:limit].decode(errors="ignore")


def _answer(payload: str) -> str:
    try:
        value = json.loads(payload)
    except ValueError:
        return payload
    if isinstance(value, dict) and value.keys() >= {"output", "usage", "turns"}:
        value = value["output"]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
