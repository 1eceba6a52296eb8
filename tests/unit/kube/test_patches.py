"""The patch of a status: it removes fields that are gone, also in nested objects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durafleet.kube.resources import merge_patch

VALUES = st.recursive(
    st.booleans() | st.integers() | st.text() | st.lists(st.integers()),
    lambda inner: st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=2), VALUES)


def patched(document: object, patch: object) -> object:
    """Apply a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"result": {"preview": "x", "size": 1}}, {"result": {"size": 1}}, {"result": {"preview": None}}),
        ({"failure": {"type": "T"}}, {}, {"failure": None}),
        ({"conditions": [1, 2]}, {"conditions": [1]}, {"conditions": [1]}),
    ],
)
def test_a_patch_contains_only_the_differences(
    before: dict[str, object], after: dict[str, object], patch: dict[str, object]
):
    assert merge_patch(before, after) == patch


@given(before=OBJECTS, after=OBJECTS)
def test_a_patch_turns_the_old_object_into_the_new_one(before: dict[str, object], after: dict[str, object]):
    assert patched(before, merge_patch(before, after)) == after
