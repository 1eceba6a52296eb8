"""Render a model as the structural schema of a CustomResourceDefinition.

Kubernetes accepts a dialect of OpenAPI 3: no `$ref`, no null, a type everywhere, CEL rules beside the fields
they validate. pydantic generates the schema. This module converts it to that dialect and adds the models' rules.
"""

from typing import Any

from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema, to_jsonable_python

from durafleet.api.model import IMMUTABLE, Model, Rule

Schema = dict[str, Any]

_KEPT = {
    "type", "description", "default", "enum", "format", "pattern", "required", "minimum", "maximum",
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
}  # fmt: skip
"""Keywords that Kubernetes accepts, besides its own extensions and the keywords that hold other schemas."""


class _Dialect(GenerateJsonSchema):
    """pydantic's generator, without null and with the rules of each model."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Render an optional field without null: the field may be absent."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Render a nested object's default in full: the API server runs its rules before it sets nested defaults."""
        rendered = self.generate_inner(schema["schema"])
        default = schema.get("default")
        if default is None:
            return rendered
        return {**rendered, "default": default.wire() if isinstance(default, Model) else to_jsonable_python(default)}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        rendered = super().model_schema(schema)
        model = schema["cls"]
        if issubclass(model, Model) and (rules := (*model.rules, *immutability(model))):
            rendered["x-kubernetes-validations"] = [{"rule": r.expression, "message": r.message} for r in rules]
        return rendered


def structural(model: type[Model]) -> Schema:
    """Render a model with all definitions inlined."""
    rendered = model.model_json_schema(by_alias=True, schema_generator=_Dialect)
    return _inline(rendered, rendered.get("$defs", {}))


def immutability(model: type[Model]) -> tuple[Rule, ...]:
    """Return one rule that covers all fields marked as immutable.

    It is a rule of the object, because the API server skips a field's own rule when the old or the new object
    lacks the field: the field could be added or removed.
    """
    fields = [(_wire_name(name, field), field) for name, field in model.model_fields.items() if _immutable(field)]
    if not fields:
        return ()
    names = [name for name, _ in fields]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    expression = " && ".join(_unchanged(name, required=field.is_required()) for name, field in fields)
    return (Rule(expression, f"{listed} cannot be changed after creation; create a new {_kind(model)}"),)


def _unchanged(name: str, *, required: bool) -> str:
    same = f"self.{name} == oldSelf.{name}"
    if required:
        return same
    return f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || {same})"


def _immutable(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.items() >= IMMUTABLE.items()


def _wire_name(name: str, field: FieldInfo) -> str:
    return field.serialization_alias or field.alias or name


def _kind(model: type[Model]) -> str:
    return model.__name__.removesuffix("Spec")


def _inline(node: Schema, definitions: dict[str, Schema]) -> Schema:
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[-1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    if _is_int_or_string(node):
        node = {**node, "x-kubernetes-int-or-string": True}
    kept = {key: value for key, value in node.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if isinstance(node.get("const"), str):
        kept["enum"] = [node["const"]]
    if kept.get("type") == "integer":
        kept["format"] = "int64"
    if "properties" in node:
        kept["properties"] = {name: _inline(child, definitions) for name, child in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            kept[key] = _inline(node[key], definitions)
    return kept


def _is_int_or_string(node: Schema) -> bool:
    return {choice.get("type") for choice in node.get("anyOf", ())} == {"integer", "string"}
