"""Payloads in the JSON format of Temporal's SDKs. There is no data converter: the operator passes values through."""

import json
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads

_ENCODING = "encoding"
_JSON = (b"json/plain", b"json/protobuf")


def encode(value: Any, *, kind: str | None = None) -> Payload:
    """Encode a JSON value; `kind` names the type of a search attribute."""
    metadata = {_ENCODING: b"json/plain"}
    if kind is not None:
        metadata["type"] = kind.encode()
    return Payload(metadata=metadata, data=json.dumps(value, ensure_ascii=False).encode())


def decode_text(payload: Payload) -> str | None:
    """Return a payload as JSON text, or None for Temporal's null.

    For a payload of another encoding (a codec, protobuf), the text says so, so that a reader does not take it for an
    empty result.
    """
    encoding = payload.metadata.get(_ENCODING, b"")
    if encoding in _JSON:
        text = payload.data.decode(errors="replace")
        return None if text == "null" else text
    if encoding == b"binary/null":
        return None
    name = encoding.decode(errors="replace") or "unknown"
    return json.dumps(f"(a result of {len(payload.data)} bytes with encoding {name}, which the operator cannot read)")


def decode(payload: Payload) -> Any:
    """Return a payload's JSON value, or None if there is none."""
    text = decode_text(payload)
    return None if text is None else json.loads(text)


def first_text(payloads: Payloads) -> str | None:
    """Return the first payload as JSON text."""
    return decode_text(payloads.payloads[0]) if payloads.payloads else None
