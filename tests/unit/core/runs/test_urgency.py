"""When the first status of a started run is due: later if many runs start at once."""

from durafleet.core.runs.urgency import MAX_STATUS_DELAY, STATUS_SPACING, first_status_due


def delays(starts: list[float]) -> list[float]:
    """Return by how many seconds the first status of each start is delayed."""
    last, delayed = 0.0, []
    for now in starts:
        last = first_status_due(last, now=now)
        delayed.append(last - now)
    return delayed


def test_the_first_status_of_a_run_that_starts_alone_is_due_at_once():
    assert delays([100.0, 110.0, 110.0 + STATUS_SPACING]) == [0.0, 0.0, 0.0]


def test_the_first_statuses_of_runs_that_start_together_are_spaced_out():
    assert delays([100.0] * 4) == [0.0, STATUS_SPACING, 2 * STATUS_SPACING, 3 * STATUS_SPACING]


def test_the_delay_of_a_first_status_is_bounded_even_if_thousands_of_runs_start_together():
    delayed = delays([100.0] * 5000)
    assert max(delayed) == MAX_STATUS_DELAY
    assert delayed == sorted(delayed)


def test_after_a_burst_the_first_status_of_a_single_run_is_due_at_once_again():
    burst = [100.0] * 5000
    assert delays([*burst, 100.0 + MAX_STATUS_DELAY + STATUS_SPACING])[-1] == 0.0
