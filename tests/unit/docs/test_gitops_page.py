"""docs/gitops.md is complete; that it is right is for tests/integration/gitops."""

import pytest
import yaml

from dev.cluster.layout import ROOT
from tests.support.gitops import action_script, flux_check, health_script, manifests

KINDS = sorted(yaml.safe_load(path.read_text())["spec"]["names"]["kind"] for path in (ROOT / "crds").glob("*.yaml"))


@pytest.mark.parametrize("kind", KINDS)
def test_argo_cd_knows_the_health_of_every_kind_that_there_is(kind: str):
    assert "observedGeneration" in health_script(kind)


@pytest.mark.parametrize("action", ["cancel", "retry", "suspend", "resume"])
def test_argo_cd_has_an_action_for_each_control_of_a_run(action: str):
    assert action_script(action).endswith("return obj\n")


def test_flux_is_strict_about_runs_only():
    assert [kind for kind in KINDS if flux_check(kind)] == ["AgentRun"]


def test_flux_waits_for_the_fleet_before_it_applies_the_runs():
    fleet, runs = (each for each in manifests() if each["kind"] == "Kustomization")
    assert fleet["spec"]["wait"]
    assert runs["spec"]["dependsOn"] == [{"name": fleet["metadata"]["name"]}]
