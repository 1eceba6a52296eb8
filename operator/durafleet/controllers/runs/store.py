"""The AgentRuns that are known: whole, but packed, while something may be to do for them; a thin record afterwards."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import Gauge

from durafleet.controllers.runs.packed import PackedRuns
from durafleet.controllers.store import Store, Versioned, key_of
from durafleet.core.objects import Key, Run, read_run
from durafleet.core.runs.settled import SettledRun

AGENTRUNS = Gauge("durafleet_agentruns", "AgentRuns by state; New ones have none yet.", ["state"])


class RunStore(Store[Run]):
    """AgentRuns. `get` and iteration know the whole ones only; a newer version makes a settled one whole again."""

    def __init__(self) -> None:
        self._whole = PackedRuns()
        super().__init__(read_run, objects=self._whole)
        self._settled: dict[Key, SettledRun] = {}

    def settled(self, key: Key) -> SettledRun | None:
        """Return what is kept of a run that is settled; None if it is whole, or unknown."""
        return self._settled.get(key)

    def known(self, key: Key) -> Run | SettledRun | None:
        """Return a run in whatever form it is kept."""
        return self._settled.get(key) or self._whole.get(key)

    def version(self, key: Key) -> str | None:
        """Return which version of a run is known; None if it is unknown."""
        known = self._known(key)
        return known.resource_version if known is not None else None

    def of(self, namespace: str) -> Iterator[Run]:
        """Go through the whole ones of a namespace."""
        for key in [key for key in self._whole if key[0] == namespace]:
            if (run := self._whole.get(key)) is not None:
                yield run

    def settle(self, run: SettledRun) -> None:
        """Keep only this of a run. Nobody is told: to others it stays what it was."""
        self._whole.pop(run.key, None)
        self._settled[run.key] = run

    def take_up(self, body: Mapping[str, Any]) -> None:
        """Make a settled run whole again, from a fresh read of it."""
        self._keep(key_of(body), body)

    def drop(self, key: Key) -> None:
        _recount(self.known(key), None)
        self._settled.pop(key, None)
        super().drop(key)

    def _known(self, key: Key) -> Versioned | None:
        return self._settled.get(key) or self._whole.packed(key)

    def _keep(self, key: Key, body: Mapping[str, Any]) -> bool:
        before = self.known(key)
        kept = super()._keep(key, body)
        if kept:
            self._settled.pop(key, None)
            _recount(before, self.known(key))
        return kept


def _recount(before: Run | SettledRun | None, after: Run | SettledRun | None) -> None:
    """Keep the metric true; a run that is settled keeps its state."""
    if before is not None:
        AGENTRUNS.labels(_state_of(before)).dec()
    if after is not None:
        AGENTRUNS.labels(_state_of(after)).inc()


def _state_of(run: Run | SettledRun) -> str:
    state = run.state if isinstance(run, SettledRun) else run.status.state
    return str(state or "New")
