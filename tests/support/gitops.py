"""The recipes of docs/gitops.md, and what deployment tools make of an object by them.

The page is what is tested: its code blocks are run as they stand, by the programs they are meant for.
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
    """Return the blocks that begin with the path of a file, by path."""
    found = [(_FILE.match(text), text) for _, text in _BLOCK.findall(PAGE.read_text())]
    return {match[1]: text[match.end() :] for match, text in found if match}


def manifests() -> Iterator[dict[str, Any]]:
    """Yield the objects in the page's YAML."""
    for text in blocks("yaml"):
        if not _FILE.match(text):
            yield from yaml.safe_load_all(text)


def script(words: str) -> str:
    """Return the one shell block that holds these words."""
    (found,) = (text for text in blocks("sh") if words in text)
    return found


def argo_settings() -> dict[str, str]:
    """Return what the page puts into Argo CD's ConfigMap."""
    (found,) = (each for each in manifests() if each["metadata"].get("name") == "argocd-cm")
    return dict(found["data"])


def health_script(kind: str) -> str:
    """Return Argo CD's health.lua for a kind of ours."""
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
    """Return the page's Flux health check for a kind; None if kstatus is all there is."""
    kustomizations = [each for each in manifests() if each["kind"] == "Kustomization"]
    checks = [check for each in kustomizations for check in each["spec"].get("healthCheckExprs", ())]
    return next((check for check in checks if check["kind"] == kind), None)


@dataclass(frozen=True)
class Readings:
    """What each tool says of an object.

    Attributes:
        kstatus: Flux and Helm 4, which know no recipe.
        argo: Argo CD, with the page's health.lua.
        strict: Flux, with the page's health check; None where there is none for the kind.
        message: what Argo CD shows.
    """

    kstatus: str
    argo: str
    strict: str | None
    message: str


def read_as_tools_do(body: dict[str, Any]) -> Readings:
    """Ask each tool about an object."""
    check = flux_check(body["kind"])
    answer = ask(body, health=health_script(body["kind"]), flux=check)
    strict = answer["flux"]["status"] if check else None
    return Readings(answer["kstatus"]["status"], answer["argo"]["status"], strict, answer["argo"]["message"])


def ask(body: dict[str, Any], **recipes: Any) -> dict[str, Any]:
    """Put one question to the program `verdict`.

    Raises:
        ValueError: a recipe does not run.
    """
    program = ensure(["verdict"])["verdict"]
    question = json.dumps([{"object": body, **{name: text for name, text in recipes.items() if text is not None}}])
    done = subprocess.run([str(program)], input=question, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    (answer,) = json.loads(done.stdout)
    return dict(answer)


@dataclass(frozen=True)
class Shell:
    """A user's shell: one namespace is the current one, and the page's files lie in the current folder."""

    plane: ControlPlane
    namespace: str
    folder: Path

    @classmethod
    def open(cls, plane: ControlPlane, namespace: str, folder: Path) -> "Shell":
        """Write the page's files into a folder, and a kubeconfig for the namespace beside them."""
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
        """Run commands; the first that fails is the last."""
        homes = {f"HELM_{kind}_HOME": str(self.folder / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        env = {**self.plane.env, **homes, "KUBECONFIG": str(self.folder / "kubeconfig")}
        return subprocess.run(
            ["/bin/sh", "-ec", command], cwd=self.folder, env=env, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip

    def succeed(self, command: str) -> str:
        """Run commands that must not fail; return what they print."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout
