"""Whose key comes next: the order in which a queue's keys are taken, and nothing but the order.

Two bands, and within each the namespaces take turns, so that one tenant's burst delays nobody else: a key waits
for one key of each other tenant, not for all that came before it.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

K = TypeVar("K", bound=tuple[str, str])

TURNS = 3
"""How many keys of the band FIRST are taken for one of LATER, where both wait: neither starves."""


class Band(IntEnum):
    """How urgent a key is; the lesser one is the more urgent."""

    FIRST = 0
    """Somebody waits for it: a workflow to be started, a deletion, a control."""
    LATER = 1
    """The status of what is under way, and another look at what is old."""

    @property
    def label(self) -> str:
        """Return what metrics call it."""
        return self.name.lower()


@dataclass(frozen=True)
class Taken(Generic[K]):
    """A key whose turn has come, and since when it waited."""

    key: K
    band: Band
    since: float


def share_of(concurrency: int) -> int:
    """Return how much of what can be done at once one namespace may have: nearly all, never all."""
    return max(concurrency - max(concurrency // 8, 1), 1)


class Waiting(Generic[K]):
    """Keys that wait, each at most once.

    Args:
        share: most keys of one namespace that are worked on at the same time: where each of them hangs, because
            a tenant's Temporal does not answer, the others still get on.
    """

    def __init__(self, *, share: int) -> None:
        self._share = share
        self._bands: dict[Band, OrderedDict[str, OrderedDict[K, float]]] = {band: OrderedDict() for band in Band}
        self._where: dict[K, Band] = {}
        self._depth: Counter[Band] = Counter()
        self._active: Counter[str] = Counter()  # by namespace
        self._turns = 0  # of FIRST since the last one of LATER

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, key: K) -> bool:
        return key in self._where

    def add(self, key: K, band: Band, *, now: float) -> None:
        """Let a key wait, at the end of its namespace's line. One in LATER moves up to FIRST, never back."""
        before = self._where.get(key)
        if before is band or before is Band.FIRST:
            return
        if before is not None:
            self._remove(key, before)
        self._where[key] = band
        self._depth[band] += 1
        self._bands[band].setdefault(key[0], OrderedDict())[key] = now

    def take(self) -> Taken[K] | None:
        """Return the next key and count it as worked on until `done`; None if none may be taken now."""
        order = (Band.LATER, Band.FIRST) if self._turns >= TURNS else (Band.FIRST, Band.LATER)
        for band in order:
            namespace = next((each for each in self._bands[band] if self._active[each] < self._share), None)
            if namespace is not None:
                return self._take(namespace, band)
        return None

    def done(self, key: K) -> None:
        """Take note that a key is no longer worked on."""
        self._active[key[0]] -= 1
        if not self._active[key[0]]:
            del self._active[key[0]]

    def depth(self, band: Band) -> int:
        return self._depth[band]

    def oldest(self, band: Band) -> float | None:
        """Return since when the key has waited that has waited longest; None if none waits."""
        heads = (next(iter(line.values())) for line in self._bands[band].values())
        return min(heads, default=None)

    def _take(self, namespace: str, band: Band) -> Taken[K]:
        line = self._bands[band][namespace]
        key, since = next(iter(line.items()))
        self._remove(key, band)
        del self._where[key]
        if namespace in self._bands[band]:
            self._bands[band].move_to_end(namespace)
        self._active[namespace] += 1
        self._turns = 0 if band is Band.LATER else self._turns + 1
        return Taken(key, band, since)

    def _remove(self, key: K, band: Band) -> None:
        lines = self._bands[band]
        del lines[key[0]][key]
        if not lines[key[0]]:
            del lines[key[0]]
        self._depth[band] -= 1
