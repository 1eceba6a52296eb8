"""The pages of docs/reference, rendered from the same schemas as the CRDs."""

from collections.abc import Iterator
from typing import Any

from durafleet.api.contract import ErrorType
from durafleet.api.lifecycle import TERMINAL, diagram, table
from durafleet.api.model import API_VERSION
from durafleet.api.reasons import ERRORS, REASONS, RUN_EVENTS
from durafleet.api.schema import Schema
from durafleet.api.status import Reason

_BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " entries"),
)
"""Pairs of keywords, and the unit that they count."""


def page(kind: str, *, short_name: str, schema: Schema) -> str:
    """Return the page of one kind: its fields, its rules, and the reasons of its conditions."""
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    parts = [
        f"# {kind}",
        f"`apiVersion: {API_VERSION}`, `kind: {kind}`, short name `{short_name}`.",
        schema["description"],
        "## spec",
        spec["description"],
        _table(spec),
        "### Rules",
        "Besides types and bounds, the API server enforces these rules:",
        "\n".join(f"- `{where}`: {message}" for where, message in _rules(schema, "")),
        "## status",
        status["description"],
        _table(status),
        *(_states() if kind == "AgentRun" else ()),
        "## Reasons",
        "Scripts can rely on the `reason` of a condition. Its `message` is for people and names what to do.",
        _reasons(kind),
    ]
    if kind == "AgentRun":
        parts += ["## Failure types", "Values of `status.failure.type` in runs of declared agents.", _errors()]
        parts += ["## Events", "The operator posts these Events on an AgentRun:", _events()]
    return "\n\n".join(parts) + "\n"


def _table(schema: Schema) -> str:
    lines = ["| Field | Type | Default | Meaning |", "|---|---|---|---|"]
    for path, field, required in _fields(schema, ""):
        default = "*required*" if required else _default(field)
        described = field.get("description", "").rstrip(".")
        meaning = _cell(". ".join(part for part in (described, _bounds(field, described)) if part))
        lines.append(f"| `{path}` | {_type(field)} | {default} | {meaning}{'.' if meaning else ''} |")
    return "\n".join(lines)


def _fields(schema: Schema, prefix: str) -> Iterator[tuple[str, Schema, bool]]:
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, field, name in schema.get("required", ())
        yield from _fields(field, f"{path}.")
        if "items" in field:
            yield from _fields(field["items"], f"{path}[].")


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if "type" not in field:
        return "any"
    kind = str(field["type"])
    if kind == "array":
        return f"list of {_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"map of {_type(field['additionalProperties'])}"
    return kind


def _default(field: Schema) -> str:
    default = field.get("default")
    if default is None or default == "" or _shown_below(field):
        return ""
    return f"`{_compact(default)}`"


def _shown_below(field: Schema) -> bool:
    """Tell whether the default only repeats the defaults of the object's own fields."""
    fields = field.get("properties", {})
    return isinstance(field["default"], dict) and all(
        fields[name].get("default") == value for name, value in field["default"].items()
    )


def _compact(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_compact(item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bounds(field: Schema, described: str) -> str:
    """Return the bounds that the description does not state."""
    bounds = [_range(field.get(low), field.get(high), unit) for low, high, unit in _BOUNDS]
    if "enum" in field:
        bounds.append("one of " + ", ".join(f"`{value}`" for value in field["enum"]))
    if "pattern" in field and "x-kubernetes-validations" not in field:
        bounds.append(f"matches `{field['pattern']}`")
    text = "; ".join(bound for bound in bounds if bound not in described)
    return text[:1].upper() + text[1:]


def _range(low: int | None, high: int | None, unit: str) -> str:
    if high is None:
        return "" if low is None else f"at least {low}{unit}"
    return f"at most {high}{unit}" if low is None else f"{low} to {high}{unit}"


def _rules(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path or "metadata", rule["message"]
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _reasons(kind: str) -> str:
    lines = ["| Reason | Meaning | What to do |", "|---|---|---|"]
    lines += [f"| `{reason}` | {doc.meaning} | {doc.remedy} |" for reason, doc in REASONS.items() if kind in doc.kinds]
    return "\n".join(lines)


def _states() -> list[str]:
    """Return the sections on the states of a run and the transitions between them."""
    ended = ", ".join(f"`{state}`" for state in Reason if state in TERMINAL)
    return [
        "## States",
        f"`status.state` is the reason of the condition `Succeeded`. The states {ended} are terminal. A run leaves a "
        "terminal state only if `spec.retry.token` changes or somebody resets its workflow in Temporal. It never "
        "leaves `Completed`. The usual transitions:",
        diagram(),
        "### Transitions",
        "This table is complete. A test checks the operator against it.",
        table(),
    ]


def _errors() -> str:
    lines = ["| Type | Meaning |", "|---|---|"]
    lines += [f"| `{error}` | {ERRORS[error]} |" for error in ErrorType]
    return "\n".join(lines)


def _events() -> str:
    lines = ["| Reason | When |", "|---|---|"]
    lines += [f"| {reason} | {when} |" for reason, when in RUN_EVENTS.items()]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
