"""Whether an object is as it was applied."""

from typing import Any

import pytest

from durafleet.core.workers.applying import is_as_applied, stamped

MANIFEST = {"metadata": {"name": "a"}, "spec": {"image": "r/w:1", "env": [{"name": "A", "value": ""}], "tmp": {}}}


def live(**spec: Any) -> dict[str, Any]:
    """What the API server makes of the manifest: defaults come in, what is empty goes."""
    there = {"image": "r/w:1", "env": [{"name": "A"}], "pullPolicy": "Always", **spec}
    return {"metadata": {**stamped(MANIFEST)["metadata"], "uid": "1"}, "spec": there}


def test_an_object_with_defaults_is_as_it_was_applied():
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
    ids=["another value", "less", "more", "a value for none", "none"],
)
def test_an_edited_object_is_not(spec: dict[str, Any]):
    assert not is_as_applied(live(**spec), MANIFEST)


def test_an_object_that_another_manifest_was_applied_to_is_not_whatever_stands_in_it():
    other = {**MANIFEST, "spec": {"image": "r/w:1"}}
    assert not is_as_applied(live(), other)
