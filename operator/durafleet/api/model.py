"""The base class of every API model: camelCase on the wire, unknown fields ignored, CEL rules beside the fields.

A model is the single source of a resource's schema (`crd.py` renders it), of its documentation and of the
values that the operator reads. `rules` holds, as CEL, the constraints that a JSON schema cannot express.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

GROUP = "durafleet.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


@dataclass(frozen=True)
class Rule:
    """A CEL rule of the CRD (`x-kubernetes-validations`) and the message that a user sees when it fails."""

    expression: str
    message: str


class Model(BaseModel):
    """A part of a resource. Unknown fields are ignored, because the API server has already pruned them."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_enum_values=False
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    def wire(self) -> dict[str, Any]:
        """Return the camelCase JSON form, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


IMMUTABLE: JsonDict = {"x-durafleet-immutable": True}
"""Marks an immutable field. `schema.py` turns all of them into one rule of the spec."""

ANY_JSON: JsonDict = {"x-kubernetes-preserve-unknown-fields": True}
"""Marks a field that accepts any JSON value."""


def list_map(key: str, *rules: Rule) -> JsonDict:
    """Mark a list as `listType: map` with this key, and add rules for the list as a whole."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key], **_validations(*rules)}


def _validations(*rules: Rule) -> JsonDict:
    validations: list[JsonValue] = [{"rule": rule.expression, "message": rule.message} for rule in rules]
    return {"x-kubernetes-validations": validations} if validations else {}


_IS_DURATION = "matches('^([0-9]{1,9}(ms|s)|[0-9]{1,7}m|[0-9]{1,5}h)+$')"
"""Bounded, because CEL's duration() fails above 292 years, with an error that does not help the user."""


def longer_than_zero(field: str, *, optional: bool = False) -> Rule:
    """Reject a duration of 0. Another rule rejects a value that is not a duration."""
    ordered = f"duration(self.{field}) > duration('0s')"
    return Rule(f"{_unless_duration(field, optional=optional)} || {ordered}", f"{field} must be longer than 0s")


def shorter_than(field: str, other: str, *, or_equal: bool = False, optional: bool = False) -> Rule:
    """Require a duration to be shorter than another. `optional` durations are compared only if both are set."""
    ordered = f"duration(self.{field}) {'<=' if or_equal else '<'} duration(self.{other})"
    message = f"{field} must not be longer than {other}" if or_equal else f"{field} must be shorter than {other}"
    guards = " || ".join(_unless_duration(name, optional=optional) for name in (field, other))
    return Rule(f"{guards} || {ordered}", message)


def _unless_duration(field: str, *, optional: bool) -> str:
    absent = f"!has(self.{field}) || " if optional else ""
    return f"{absent}!self.{field}.{_IS_DURATION}"


Duration = Annotated[
    str,
    Field(
        pattern=r"^([0-9]+(ms|s|m|h))+$",
        max_length=32,
        examples=["90s", "1h30m"],
        json_schema_extra=_validations(
            Rule(
                f"self.{_IS_DURATION}",
                "must be a duration such as 90s or 1h30m: whole numbers with h (up to 5 digits), m, s or ms",
            )
        ),
    ),
]
"""A duration, kept as the user wrote it, because GitOps tools would report a rewritten value as drift."""

Quantity = Annotated[
    int | str,
    Field(
        json_schema_extra={
            "maxLength": 32,
            "pattern": r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
        },
        examples=["500m", "256Mi"],
    ),
]
"""A non-negative amount of a compute resource, as in a pod."""

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
]


Priority = Annotated[int, Field(ge=1, le=5)]
"""A priority as in Temporal: 1 is the highest, 5 the lowest, 3 the default."""


class ObjectRef(Model):
    """Reference to an object in the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")
