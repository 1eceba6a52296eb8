"""The interval of the sweeps of a Temporal namespace, and when throttling is reported."""

from durafleet.api.status import Reason
from durafleet.core.pacing import SLOWEST, SWEEP_EVERY, USUAL, Pace, slowed

PLACE = ("temporal:7233", "default")


def test_throttling_slows_sweeps_down_to_a_limit_and_successes_restore_the_interval_gradually():
    pace = USUAL
    slower = [pace := pace.slower() for _ in range(6)]
    assert [each.interval for each in slower] == [2, 4, 8, 16, SLOWEST, SLOWEST]
    faster = []
    while pace != USUAL:
        pace = pace.faster()
        faster.append(pace.interval)
    assert faster == sorted(faster, reverse=True)
    assert faster[-1] == SWEEP_EVERY
    assert len(faster) > 10, "not at once, or the server refuses again"


def test_throttling_is_reported_from_the_second_refusal_until_the_usual_interval_returns():
    once = USUAL.slower()
    assert slowed(PLACE, once) is None
    twice = once.slower()
    verdict = slowed(PLACE, twice)
    assert verdict is not None
    assert verdict.reason == Reason.THROTTLED
    assert "every 4 s" in verdict.message
    assert "frontend.namespaceRPS.visibility" in verdict.message
    assert slowed(PLACE, twice.faster()) is not None
    assert slowed(PLACE, Pace(SWEEP_EVERY * 1.1, told=True).faster()) is None
