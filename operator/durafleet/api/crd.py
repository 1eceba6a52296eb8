"""The CustomResourceDefinitions, rendered from the models.

`python -m durafleet.api.crd` writes all files that are generated from the API models: `crds/`, the templates
of the CRD chart and `docs/reference/`, below the current directory. A test fails when they are out of date.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from durafleet.api.connection import TemporalConnection
from durafleet.api.model import GROUP, VERSION, Model
from durafleet.api.reference import page
from durafleet.api.run import AgentRun
from durafleet.api.schema import Schema, structural
from durafleet.api.worker import AgentWorker

COMMAND = "python -m durafleet.api.crd"
_KEEP = {"helm.sh/resource-policy": "keep"}
"""Keeps the CRDs when the chart is uninstalled. Otherwise every run would be deleted with them."""


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`. A wide column shows only with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True)
class Resource:
    """The parts of a CustomResourceDefinition besides the schema."""

    model: type[Model]
    kind: str
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    scalable: bool = False

    @property
    def name(self) -> str:
        return f"{self.plural}.{GROUP}"


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_READY = (Column("Ready", _condition("Ready", "status")), Column("Reason", _condition("Ready", "reason")))

RESOURCES = (
    Resource(
        AgentRun,
        kind=AgentRun.kind,
        plural="agentruns",
        short_name="ar",
        columns=(
            Column("Succeeded", _condition("Succeeded", "status")),
            Column("Reason", ".status.state"),
            Column("Worker", ".spec.workerRef.name"),
            Column("Agent", ".spec.agent", wide=True),
            Column("Workflow", ".status.workflow.id", wide=True),
            Column("Started", ".status.startTime", "date"),
            Column("Finished", ".status.completionTime", "date"),
            _AGE,
            Column("Result", ".status.result.preview", wide=True),
        ),
        selectable=(".spec.workerRef.name", ".status.state"),
    ),
    Resource(
        AgentWorker,
        kind=AgentWorker.kind,
        plural="agentworkers",
        short_name="aw",
        columns=(
            *_READY,
            Column("Replicas", ".spec.replicas", "integer"),
            Column("Ready pods", ".status.readyReplicas", "integer"),
            Column("Task queue", ".status.taskQueue"),
            _AGE,
        ),
        scalable=True,
    ),
    Resource(
        TemporalConnection,
        kind=TemporalConnection.kind,
        plural="temporalconnections",
        short_name="tconn",
        columns=(
            *_READY,
            Column("Address", ".spec.address"),
            Column("Namespace", ".spec.namespace"),
            _AGE,
        ),
    ),
)


def definition(resource: Resource, *, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a resource."""
    metadata: dict[str, Any] = {"name": resource.name, "labels": {"app.kubernetes.io/part-of": "durafleet"}}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short_name],
                "categories": ["agents"],
            },
            "versions": [_version(resource)],
        },
    }


def object_schema(resource: Resource) -> Schema:
    """Return the schema of the whole object, including the fields of every Kubernetes object."""
    schema = structural(resource.model)
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        **schema["properties"],
    }
    # An object that no operator has reconciled must not look finished to a tool that compares generations.
    schema["properties"]["status"]["default"] = {"observedGeneration": -1}
    return schema


def _version(resource: Resource) -> dict[str, Any]:
    subresources: dict[str, Any] = {"status": {}}
    if resource.scalable:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": subresources,
        "additionalPrinterColumns": [_column(column) for column in resource.columns],
    }
    if resource.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in resource.selectable]
    version["schema"] = {"openAPIV3Schema": object_schema(resource)}
    return version


def _column(column: Column) -> dict[str, Any]:
    rendered: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.wide:
        rendered["priority"] = 1
    return rendered


def as_yaml(document: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(document))  # a copy without shared values, which YAML would write as anchors
    text = yaml.safe_dump(plain, sort_keys=False, width=120, allow_unicode=True)
    return f"# Generated by `{COMMAND}`; do not edit.\n{text}"


def generated() -> dict[Path, str]:
    """Return every generated file: its path relative to the root of the repository, and its text."""
    files: dict[Path, str] = {}
    for resource in RESOURCES:
        name = f"{GROUP}_{resource.plural}.yaml"
        files[Path("crds", name)] = as_yaml(definition(resource))
        chart = Path("helm", "durafleet-crds", "templates", name)
        files[chart] = as_yaml(definition(resource, annotations=_KEEP))
        text = page(resource.kind, short_name=resource.short_name, schema=object_schema(resource))
        files[Path("docs", "reference", f"{resource.kind.lower()}.md")] = f"<!-- Generated by `{COMMAND}`. -->\n{text}"
    return files


def main() -> None:
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
