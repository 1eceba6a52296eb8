"""The model server of a cluster: a process beside it, reachable from pods as model.models:8080."""

import os
import sys
import urllib.request

from dev.cluster.daemons import running, spawn, stop, wait_until
from dev.cluster.layout import ROOT, State

NAME = "model"
PORT = 8080
UPSTREAM = "DURAFLEET_DEMO_BASE_URL"
"""Variable with the base URL of an API of the user's own, which then answers instead of the small model."""


class Model:
    """One OpenAI-compatible server over a real small language model."""

    def __init__(self, state: State, *, host: str) -> None:
        self._state = state
        self.host = host

    @property
    def url(self) -> str:
        """Base URL as seen from this machine."""
        return f"http://{self.host}:{PORT}/v1"

    def start(self) -> None:
        """Start the server unless it runs; return when it answers. Another upstream means another server."""
        upstream = os.environ.get(UPSTREAM, "")
        if self._state.facts.get("upstream", "") != upstream:
            self.stop()
        if running(self._state, NAME) is None:
            self._state.save(upstream=upstream)
            command = [sys.executable, "-m", "dev.cluster.model_server", "--host", self.host, "--port", str(PORT)]
            command += ["--upstream", upstream] if upstream else []
            spawn(self._state, NAME, command, env={"PYTHONPATH": str(ROOT)})
        wait_until(
            "the model server",
            self._answers,
            seconds=60,
            log=self._state.log(NAME),
            alive=lambda: running(self._state, NAME) is not None,
        )

    def stop(self) -> None:
        stop(self._state, NAME)

    def _answers(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.host}:{PORT}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
