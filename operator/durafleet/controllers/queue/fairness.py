"""The order in which the keys of a queue are taken.

There are two priority bands. Within each, the namespaces take turns, so that one tenant's burst does not delay the
others: a key waits for one key of each other tenant, not for all keys that were enqueued before it.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

K = TypeVar("K", bound=tuple[str, str])

TURNS = 3
"""Keys of the band FIRST that are taken for each key of LATER if both wait, so that neither starves."""


class Band(IntEnum):
    """The priority band of a key. The lower value is more urgent."""

    FIRST = 0
    """Urgent, because somebody waits: the start of a workflow, a deletion, a control."""
    LATER = 1
    """Normal: the status of runs in progress, and repeated checks of older ones."""

    @property
    def label(self) -> str:
        """Return the label of the band in metrics."""
        return self.name.lower()


@dataclass(frozen=True)
class Taken(Generic[K]):
    """A key that was taken from the queue, and since when it waited."""

    key: K
    band: Band
    since: float


def share_of(concurrency: int) -> int:
    """Return how much of the concurrency one namespace may use: nearly all, never all."""
    return max(concurrency - max(concurrency // 8, 1), 1)


class Waiting(Generic[K]):
    """Keys that wait, each at most once.

    Args:
        share: maximum keys of one namespace that are active at the same time. If all of them hang, because a
            tenant's Temporal does not respond, the keys of other namespaces still proceed.
    """

    def __init__(self, *, share: int) -> None:
        self._share = share
        self._bands: dict[Band, OrderedDict[str, OrderedDict[K, float]]] = {band: OrderedDict() for band in Band}
        self._where: dict[K, Band] = {}
        self._depth: Counter[Band] = Counter()
        self._active: Counter[str] = Counter()  # by namespace
        self._turns = 0  # keys of FIRST taken since the last key of LATER

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, key: K) -> bool:
        return key in self._where

    def add(self, key: K, band: Band, *, now: float) -> None:
        """Add a key behind the others of its namespace. A key in LATER can move up to FIRST, never back."""
        before = self._where.get(key)
        if before is band or before is Band.FIRST:
            return
        if before is not None:
            self._remove(key, before)
        self._where[key] = band
        self._depth[band] += 1
        self._bands[band].setdefault(key[0], OrderedDict())[key] = now

    def take(self) -> Taken[K] | None:
        """Return the next key and count it as active until `done`; None if none may be taken now."""
        order = (Band.LATER, Band.FIRST) if self._turns >= TURNS else (Band.FIRST, Band.LATER)
        for band in order:
            namespace = next((each for each in self._bands[band] if self._active[each] < self._share), None)
            if namespace is not None:
                return self._take(namespace, band)
        return None

    def done(self, key: K) -> None:
        """Record that a key is no longer active."""
        self._active[key[0]] -= 1
        if not self._active[key[0]]:
            del self._active[key[0]]

    def depth(self, band: Band) -> int:
        return self._depth[band]

    def oldest(self, band: Band) -> float | None:
        """Return since when the oldest key has waited; None if none waits."""
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
