"""Sharding: each namespace belongs to exactly one operator, and the assignment never changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durafleet.core.leading.sharding import Shard


@given(st.text(min_size=1, max_size=63), st.integers(1, 20))
def test_each_namespace_belongs_to_exactly_one_shard(namespace: str, count: int):
    assert [Shard(index, count).holds(namespace) for index in range(count)].count(True) == 1


def test_the_shard_of_a_namespace_is_the_same_in_every_release():
    names = ("default", "agents", "sales", "support", "team-a", "team-b")
    assert [next(i for i in range(3) if Shard(i, 3).holds(name)) for name in names] == [1, 1, 1, 2, 0, 2]


def test_many_namespaces_are_spread_evenly_over_the_shards():
    held = [sum(Shard(index, 4).holds(f"team-{n}") for n in range(1000)) for index in range(4)]
    assert min(held) > 200


def test_without_a_shard_setting_an_operator_holds_every_namespace():
    assert Shard.parse("") == Shard()
    assert Shard().holds("agents")


def test_a_shard_is_parsed_and_printed_as_index_and_count():
    assert Shard.parse("2/3") == Shard(2, 3)
    assert str(Shard(2, 3)) == "2/3"


@pytest.mark.parametrize("text", ["3/3", "1", "a/b", "-1/3", "0/0", "1/", "/1", "1/2/3", "²/3"])
def test_an_invalid_shard_is_refused_with_an_error_that_names_the_problem(text: str):
    with pytest.raises(ValueError, match=r"0/3|no shard"):
        Shard.parse(text)
