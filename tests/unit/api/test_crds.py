"""The rendered CRDs: generated as committed, structural, bounded, and saying what GitOps tools rely on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field

from durafleet.api.contract import ErrorType
from durafleet.api.crd import RESOURCES, Resource, definition, generated
from durafleet.api.model import IMMUTABLE, Model, ObjectRef, Rule
from durafleet.api.reasons import ERRORS, REASONS
from durafleet.api.schema import immutability, structural
from durafleet.api.status import Reason

ROOT = Path(__file__).parents[3]
ROOT_FIELDS = {"apiVersion", "kind", "metadata"}
every_kind = pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)


def schema_of(resource: Resource) -> dict[str, Any]:
    version = definition(resource)["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        if path or name not in ROOT_FIELDS:
            yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


def test_what_is_committed_is_what_the_models_render():
    stale = [str(path) for path, text in generated().items() if (ROOT / path).read_text() != text]
    assert stale == [], "run: make generate"


def test_nothing_generated_is_left_over_from_an_earlier_model():
    folders = {path.parent for path in generated()}
    assert {ROOT / path for path in generated()} == {file for folder in folders for file in (ROOT / folder).iterdir()}


@every_kind
def test_every_part_of_a_schema_has_a_type_or_takes_any_json(resource: Resource):
    typed = ("type", "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")
    assert [path for path, node in nodes(schema_of(resource)) if not any(key in node for key in typed)] == []


@every_kind
def test_everything_that_can_grow_has_a_bound(resource: Resource):
    unbounded = []
    for path, node in nodes(schema_of(resource)):
        kind = node.get("type")
        if kind == "string" and "enum" not in node and "maxLength" not in node:
            unbounded.append(path)
        if kind == "array" and "maxItems" not in node:
            unbounded.append(path)
        if "additionalProperties" in node and "maxProperties" not in node:
            unbounded.append(path)
    assert unbounded == []


@every_kind
def test_no_field_is_a_float_or_null(resource: Resource):
    assert [path for path, node in nodes(schema_of(resource)) if node.get("type") == "number"] == []
    assert [path for path, node in nodes(schema_of(resource)) if "nullable" in node or "anyOf" in node] == []


@every_kind
def test_every_field_is_described(resource: Resource):
    undescribed = [
        path for path, node in nodes(schema_of(resource)) if "description" not in node and not path.endswith("[]")
    ]
    assert undescribed == []


@every_kind
def test_an_untouched_object_reads_as_not_yet_observed(resource: Resource):
    assert schema_of(resource)["properties"]["status"]["default"] == {"observedGeneration": -1}


@every_kind
def test_conditions_are_a_map_by_type(resource: Resource):
    conditions = schema_of(resource)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


@every_kind
def test_the_kinds_share_a_category_and_have_a_status_of_their_own(resource: Resource):
    spec = definition(resource)["spec"]
    assert spec["names"]["categories"] == ["agents"]
    assert spec["versions"][0]["subresources"]["status"] == {}


@every_kind
def test_a_crd_fits_the_annotation_of_kubectl_apply(resource: Resource):
    assert len(generated()[Path("crds", f"durafleet.dev_{resource.plural}.yaml")]) < 256 * 1024


class Holder(Model):
    """An object with inputs."""

    ref: ObjectRef = Field(description="Always there.", json_schema_extra=IMMUTABLE)
    wish: str | None = Field(default=None, max_length=9, json_schema_extra=IMMUTABLE)
    stop: bool | None = None

    rules: ClassVar[tuple[Rule, ...]] = (Rule("self.wish != 'x'", "no x"),)


def test_immutable_fields_become_one_rule_that_also_sees_a_field_come_and_go():
    (rule,) = immutability(Holder)
    assert rule.expression == (
        "self.ref == oldSelf.ref && has(self.wish) == has(oldSelf.wish) && "
        "(!has(self.wish) || self.wish == oldSelf.wish)"
    )
    assert rule.message == "ref and wish cannot be changed after creation; create a new Holder"


def test_a_models_rules_stand_beside_its_fields():
    schema = structural(Holder)
    assert schema["x-kubernetes-validations"][0] == {"rule": "self.wish != 'x'", "message": "no x"}
    assert schema["required"] == ["ref"]
    assert schema["properties"]["wish"] == {"type": "string", "maxLength": 9}


def test_our_own_markers_stay_out_of_the_schema():
    assert not any("x-durafleet" in text for text in generated().values())


def test_every_reason_and_failure_type_is_documented():
    assert set(REASONS) == set(Reason)
    assert set(ERRORS) == set(ErrorType)
