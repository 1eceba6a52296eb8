"""AgentRuns in packed form: spec and status as compressed JSON, from which models are created on access.

An AgentRun as models takes about 10 KiB, and ten thousand take 100 MiB. A packed one takes 1 KiB, and to unpack it
costs about 50 microseconds. The models of the most recently used AgentRuns are cached.
"""

import zlib
from collections import OrderedDict
from collections.abc import Iterator, MutableMapping

from durafleet.api.run import AgentRunSpec, AgentRunStatus
from durafleet.core.objects import Key, Object, Run

CACHE_SIZE = 128
"""AgentRuns whose models are cached: more than are reconciled at the same time by default."""
Packed = Object[bytes, bytes]
_LEVEL = 1
"""Compression level: the best level takes three times as long and saves a tenth."""


class PackedRuns(MutableMapping[Key, Run]):
    """AgentRuns by key. A returned run equals the stored one, but may be another object."""

    def __init__(self) -> None:
        self._packed: dict[Key, Packed] = {}
        self._cache: OrderedDict[Key, Run] = OrderedDict()

    def __getitem__(self, key: Key) -> Run:
        run = self._cache.get(key)
        if run is None:
            run = _unpack(self._packed[key])
        self._cache_run(key, run)
        return run

    def __setitem__(self, key: Key, run: Run) -> None:
        self._packed[key] = _pack(run)
        self._cache_run(key, run)

    def __delitem__(self, key: Key) -> None:
        del self._packed[key]
        self._cache.pop(key, None)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def packed(self, key: Key) -> Packed | None:
        """Return a run in packed form, which is enough to read its version."""
        return self._packed.get(key)

    def _cache_run(self, key: Key, run: Run) -> None:
        self._cache[key] = run
        self._cache.move_to_end(key)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)


def _pack(run: Run) -> Packed:
    return Packed(**{**vars(run), "spec": _compress(run.spec), "status": _compress(run.status)})


def _compress(part: AgentRunSpec | AgentRunStatus) -> bytes:
    return zlib.compress(part.model_dump_json(by_alias=True, exclude_unset=True).encode(), _LEVEL)


def _unpack(packed: Packed) -> Run:
    spec = AgentRunSpec.model_validate_json(zlib.decompress(packed.spec))
    status = AgentRunStatus.model_validate_json(zlib.decompress(packed.status))
    return Run(**{**vars(packed), "spec": spec, "status": status})
