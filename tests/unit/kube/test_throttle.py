"""How the client reacts when the API server throttles it, and how it reads lists."""

import asyncio
from collections import deque
from typing import Any, cast

import pytest
from kubernetes.aio.client.api_client import ApiClient

from durafleet.errors import Unavailable
from durafleet.kube.client import KubeClient
from durafleet.kube.listing import PAGE, list_all
from durafleet.kube.resources import PODS
from durafleet.kube.throttle import LONGEST_PAUSE, Throttle


class Answer:
    def __init__(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def read(self) -> bytes:
        return self.body


class Server:
    """Replaces the official client: returns prepared answers and records the time and URL of each request."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = deque(answers)
        self.asked: list[tuple[float, str]] = []
        self.rest_client = self.configuration = self
        self.host = "https://api"

    async def update_params_for_auth(self, *_: Any) -> None:
        return

    async def request(self, _method: str, url: str, **_: Any) -> Answer:
        self.asked.append((asyncio.get_running_loop().time(), url))
        return self.answers.popleft()


def client_of(server: Server) -> KubeClient:
    return KubeClient(cast("ApiClient", server), "test")


async def test_a_429_response_to_one_request_delays_all_requests():
    server = Server(Answer(429, Retry_After="1"), Answer(200), Answer(200))
    client = client_of(server)
    with pytest.raises(Unavailable) as refused:
        await client.request("GET", "/one")
    assert refused.value.retry_after == 1
    await asyncio.gather(client.request("GET", "/two"), client.request("GET", "/three"))
    first, *others = (moment for moment, _ in server.asked)
    assert all(moment - first >= 1 for moment in others)


async def test_a_503_response_to_one_request_does_not_delay_others():
    server = Server(Answer(503, Retry_After="30"), Answer(200))
    client = client_of(server)
    with pytest.raises(Unavailable):
        await client.request("GET", "/one")
    await asyncio.wait_for(client.request("GET", "/two"), 5)


async def test_the_shared_pause_is_capped_even_if_retry_after_is_long(monkeypatch: pytest.MonkeyPatch):
    slept: list[float] = []
    throttle = Throttle()
    throttle.note(3600)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        throttle._until = 0.0

    monkeypatch.setattr("durafleet.kube.throttle.asyncio.sleep", sleep)
    await throttle.passed()
    assert slept[0] <= LONGEST_PAUSE * 1.25


async def test_a_list_is_read_page_by_page():
    first = b'{"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "more"}}'
    last = b'{"items": [{"metadata": {"name": "b"}}], "metadata": {}}'
    server = Server(Answer(200, first), Answer(200, last))
    found = [each async for each in list_all(client_of(server), PODS, "ns", labelSelector="app=x")]
    assert [each["metadata"]["name"] for each in found] == ["a", "b"]
    urls = [url for _, url in server.asked]
    assert all(f"limit={PAGE}" in url and "labelSelector=app%3Dx" in url for url in urls)
    assert ["continue=more" in url for url in urls] == [False, True]
