"""The real servers for tests with many operators, and a worker for all their workflows."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio
from temporalio.client import Client

from tests.support.cluster import ControlPlane
from tests.support.kube_api import KubeApi, kube_api
from tests.support.scenario_workflows import scenario_worker


@dataclass(frozen=True)
class Servers:
    """An API server and a Temporal server."""

    kube: KubeApi
    temporal: Client

    @property
    def temporal_address(self) -> str:
        return self.temporal.service_client.config.target_host


@pytest_asyncio.fixture(scope="session")
async def servers(control_plane: ControlPlane, temporal_server: str) -> AsyncIterator[Servers]:
    """The session's servers, with a worker for the workflows of the scenarios."""
    client = await Client.connect(temporal_server)
    async with kube_api(control_plane.cluster.kubeconfig) as kube, scenario_worker(client):
        yield Servers(kube, client)
