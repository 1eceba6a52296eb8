"""What can wait: the first status of a run that was just started, while many are."""

from durafleet.core.runs.urgency import LONGEST_SILENCE, STATUS_SPACING, first_status_due


def dues(starts: list[float]) -> list[float]:
    """Return by how much the first status of each of these starts is late."""
    last, late = 0.0, []
    for now in starts:
        last = first_status_due(last, now=now)
        late.append(last - now)
    return late


def test_a_run_that_starts_alone_says_so_at_once():
    assert dues([100.0, 110.0, 110.0 + STATUS_SPACING]) == [0.0, 0.0, 0.0]


def test_of_runs_that_start_together_each_says_so_later_than_the_one_before():
    assert dues([100.0] * 4) == [0.0, STATUS_SPACING, 2 * STATUS_SPACING, 3 * STATUS_SPACING]


def test_no_run_is_silent_for_long_however_many_have_started():
    late = dues([100.0] * 5000)
    assert max(late) == LONGEST_SILENCE
    assert late == sorted(late)


def test_after_a_burst_a_lone_run_says_so_at_once_again():
    burst = [100.0] * 5000
    assert dues([*burst, 100.0 + LONGEST_SILENCE + STATUS_SPACING])[-1] == 0.0
