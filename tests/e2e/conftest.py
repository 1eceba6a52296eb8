"""Fixtures of the end-to-end tests: a real cluster with pods, and the charts installed by Helm with local images."""

import os
from collections.abc import Iterator

import pytest

from dev.cluster import Cluster
from dev.cluster.cluster import all_clusters
from dev.cluster.layout import ROOT
from dev.install import install
from tests.support.site import Site

_PREFIX = "e2e-"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster for this session, with Durafleet installed."""
    for name in all_clusters():
        pid = name.removeprefix(_PREFIX)
        if name.startswith(_PREFIX) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            Cluster(name).down()
    whole = Cluster(f"{_PREFIX}{os.getpid()}")
    try:
        whole.up()
        install(whole)
        yield whole
    finally:
        whole.down()
        assert whole.leftovers() == []


@pytest.fixture
def site(cluster: Cluster) -> Iterator[Site]:
    """A new namespace."""
    created = Site.create(cluster)
    yield created
    created.remove()


@pytest.fixture(scope="session")
def tools_image(cluster: Cluster) -> str:
    """The image of examples/custom-tools."""
    return cluster.image_on_worker(ROOT / "examples/custom-tools", name="ledger-worker")
