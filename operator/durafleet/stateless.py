"""Kopf without a memory: it keeps no last state and no progress, here or in the objects.

Only `on.event` is used, which needs neither. Kopf's own storages would nevertheless copy and compare every
object that a watch brings (about a tenth of what an event costs), and could write annotations.
"""

# ruff: noqa: ARG002 - the signatures are Kopf's

from collections.abc import Iterable
from typing import Any

import kopf


class NoLastState(kopf.DiffBaseStorage):
    """Every object looks as unhandled as the last one; nothing asks."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> Any:
        return {}

    def fetch(self, *, body: kopf.Body) -> None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        return None


class NoProgress(kopf.ProgressStorage):
    """No handler has progress: each is called once for an event."""

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
