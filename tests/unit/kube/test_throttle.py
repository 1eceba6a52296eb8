"""What the client does when the API server asks for time."""

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
    """Stands for the official client: gives prepared answers and notes when it was asked, and for what."""

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


async def test_when_one_request_is_told_to_wait_all_wait():
    server = Server(Answer(429, Retry_After="1"), Answer(200), Answer(200))
    client = client_of(server)
    with pytest.raises(Unavailable) as refused:
        await client.request("GET", "/one")
    assert refused.value.retry_after == 1
    await asyncio.gather(client.request("GET", "/two"), client.request("GET", "/three"))
    first, *others = (moment for moment, _ in server.asked)
    assert all(moment - first >= 1 for moment in others)


async def test_a_server_error_holds_nobody_else_up():
    server = Server(Answer(503, Retry_After="30"), Answer(200))
    client = client_of(server)
    with pytest.raises(Unavailable):
        await client.request("GET", "/one")
    await asyncio.wait_for(client.request("GET", "/two"), 5)


async def test_the_common_pause_is_short_however_long_one_request_has_to_wait(monkeypatch: pytest.MonkeyPatch):
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
