"""The page that tells the policy of an AgentRun says what the rules say."""

import pytest

from dev.cluster.layout import ROOT
from dev.plan_page import PAGE, condition_and_decision, render
from durafleet.core.runs.plan import SITUATIONS
from durafleet.core.runs.rules.case import Case, Rule


def test_the_page_matches_what_the_rules_render():
    assert (ROOT / PAGE).read_text() == render(), "run: make generate"


@pytest.mark.parametrize("rule", {rule.__name__: rule for each in SITUATIONS for rule in each.rules}.values())
def test_each_rule_states_its_condition_and_its_decision(rule: Rule):
    condition, decision = condition_and_decision(rule)
    assert condition
    assert decision


def test_a_rule_without_a_condition_is_refused():
    def restless(_: Case) -> None:
        """Do something."""

    with pytest.raises(ValueError, match="restless"):
        condition_and_decision(restless)
