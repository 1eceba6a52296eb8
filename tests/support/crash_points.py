"""Crash points: the moments before and after each call of an operator.

There is no list of crash points. They are derived from the calls of a scenario without faults, so a new call of
the operator is covered without a change here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.environment import Environment
from tests.support.faults import Call, Moment, Rule
from tests.support.scenario_runner import without_idle_repeats

_WORKER_RESOURCES = ("agentworkers", "deployments", "pods")


@dataclass(frozen=True)
class OperatorCrash:
    """The operator is killed at a moment of a call; a new operator takes over."""

    call: Call
    moment: Moment

    def __call__(self, environment: Environment) -> Rule:
        return environment.script.at(
            self.call.signature, self.moment, environment.kill, occurrence=self.call.occurrence
        )

    def __str__(self) -> str:
        return f"crash {self.moment} {self.call}"


def crash_points(calls: Iterable[Call]) -> dict[str, OperatorCrash]:
    """Return all crash points of a scenario with these calls."""
    each = [OperatorCrash(call, moment) for call in without_idle_repeats(calls) for moment in Moment]
    return {str(crash): crash for crash in each}


def crash_points_for_runs(calls: Iterable[Call]) -> dict[str, OperatorCrash]:
    """Return the crash points except those at calls for the AgentWorker, which are the same in every scenario."""
    return crash_points(calls_for_runs(calls))


def calls_for_runs(calls: Iterable[Call]) -> list[Call]:
    """Return the calls that are not for the AgentWorker."""
    return [call for call in calls if not any(word in call.signature for word in _WORKER_RESOURCES)]
