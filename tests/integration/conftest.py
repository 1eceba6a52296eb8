"""Fixtures of the tests against real servers."""

from tests.support.cluster import control_plane, namespace
from tests.support.temporal import temporal_server

__all__ = ["control_plane", "namespace", "temporal_server"]
