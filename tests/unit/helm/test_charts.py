"""The charts as files: versions, schema and values agree with each other and with the operator's settings."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from durafleet.config import Settings

ROOT = Path(__file__).parents[3]
CHARTS = ("durafleet", "durafleet-crds")


def a_file(chart: str, name: str) -> Any:
    return yaml.safe_load((ROOT / "helm" / chart / name).read_text())


def resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    return root["$defs"][name] if name else schema


def differences(values: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], path: str = "") -> list[str]:
    """Return the values that the schema lacks, and the schema fields that the values lack."""
    known = schema.get("properties", {})
    found = [f"{path}{name}" for name in values.keys() ^ known.keys() if (path, name) != ("", "global")]
    for name in values.keys() & known.keys():
        child = resolve(known[name], root)
        if isinstance(values[name], dict) and "properties" in child:
            found += differences(values[name], child, root, f"{path}{name}.")
    return found


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_has_the_version_of_the_distribution(chart: str):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (a_file(chart, "Chart.yaml")["version"], a_file(chart, "Chart.yaml")["appVersion"]) == (version, version)


@pytest.mark.parametrize("chart", CHARTS)
def test_values_and_schema_of_a_chart_have_the_same_fields(chart: str):
    schema = json.loads((ROOT / "helm" / chart / "values.schema.json").read_text())
    assert differences(a_file(chart, "values.yaml") or {}, schema, schema) == []


@pytest.mark.parametrize("chart", CHARTS)
def test_an_unknown_value_is_refused_at_every_level_of_the_schema(chart: str):
    schema = json.loads((ROOT / "helm" / chart / "values.schema.json").read_text())
    objects = {"": schema, **{name: resolve(part, schema) for name, part in schema["properties"].items()}}
    with_fields = {name: part for name, part in objects.items() if "properties" in part}
    assert [name for name, part in with_fields.items() if part["additionalProperties"] is not False] == []


def test_the_chart_sets_only_variables_that_the_operator_reads():
    template = (ROOT / "helm/durafleet/templates/deployment.yaml").read_text()
    variables = set(re.findall(r"DURAFLEET_[A-Z_]+", template))
    assert variables <= {f"DURAFLEET_{name.upper()}" for name in Settings.model_fields}


def test_uninstalling_the_crd_chart_keeps_the_crds():
    for path in (ROOT / "helm/durafleet-crds/templates").iterdir():
        crd = yaml.safe_load(path.read_text())
        assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}, path.name


def test_generated_crds_contain_no_helm_template_syntax():
    for path in (ROOT / "helm/durafleet-crds/templates").iterdir():
        assert "{{" not in path.read_text(), path.name
