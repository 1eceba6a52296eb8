"""Whether a live object matches the manifest that was applied."""

from typing import Any

import pytest

from durafleet.core.workers.applying import is_as_applied, with_digest

MANIFEST = {"metadata": {"name": "a"}, "spec": {"image": "r/w:1", "env": [{"name": "A", "value": ""}], "tmp": {}}}


def live(**spec: Any) -> dict[str, Any]:
    """Return the manifest as the API server stores it: with defaults, without empty values."""
    there = {"image": "r/w:1", "env": [{"name": "A"}], "pullPolicy": "Always", **spec}
    return {"metadata": {**with_digest(MANIFEST)["metadata"], "uid": "1"}, "spec": there}


def test_a_live_object_with_defaults_matches_its_applied_manifest():
    assert is_as_applied(live(), MANIFEST)


@pytest.mark.parametrize(
    "spec",
    [
        {"image": "r/w:2"},
        {"env": []},
        {"env": [{"name": "A"}, {"name": "B"}]},
        {"env": [{"name": "A", "value": "x"}]},
        {"image": None},
    ],
    ids=["changed value", "list item removed", "list item added", "empty value set", "value removed"],
)
def test_an_edited_object_does_not_match_its_applied_manifest(spec: dict[str, Any]):
    assert not is_as_applied(live(**spec), MANIFEST)


def test_an_object_does_not_match_another_manifest_even_if_all_its_fields_agree():
    other = {**MANIFEST, "spec": {"image": "r/w:1"}}
    assert not is_as_applied(live(), other)
