"""The crash points of a life are found in its calls, and nothing about them is written down elsewhere."""

import pytest

from tests.support.crash_points import deaths
from tests.support.faults import Call, Server
from tests.support.kube_proxy import signature_of

NAMESPACED = "/apis/durafleet.dev/v1alpha1/namespaces/t-1/agentruns"


def calls(*signatures: str) -> list[Call]:
    """Write down calls as the proxies do; those of the API server that are no reads have effects."""
    return [
        Call(Server.KUBERNETES, each, occurrence=signatures[:number].count(each), effect=not each.startswith("LIST"))
        for number, each in enumerate(signatures, 1)
    ]


def test_each_call_has_two_crash_points():
    assert list(deaths(calls("PATCH agentruns", "POST events"))) == [
        "a death before PATCH agentruns #1",
        "a death after PATCH agentruns #1",
        "a death before POST events #1",
        "a death after POST events #1",
    ]


def test_every_call_with_an_effect_counts_however_often_it_comes():
    assert len(deaths(calls(*["PATCH agentruns"] * 5))) == 10


def test_reads_that_go_on_while_nothing_changes_count_twice():
    found = list(deaths(calls(*["LIST pods"] * 5, "PATCH agentruns", *["LIST pods"] * 3)))
    assert [each for each in found if "before LIST" in each] == [
        f"a death before LIST pods #{number}" for number in (1, 2, 6, 7)
    ]


@pytest.mark.parametrize(
    ("method", "path", "query", "signature"),
    [
        ("GET", NAMESPACED, {}, "LIST agentruns"),
        ("GET", NAMESPACED, {"watch": "true"}, "WATCH agentruns"),
        ("GET", f"{NAMESPACED}/hello", {}, "GET agentruns"),
        ("PATCH", f"{NAMESPACED}/hello/status", {"fieldManager": "durafleet"}, "PATCH agentruns/status"),
        ("POST", "/api/v1/namespaces/t-1/events", {}, "POST events"),
        ("GET", "/api/v1/namespaces/t-1", {}, "GET namespaces"),
        ("GET", "/apis/durafleet.dev/v1alpha1/agentruns", {"watch": "true"}, "WATCH agentruns"),
        ("GET", "/apis/durafleet.dev/v1alpha1", {}, "GET /apis/durafleet.dev/v1alpha1"),
    ],
)
def test_a_request_is_known_by_verb_and_resource_not_by_names(
    method: str, path: str, query: dict[str, str], signature: str
):
    assert signature_of(method, path, query) == signature
