"""Kopf without state: it stores no last state and no progress, neither in memory nor in the objects.

The operator uses only `on.event`, which needs neither. Kopf's own storages would still copy and compare every
object of a watch (about a tenth of the cost of an event), and could write annotations.
"""

# ruff: noqa: ARG002 - the signatures are Kopf's

from collections.abc import Iterable
from typing import Any

import kopf


class NoLastState(kopf.DiffBaseStorage):
    """Stores no last state, because nothing reads it."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> Any:
        return {}

    def fetch(self, *, body: kopf.Body) -> None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        return None


class NoProgress(kopf.ProgressStorage):
    """Stores no progress, because each handler is called once per event."""

    def fetch(self, *, key: Any, body: kopf.Body) -> None:
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return None

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return None

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence
