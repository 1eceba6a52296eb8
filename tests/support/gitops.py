"""The recipes of docs/gitops.md, and the status that deployment tools derive from an object with these recipes.

The page itself is tested: its code blocks run unchanged, in the programs they are written for.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dev.cluster.layout import ROOT
from dev.cluster.toolchain import ensure
from tests.support.cluster import ControlPlane

PAGE = ROOT / "docs" / "gitops.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
_FILE = re.compile(r"^# (\S+/\S+)\n")


def blocks(language: str) -> list[str]:
    """Return the page's code blocks in a language."""
    return [text for found, text in _BLOCK.findall(PAGE.read_text()) if found == language]


def files() -> dict[str, str]:
    """Return the blocks that start with the path of a file, by path."""
    found = [(_FILE.match(text), text) for _, text in _BLOCK.findall(PAGE.read_text())]
    return {match[1]: text[match.end() :] for match, text in found if match}


def manifests() -> Iterator[dict[str, Any]]:
    """Yield the objects in the page's YAML."""
    for text in blocks("yaml"):
        if not _FILE.match(text):
            yield from yaml.safe_load_all(text)


def script(content: str) -> str:
    """Return the one shell block that contains this text."""
    (found,) = (text for text in blocks("sh") if content in text)
    return found


def argo_settings() -> dict[str, str]:
    """Return the page's data for Argo CD's ConfigMap."""
    (found,) = (each for each in manifests() if each["metadata"].get("name") == "argocd-cm")
    return dict(found["data"])


def health_script(kind: str) -> str:
    """Return Argo CD's health.lua for a Durafleet kind."""
    return argo_settings()[f"resource.customizations.health.durafleet.dev_{kind}"]


def discovery_script() -> str:
    """Return Argo CD's discovery.lua for AgentRuns."""
    return str(_actions()["discovery.lua"])


def action_script(name: str) -> str:
    """Return Argo CD's action.lua of an action on AgentRuns."""
    (found,) = (each for each in _actions()["definitions"] if each["name"] == name)
    return str(found["action.lua"])


def _actions() -> dict[str, Any]:
    return dict(yaml.safe_load(argo_settings()["resource.customizations.actions.durafleet.dev_AgentRun"]))


def flux_check(kind: str) -> dict[str, Any] | None:
    """Return the page's Flux health check for a kind; None if Flux uses kstatus only."""
    kustomizations = [each for each in manifests() if each["kind"] == "Kustomization"]
    checks = [check for each in kustomizations for check in each["spec"].get("healthCheckExprs", ())]
    return next((check for check in checks if check["kind"] == kind), None)


@dataclass(frozen=True)
class ToolStatuses:
    """The status of an object in each tool.

    Attributes:
        kstatus: Flux and Helm 4, without a recipe.
        argo: Argo CD, with the page's health.lua.
        strict: Flux, with the page's health check; None if the page has none for the kind.
        message: the message in Argo CD.
    """

    kstatus: str
    argo: str
    strict: str | None
    message: str


def tool_statuses(body: dict[str, Any]) -> ToolStatuses:
    """Return the status of an object in each tool."""
    check = flux_check(body["kind"])
    response = evaluate(body, health=health_script(body["kind"]), flux=check)
    strict = response["flux"]["status"] if check else None
    return ToolStatuses(response["kstatus"]["status"], response["argo"]["status"], strict, response["argo"]["message"])


def evaluate(body: dict[str, Any], **recipes: Any) -> dict[str, Any]:
    """Evaluate an object with the program `verdict`.

    Raises:
        ValueError: a recipe does not run.
    """
    program = ensure(["verdict"])["verdict"]
    request = json.dumps([{"object": body, **{name: text for name, text in recipes.items() if text is not None}}])
    done = subprocess.run([str(program)], input=request, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    (response,) = json.loads(done.stdout)
    return dict(response)


@dataclass(frozen=True)
class Shell:
    """A user's shell, with a current namespace and the page's files in the current folder."""

    plane: ControlPlane
    namespace: str
    folder: Path

    @classmethod
    def open(cls, plane: ControlPlane, namespace: str, folder: Path) -> "Shell":
        """Write the page's files and a kubeconfig for the namespace into a folder."""
        for name, text in files().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        config = yaml.safe_load(Path(plane.env["KUBECONFIG"]).read_text())
        for context in config["contexts"]:
            context["context"]["namespace"] = namespace
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        return cls(plane, namespace, folder)

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run commands; stop at the first failure."""
        homes = {f"HELM_{kind}_HOME": str(self.folder / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        env = {**self.plane.env, **homes, "KUBECONFIG": str(self.folder / "kubeconfig")}
        return subprocess.run(
            ["/bin/sh", "-ec", command], cwd=self.folder, env=env, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip

    def succeed(self, command: str) -> str:
        """Run commands that must not fail; return their output."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout
