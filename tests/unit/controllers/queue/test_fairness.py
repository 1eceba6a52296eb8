"""Scheduling: tenants take turns, urgent keys come first, and no key starves."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from durafleet.controllers.queue.fairness import TURNS, Band, Waiting

Key = tuple[str, str]
URGENT, NORMAL = Band.FIRST, Band.LATER


def a_queue(*keys: Key, band: Band = URGENT, share: int = 1000) -> Waiting[Key]:
    queue: Waiting[Key] = Waiting(share=share)
    for key in keys:
        queue.add(key, band, now=0.0)
    return queue


def take_all(queue: Waiting[Key], most: int | None = None) -> list[Key]:
    """Take keys and finish each at once, until none or `most` are taken."""
    found: list[Key] = []
    while (most is None or len(found) < most) and (each := queue.take()) is not None:
        found.append(each.key)
        queue.done(each.key)
    return found


def burst(namespace: str, count: int) -> list[Key]:
    return [(namespace, str(number)) for number in range(count)]


def test_a_burst_of_one_tenant_delays_a_key_of_another_tenant_by_one_position():
    queue = a_queue(*burst("loud", 5000), ("quiet", "one"))
    assert ("quiet", "one") in take_all(queue, 2)


def test_keys_of_one_namespace_are_taken_in_the_order_in_which_they_were_added():
    keys = burst("ns", 20)
    assert take_all(a_queue(*keys)) == keys


def test_three_urgent_keys_are_taken_for_each_normal_key():
    queue = a_queue(*burst("a", 30))
    for key in burst("b", 10):
        queue.add(key, NORMAL, now=0.0)
    assert Counter(key[0] for key in take_all(queue, 20)) == {"a": 15, "b": 5}


def test_normal_keys_are_taken_at_once_if_no_key_is_urgent():
    keys = burst("ns", 5)
    assert take_all(a_queue(*keys, band=NORMAL)) == keys


def test_a_key_that_becomes_urgent_moves_up_and_is_taken_once():
    queue = a_queue(*burst("ns", 50), band=NORMAL)
    queue.add(("ns", "49"), URGENT, now=1.0)
    found = take_all(queue)
    assert found[0] == ("ns", "49")
    assert len(found) == 50


def test_an_urgent_key_stays_urgent_if_it_is_added_again_as_normal():
    queue = a_queue(("ns", "a"))
    queue.add(("ns", "a"), NORMAL, now=1.0)
    assert (queue.depth(URGENT), queue.depth(NORMAL)) == (1, 0)


def test_a_tenant_never_has_more_active_keys_than_its_share():
    queue = a_queue(*burst("hanging", 10), ("other", "one"), share=3)
    active = [each.key for each in iter(queue.take, None)]
    assert Counter(key[0] for key in active) == {"hanging": 3, "other": 1}
    queue.done(active[0])
    again = queue.take()
    assert again is not None
    assert again.key[0] == "hanging"


def test_the_oldest_key_is_the_one_that_has_waited_longest_in_any_namespace():
    queue = a_queue(("a", "1"))
    queue.add(("b", "1"), URGENT, now=5.0)
    assert (queue.oldest(URGENT), queue.oldest(NORMAL)) == (0.0, None)
    take_all(queue, 1)
    assert queue.oldest(URGENT) == 5.0


KEYS = st.tuples(st.sampled_from("abc"), st.sampled_from("123456"))


@given(st.lists(st.one_of(st.tuples(KEYS, st.sampled_from(Band)), st.none()), max_size=80))
def test_every_added_key_is_taken_exactly_once_until_it_is_added_again(steps: list[tuple[Key, Band] | None]):
    queue: Waiting[Key] = Waiting(share=2)
    waiting: set[Key] = set()
    for step in steps:
        if step is not None:
            queue.add(*step, now=0.0)
            waiting.add(step[0])
        elif (each := queue.take()) is not None:
            waiting.remove(each.key)
            queue.done(each.key)
        assert len(queue) == queue.depth(URGENT) + queue.depth(NORMAL) == len(waiting)
    left = take_all(queue)
    assert len(left) == len(set(left))
    assert set(left) == waiting


@given(st.lists(st.tuples(KEYS, st.sampled_from(Band)), min_size=1, max_size=80))
def test_the_wait_of_a_key_is_bounded_by_its_position_the_number_of_tenants_and_the_turns(
    additions: list[tuple[Key, Band]],
):
    queue: Waiting[Key] = Waiting(share=2)
    for key, band in additions:
        queue.add(key, band, now=0.0)
    namespaces = len({key[0] for key, _ in additions})
    ahead = Counter(key[0] for key in {key for key, _ in additions})
    for position, key in enumerate(take_all(queue), start=1):
        assert position <= ahead[key[0]] * namespaces * (TURNS + 1)
