"""docs/gitops.md is complete; tests/integration/gitops checks that it is correct."""

import pytest
import yaml

from dev.cluster.layout import ROOT
from tests.support.gitops import action_script, flux_check, health_script, manifests

KINDS = sorted(yaml.safe_load(path.read_text())["spec"]["names"]["kind"] for path in (ROOT / "crds").glob("*.yaml"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_an_argo_cd_health_check_for_every_kind(kind: str):
    assert "observedGeneration" in health_script(kind)


@pytest.mark.parametrize("action", ["cancel", "retry", "suspend", "resume"])
def test_the_page_has_an_argo_cd_action_for_each_control_of_a_run(action: str):
    assert action_script(action).endswith("return obj\n")


def test_the_page_has_a_flux_health_check_for_runs_only():
    assert [kind for kind in KINDS if flux_check(kind)] == ["AgentRun"]


def test_the_page_makes_flux_wait_for_the_fleet_before_it_applies_the_runs():
    fleet, runs = (each for each in manifests() if each["kind"] == "Kustomization")
    assert fleet["spec"]["wait"]
    assert runs["spec"]["dependsOn"] == [{"name": fleet["metadata"]["name"]}]
