"""Declared output schemas: the type that the model is asked for, and the check of its answer.

The library asks for the schema but accepts any object. The check here sends an answer that does not match back to
the model, with the reason.
"""

from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from pydantic_ai import StructuredDict
from pydantic_ai.exceptions import ModelRetry, UserError
from referencing import Registry

from durafleet_worker.errors import ConfigurationError

_NOTHING: Registry[Any] = Registry()  # resolves no external references, because validation runs in workflow code


def output_type(agent: str, schema: dict[str, Any]) -> type[dict[str, Any]]:
    """Return the type that makes the model answer with an object of this schema.

    Raises:
        ConfigurationError: it is not a JSON Schema of an object, or it refers to other documents.
    """
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "the top level"
        raise ConfigurationError(
            f"Agent {agent!r}: outputSchema is not a JSON Schema (at {where}: {error.message})."
        ) from error
    if schema.get("type") != "object":
        raise ConfigurationError(
            f'Agent {agent!r}: outputSchema must have "type": "object"; wrap other values in a property.'
        )
    for reference in _references(schema):
        if not reference.startswith("#"):
            raise ConfigurationError(
                f"Agent {agent!r}: outputSchema refers to {reference!r}; only references into itself (#/...) work."
            )
    try:
        return StructuredDict(schema, name=schema.get("title", "answer"))
    except UserError as error:
        raise ConfigurationError(f"Agent {agent!r}: outputSchema cannot be used: {error}") from error


def output_check(schema: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the function that sends an answer back to the model if it does not match the schema."""
    validator = Draft202012Validator(schema, registry=_NOTHING)

    def check(answer: dict[str, Any]) -> dict[str, Any]:
        error = best_match(validator.iter_errors(answer))
        if error is None:
            return answer
        where = ".".join(str(part) for part in error.absolute_path) or "the answer"
        raise ModelRetry(f"The answer does not match the schema: {where}: {error.message[:500]}")

    return check


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in {"$ref", "$dynamicRef"} and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)
