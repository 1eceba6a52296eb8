"""Whose turn it is: tenants in turns, what is urgent first, and nobody never."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from durafleet.controllers.queue.fairness import TURNS, Band, Waiting

Key = tuple[str, str]
FIRST, LATER = Band.FIRST, Band.LATER


def waiting(*keys: Key, band: Band = FIRST, share: int = 1000) -> Waiting[Key]:
    line: Waiting[Key] = Waiting(share=share)
    for key in keys:
        line.add(key, band, now=0.0)
    return line


def taken(line: Waiting[Key], most: int | None = None) -> list[Key]:
    """Take keys, each of them done at once, until none is left."""
    found: list[Key] = []
    while (most is None or len(found) < most) and (each := line.take()) is not None:
        found.append(each.key)
        line.done(each.key)
    return found


def burst(namespace: str, count: int) -> list[Key]:
    return [(namespace, str(number)) for number in range(count)]


def test_a_tenants_burst_delays_anothers_single_key_by_one():
    line = waiting(*burst("loud", 5000), ("quiet", "one"))
    assert ("quiet", "one") in taken(line, 2)


def test_keys_of_one_namespace_come_in_the_order_in_which_they_were_added():
    keys = burst("ns", 20)
    assert taken(waiting(*keys)) == keys


def test_three_urgent_keys_are_taken_for_one_that_can_wait():
    line = waiting(*burst("a", 30))
    for key in burst("b", 10):
        line.add(key, LATER, now=0.0)
    assert Counter(key[0] for key in taken(line, 20)) == {"a": 15, "b": 5}


def test_what_can_wait_is_taken_at_once_where_nothing_is_urgent():
    keys = burst("ns", 5)
    assert taken(waiting(*keys, band=LATER)) == keys


def test_a_key_that_becomes_urgent_moves_up_and_is_taken_once():
    line = waiting(*burst("ns", 50), band=LATER)
    line.add(("ns", "49"), FIRST, now=1.0)
    found = taken(line)
    assert found[0] == ("ns", "49")
    assert len(found) == 50


def test_an_urgent_key_stays_so_whatever_is_marked_afterwards():
    line = waiting(("ns", "a"))
    line.add(("ns", "a"), LATER, now=1.0)
    assert (line.depth(FIRST), line.depth(LATER)) == (1, 0)


def test_a_tenant_never_has_more_than_its_share_at_once():
    line = waiting(*burst("hanging", 10), ("other", "one"), share=3)
    active = [each.key for each in iter(line.take, None)]
    assert Counter(key[0] for key in active) == {"hanging": 3, "other": 1}
    line.done(active[0])
    again = line.take()
    assert again is not None
    assert again.key[0] == "hanging"


def test_the_oldest_is_the_one_that_waits_longest_in_any_namespace():
    line = waiting(("a", "1"))
    line.add(("b", "1"), FIRST, now=5.0)
    assert (line.oldest(FIRST), line.oldest(LATER)) == (0.0, None)
    taken(line, 1)
    assert line.oldest(FIRST) == 5.0


KEYS = st.tuples(st.sampled_from("abc"), st.sampled_from("123456"))


@given(st.lists(st.one_of(st.tuples(KEYS, st.sampled_from(Band)), st.none()), max_size=80))
def test_every_key_that_was_added_is_taken_once_for_its_last_mark(steps: list[tuple[Key, Band] | None]):
    line: Waiting[Key] = Waiting(share=2)
    owed: set[Key] = set()
    for step in steps:
        if step is not None:
            line.add(*step, now=0.0)
            owed.add(step[0])
        elif (each := line.take()) is not None:
            owed.remove(each.key)
            line.done(each.key)
        assert len(line) == line.depth(FIRST) + line.depth(LATER) == len(owed)
    left = taken(line)
    assert len(left) == len(set(left))
    assert set(left) == owed


@given(st.lists(st.tuples(KEYS, st.sampled_from(Band)), min_size=1, max_size=80))
def test_none_waits_longer_than_its_place_its_neighbours_and_its_band_account_for(marks: list[tuple[Key, Band]]):
    line: Waiting[Key] = Waiting(share=2)
    for key, band in marks:
        line.add(key, band, now=0.0)
    namespaces = len({key[0] for key, _ in marks})
    ahead = Counter(key[0] for key in {key for key, _ in marks})
    for position, key in enumerate(taken(line), start=1):
        assert position <= ahead[key[0]] * namespaces * (TURNS + 1)
