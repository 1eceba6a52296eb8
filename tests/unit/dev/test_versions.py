"""The pins in dev/versions.toml match the versions in the go.mod files and the Dockerfile."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / "dev" / "cluster" / "tools"
VERDICT = ROOT / "dev" / "cluster" / "verdict"
PINS = tomllib.loads((ROOT / "dev" / "versions.toml").read_text())
MODULES: dict[str, str] = PINS["modules"]
JUDGES: dict[str, str] = PINS["verdict"]
TOOLCHAIN: dict[str, str] = PINS["toolchain"]
SOURCES = sorted((ROOT / "dev" / "cluster").rglob("go.mod"))


def required(folder: Path, module: str) -> list[str]:
    """Return the versions of a module that a go.mod requires."""
    return re.findall(rf"^\s*(?:require )?{re.escape(module)} (\S+)", (folder / "go.mod").read_text(), re.M)


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_every_pinned_module_has_a_build_and_every_upstream_build_has_a_pin():
    assert {path.parent.name for path in TOOLS.glob("*/go.sum") if path.stat().st_size} == set(MODULES)


@pytest.mark.parametrize("tool", sorted(MODULES))
def test_the_build_of_a_tool_requires_the_pinned_version(tool: str):
    module, version = MODULES[tool].split()
    assert required(TOOLS / tool, module) == [version]


@pytest.mark.parametrize("judge", sorted(JUDGES))
def test_the_verdict_tool_requires_the_pinned_version(judge: str):
    module, version = JUDGES[judge].split()
    assert required(VERDICT, module) == [version]


def test_helm_requires_the_same_kstatus_version_as_the_verdict_tool():
    module, version = JUDGES["kstatus"].split()
    assert required(TOOLS / "helm", module) == [version]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("pin", ["go_minimum", "go_wheel"])
def test_the_pinned_go_versions_can_build_the_tool(path: Path, pin: str):
    needed = re.findall(r"^go (\S+)$", path.read_text(), re.M)
    assert len(needed) == 1
    assert as_numbers(needed[0]) <= as_numbers(TOOLCHAIN[pin]), "the tools are built with GOTOOLCHAIN=local"


def test_kubernetes_and_its_staging_modules_have_the_same_release():
    text = (TOOLS / "kubernetes" / "go.mod").read_text()
    release = MODULES["kubernetes"].split()[1].removeprefix("v1.")
    staged = re.findall(r"^\s*(?:replace )?k8s\.io/[a-z-]+ => k8s\.io/[a-z-]+ (\S+)$", text, re.M)
    assert set(staged) == {f"v0.{release}"}


def test_the_dockerfile_uses_the_pinned_base_image_and_the_pinned_uv():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"ARG BASE={TOOLCHAIN['base_image']}\n" in dockerfile
    assert f"ARG UV_VERSION={TOOLCHAIN['uv']}\n" in dockerfile


def test_the_local_base_image_has_the_same_debian_release_as_the_pinned_one():
    assert TOOLCHAIN["base_image"] == f"debian:{TOOLCHAIN['debian_suite']}-slim"
