"""The moments at which an operator can die: before and after each of its calls.

Nobody lists them. A call that the operator learns to make is seen when its life is lived undisturbed, and is
covered from then on.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.environment import Stage
from tests.support.faults import Call, Moment, Rule
from tests.support.scenario_runner import without_idle_repeats

_FLEET = ("agentworkers", "deployments", "pods")


@dataclass(frozen=True)
class Death:
    """The operator is killed at a moment of a call; another one takes over."""

    call: Call
    moment: Moment

    def __call__(self, stage: Stage) -> Rule:
        return stage.script.at(self.call.signature, self.moment, stage.kill, occurrence=self.call.occurrence)

    def __str__(self) -> str:
        return f"a death {self.moment} {self.call}"


def deaths(calls: Iterable[Call]) -> dict[str, Death]:
    """Return all deaths that a life with these calls can meet."""
    each = [Death(call, moment) for call in without_idle_repeats(calls) for moment in Moment]
    return {str(death): death for death in each}


def deaths_around_runs(calls: Iterable[Call]) -> dict[str, Death]:
    """Return the deaths at calls that are not for the AgentWorker: those are the same in every life."""
    return deaths(around_runs(calls))


def around_runs(calls: Iterable[Call]) -> list[Call]:
    """Return the calls that are not for the AgentWorker."""
    return [call for call in calls if not any(word in call.signature for word in _FLEET)]
