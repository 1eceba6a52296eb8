"""Callbacks: the settings, which ones the receiver accepts, and starts on a server that refuses callbacks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY

from durafleet.callbacks import BODY_LIMIT, CallbackReceiver
from durafleet.config import load_settings
from durafleet.controllers.runs.hints import take_hint
from durafleet.controllers.runs.store import RunStore
from durafleet.core.runs.callbacks import PATH, SIGNATURE_HEADER, WORKFLOW_HEADER, CallbackAddress
from durafleet.errors import AlreadyExists, ConfigurationError, Refused
from durafleet.temporal.callbacks import completion_callbacks, may_be_about_callbacks
from durafleet.temporal.connections import Link, Pool
from tests.support.builders import TARGET

ADDRESS = CallbackAddress("http://127.0.0.1:8080/callbacks/completed", "correct horse battery staple")
WORKFLOW = "agent-run/sales/report/uid-1"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"URL": ADDRESS.url}, "DURAFLEET_CALLBACK_SECRET: Value error, must be set with DURAFLEET_CALLBACK_URL"),
        ({"URL": ADDRESS.url, "SECRET": ""}, "DURAFLEET_CALLBACK_SECRET"),
        ({"URL": ADDRESS.url, "SECRET": "only 15 letters"}, "DURAFLEET_CALLBACK_SECRET"),
        ({"URL": "operator:8080", "SECRET": ADDRESS.secret}, "DURAFLEET_CALLBACK_URL"),
        ({"URL": "http://user:word@operator:8080/", "SECRET": ADDRESS.secret}, "DURAFLEET_CALLBACK_URL"),
    ],
)
def test_an_invalid_callback_setting_is_named_without_showing_the_secret(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], named: str
):
    for name, value in variables.items():
        monkeypatch.setenv(f"DURAFLEET_CALLBACK_{name}", value)
    with pytest.raises(ConfigurationError, match=named) as raised:
        load_settings()
    assert "only 15 letters" not in f"{raised.value} {raised.value.__cause__}"


def test_callbacks_are_disabled_unless_configured(monkeypatch: pytest.MonkeyPatch):
    assert load_settings().callbacks is None
    monkeypatch.setenv("DURAFLEET_CALLBACK_URL", ADDRESS.url)
    monkeypatch.setenv("DURAFLEET_CALLBACK_SECRET", ADDRESS.secret)
    assert load_settings().callbacks == ADDRESS


@dataclass
class Receiving:
    """A receiver, and the workflows for which it requested a reconcile."""

    knows: bool = True
    known: bool = True
    requested: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        return CallbackReceiver(ADDRESS, knows=lambda: self.knows, look=self._look).app()

    async def post(self, headers: Mapping[str, str], body: bytes = b'"done"') -> tuple[int, str, float]:
        """Return the HTTP status, the outcome, and by how much the count of that outcome has grown."""
        before = counted()
        async with (
            TestClient(TestServer(self.app())) as client,
            client.post(PATH, headers=headers, data=BytesIO(body)) as answer,
        ):
            outcome = (await answer.text()).strip()
            return answer.status, outcome, counted()[outcome] - before.get(outcome, 0)

    def _look(self, workflow: str) -> bool:
        self.requested.append(workflow)
        return self.known


def counted() -> dict[str, float]:
    metric = next(each for each in REGISTRY.collect() if each.name == "durafleet_callbacks")
    return {each.labels["outcome"]: each.value for each in metric.samples if each.name.endswith("_total")}


async def test_a_signed_callback_requests_a_reconcile_of_its_run():
    receiving = Receiving()
    assert await receiving.post(ADDRESS.headers(WORKFLOW)) == (200, "looked", 1)
    assert receiving.requested == [WORKFLOW]


async def test_a_callback_for_an_unknown_run_is_accepted_so_that_temporal_does_not_retry_it():
    assert await Receiving(known=False).post(ADDRESS.headers(WORKFLOW)) == (200, "unknown", 1)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {WORKFLOW_HEADER: WORKFLOW},
        {WORKFLOW_HEADER: WORKFLOW, SIGNATURE_HEADER: "0" * 64},
        {**ADDRESS.headers("agent-run/sales/another/uid-2"), WORKFLOW_HEADER: WORKFLOW},
    ],
    ids=["no headers", "no signature", "a wrong signature", "the signature of another run"],
)
async def test_a_callback_without_a_valid_signature_is_refused(headers: Mapping[str, str]):
    receiving = Receiving()
    assert await receiving.post(headers) == (403, "forged", 1)
    assert receiving.requested == []


async def test_a_callback_before_the_runs_are_known_is_refused_so_that_temporal_retries_it():
    receiving = Receiving(knows=False)
    assert await receiving.post(ADDRESS.headers(WORKFLOW)) == (503, "early", 1)
    assert receiving.requested == []


async def test_a_callback_with_a_body_over_the_limit_is_refused():
    receiving = Receiving()
    assert await receiving.post(ADDRESS.headers(WORKFLOW), b"x" * (BODY_LIMIT + 1)) == (413, "oversized", 1)
    assert receiving.requested == []


@dataclass
class Refreshing:
    """Records the keys to refresh."""

    refreshed: list[tuple[str, str]] = field(default_factory=list)

    def refresh(self, key: tuple[str, str]) -> None:
        self.refreshed.append(key)


@pytest.mark.parametrize(
    ("workflow", "refreshed"),
    [
        ("agent-run/sales/report/uid-1", [("sales", "report")]),
        ("agent-run/sales/report/uid-of-an-earlier-one", []),
        ("agent-run/sales/another/uid-1", []),
        ("somebody-elses", []),
    ],
)
def test_a_hint_refreshes_only_the_run_with_exactly_this_workflow_id(workflow: str, refreshed: list[tuple[str, str]]):
    runs, controller = RunStore(), Refreshing()
    metadata = {"namespace": "sales", "name": "report", "uid": "uid-1", "resourceVersion": "1", "generation": 1}
    created = {"creationTimestamp": "2026-11-23T12:00:00Z"}
    runs.put({"metadata": metadata | created, "spec": {"workerRef": {"name": "support"}, "workflowType": "Mine"}})
    assert take_hint(workflow, runs, controller) == bool(refreshed)
    assert controller.refreshed == refreshed


def a_link() -> Link:
    return Link(TARGET, cast("Any", None), callbacks=ADDRESS)


def test_a_start_attaches_one_callback_until_the_server_has_refused_one(caplog: pytest.LogCaptureFixture):
    link = a_link()
    (callback,) = completion_callbacks(link, WORKFLOW)
    assert (callback.nexus.url, dict(callback.nexus.header)) == (ADDRESS.url, ADDRESS.headers(WORKFLOW))
    for _ in range(2):
        link.do_without_callbacks(Refused("not allowed"))
    assert completion_callbacks(link, WORKFLOW) == []
    assert [ADDRESS.server_setting in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Refused("invalid url: url does not match any configured callback address: http://operator:8080"), True),
        (Refused("cannot attach more than 2000 callbacks to a workflow"), True),
        (Refused("BadSearchAttributes"), False),
        (AlreadyExists("workflow agent-run/sales/callbacks/uid-1 exists"), False),
    ],
)
def test_a_refused_start_that_mentions_callbacks_is_recognised(error: Refused, expected: bool):
    assert may_be_about_callbacks(error) is expected


async def test_a_pool_reports_a_temporal_namespace_without_callbacks_only_once():
    pool = Pool(identity="test", callbacks=ADDRESS)
    targets = [replace(TARGET, tenant=tenant, connection="own") for tenant in ("sales", "support")]
    for link in [await pool.link(target) for target in targets]:
        link.do_without_callbacks(Refused("not allowed"))
    (refusal,) = pool.callback_refusals()
    assert "namespace 'default'" in refusal
