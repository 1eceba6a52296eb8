"""The known AgentRuns: complete (but packed) until they are settled, and then only a small record of each.

A run is settled if it has ended and nothing is left to do for it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import Gauge

from durafleet.controllers.runs.packed import PackedRuns
from durafleet.controllers.store import Store, Versioned, key_of
from durafleet.core.objects import Key, Run, read_run
from durafleet.core.runs.settled import SettledRun

AGENTRUNS = Gauge("durafleet_agentruns", "AgentRuns by state; New is an AgentRun without a state.", ["state"])


class RunStore(Store[Run]):
    """AgentRuns. `get` and iteration return only complete ones. A newer version replaces a settled record."""

    def __init__(self) -> None:
        self._full = PackedRuns()
        super().__init__(read_run, objects=self._full)
        self._settled: dict[Key, SettledRun] = {}

    def settled(self, key: Key) -> SettledRun | None:
        """Return the record of a settled run; None if the run is stored completely, or unknown."""
        return self._settled.get(key)

    def known(self, key: Key) -> Run | SettledRun | None:
        """Return a run, complete or as a settled record; None if it is unknown."""
        return self._settled.get(key) or self._full.get(key)

    def version(self, key: Key) -> str | None:
        """Return the resource version of a known run; None if it is unknown."""
        known = self._known(key)
        return known.resource_version if known is not None else None

    def of(self, namespace: str) -> Iterator[Run]:
        """Iterate over the complete runs of a namespace."""
        for key in [key for key in self._full if key[0] == namespace]:
            if (run := self._full.get(key)) is not None:
                yield run

    def settle(self, run: SettledRun) -> None:
        """Replace a run by its settled record. This does not call `changed`, because the AgentRun did not change."""
        self._full.pop(run.key, None)
        self._settled[run.key] = run

    def restore(self, body: Mapping[str, Any]) -> None:
        """Replace a settled record by the complete run that was read again."""
        self._keep(key_of(body), body)

    def drop(self, key: Key) -> None:
        _recount(self.known(key), None)
        self._settled.pop(key, None)
        super().drop(key)

    def _known(self, key: Key) -> Versioned | None:
        return self._settled.get(key) or self._full.packed(key)

    def _keep(self, key: Key, body: Mapping[str, Any]) -> bool:
        before = self.known(key)
        kept = super()._keep(key, body)
        if kept:
            self._settled.pop(key, None)
            _recount(before, self.known(key))
        return kept


def _recount(before: Run | SettledRun | None, after: Run | SettledRun | None) -> None:
    """Update the metric. A settled run keeps its state."""
    if before is not None:
        AGENTRUNS.labels(_state_of(before)).dec()
    if after is not None:
        AGENTRUNS.labels(_state_of(after)).inc()


def _state_of(run: Run | SettledRun) -> str:
    state = run.state if isinstance(run, SettledRun) else run.status.state
    return str(state or "New")
