"""The rendered CRDs: up to date, structural, bounded, and with the fields that GitOps tools rely on."""

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


def test_the_committed_files_match_what_the_models_render():
    stale = [str(path) for path, text in generated().items() if (ROOT / path).read_text() != text]
    assert stale == [], "run: make generate"


def test_no_generated_file_is_left_over_from_an_earlier_model():
    folders = {path.parent for path in generated()}
    assert {ROOT / path for path in generated()} == {file for folder in folders for file in (ROOT / folder).iterdir()}


@every_kind
def test_every_schema_node_has_a_type_or_accepts_any_json(resource: Resource):
    typed = ("type", "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")
    assert [path for path, node in nodes(schema_of(resource)) if not any(key in node for key in typed)] == []


@every_kind
def test_every_string_list_and_map_has_a_maximum_size(resource: Resource):
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
def test_no_field_is_a_float_or_nullable(resource: Resource):
    assert [path for path, node in nodes(schema_of(resource)) if node.get("type") == "number"] == []
    assert [path for path, node in nodes(schema_of(resource)) if "nullable" in node or "anyOf" in node] == []


@every_kind
def test_every_field_has_a_description(resource: Resource):
    undescribed = [
        path for path, node in nodes(schema_of(resource)) if "description" not in node and not path.endswith("[]")
    ]
    assert undescribed == []


@every_kind
def test_the_default_status_marks_an_object_as_not_yet_observed(resource: Resource):
    assert schema_of(resource)["properties"]["status"]["default"] == {"observedGeneration": -1}


@every_kind
def test_conditions_are_a_list_map_with_type_as_its_key(resource: Resource):
    conditions = schema_of(resource)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


@every_kind
def test_every_kind_has_the_category_agents_and_a_status_subresource(resource: Resource):
    spec = definition(resource)["spec"]
    assert spec["names"]["categories"] == ["agents"]
    assert spec["versions"][0]["subresources"]["status"] == {}


@every_kind
def test_a_crd_fits_into_the_last_applied_annotation_of_kubectl_apply(resource: Resource):
    assert len(generated()[Path("crds", f"durafleet.dev_{resource.plural}.yaml")]) < 256 * 1024


class Holder(Model):
    """An object with inputs."""

    ref: ObjectRef = Field(description="Always there.", json_schema_extra=IMMUTABLE)
    wish: str | None = Field(default=None, max_length=9, json_schema_extra=IMMUTABLE)
    stop: bool | None = None

    rules: ClassVar[tuple[Rule, ...]] = (Rule("self.wish != 'x'", "no x"),)


def test_immutable_fields_become_one_rule_that_also_detects_added_and_removed_fields():
    (rule,) = immutability(Holder)
    assert rule.expression == (
        "self.ref == oldSelf.ref && has(self.wish) == has(oldSelf.wish) && "
        "(!has(self.wish) || self.wish == oldSelf.wish)"
    )
    assert rule.message == "ref and wish cannot be changed after creation; create a new Holder"


def test_the_rules_of_a_model_are_part_of_its_schema():
    schema = structural(Holder)
    assert schema["x-kubernetes-validations"][0] == {"rule": "self.wish != 'x'", "message": "no x"}
    assert schema["required"] == ["ref"]
    assert schema["properties"]["wish"] == {"type": "string", "maxLength": 9}


def test_internal_markers_are_not_part_of_the_generated_files():
    assert not any("x-durafleet" in text for text in generated().values())


def test_every_reason_and_failure_type_is_documented():
    assert set(REASONS) == set(Reason)
    assert set(ERRORS) == set(ErrorType)
