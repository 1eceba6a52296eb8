"""Crash points are derived from the calls of a scenario; nobody lists them by hand."""

import pytest

from tests.support.crash_points import crash_points
from tests.support.faults import Call, Server
from tests.support.kube_proxy import signature_of

NAMESPACED = "/apis/durafleet.dev/v1alpha1/namespaces/t-1/agentruns"


def calls(*signatures: str) -> list[Call]:
    """Record calls as the proxies do; every call to the API server except LIST is mutating."""
    return [
        Call(Server.KUBERNETES, each, occurrence=signatures[:number].count(each), mutating=not each.startswith("LIST"))
        for number, each in enumerate(signatures, 1)
    ]


def test_each_call_has_a_crash_point_before_and_after_it():
    assert list(crash_points(calls("PATCH agentruns", "POST events"))) == [
        "crash before PATCH agentruns #1",
        "crash after PATCH agentruns #1",
        "crash before POST events #1",
        "crash after POST events #1",
    ]


def test_every_repetition_of_a_mutating_call_has_crash_points():
    assert len(crash_points(calls(*["PATCH agentruns"] * 5))) == 10


def test_only_the_first_two_of_repeated_reads_without_a_change_have_crash_points():
    found = list(crash_points(calls(*["LIST pods"] * 5, "PATCH agentruns", *["LIST pods"] * 3)))
    assert [each for each in found if "before LIST" in each] == [
        f"crash before LIST pods #{number}" for number in (1, 2, 6, 7)
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
def test_a_request_is_identified_by_verb_and_resource_and_not_by_names(
    method: str, path: str, query: dict[str, str], signature: str
):
    assert signature_of(method, path, query) == signature
