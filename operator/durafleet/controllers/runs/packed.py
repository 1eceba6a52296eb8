"""AgentRuns that are known, each as a few hundred bytes: models are read from them when somebody wants to know.

As models an AgentRun takes about 10 KiB, ten thousand of them 100 MiB; packed it takes 1 KiB, and reading it anew
costs some 50 microseconds. Those that were last asked for stay as they are.
"""

import zlib
from collections import OrderedDict
from collections.abc import Iterator, MutableMapping

from durafleet.api.run import AgentRunSpec, AgentRunStatus
from durafleet.core.objects import Key, Object, Run

WARM = 128
"""AgentRuns that are kept as models too: more than are ever worked on at the same time, by default."""
Packed = Object[bytes, bytes]
_QUICK = 1
"""Level of compression: the best one is three times as slow, for a tenth less."""


class PackedRuns(MutableMapping[Key, Run]):
    """AgentRuns by key. What is asked for equals what was put in; whether it is the same object is not said."""

    def __init__(self) -> None:
        self._packed: dict[Key, Packed] = {}
        self._warm: OrderedDict[Key, Run] = OrderedDict()

    def __getitem__(self, key: Key) -> Run:
        run = self._warm.get(key)
        if run is None:
            run = _unpack(self._packed[key])
        self._warm_up(key, run)
        return run

    def __setitem__(self, key: Key, run: Run) -> None:
        self._packed[key] = _pack(run)
        self._warm_up(key, run)

    def __delitem__(self, key: Key) -> None:
        del self._packed[key]
        self._warm.pop(key, None)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def packed(self, key: Key) -> Packed | None:
        """Return a run as it is kept: whoever wants to know its version only need not have it unpacked."""
        return self._packed.get(key)

    def _warm_up(self, key: Key, run: Run) -> None:
        self._warm[key] = run
        self._warm.move_to_end(key)
        if len(self._warm) > WARM:
            self._warm.popitem(last=False)


def _pack(run: Run) -> Packed:
    return Packed(**{**vars(run), "spec": _squeeze(run.spec), "status": _squeeze(run.status)})


def _squeeze(part: AgentRunSpec | AgentRunStatus) -> bytes:
    return zlib.compress(part.model_dump_json(by_alias=True, exclude_unset=True).encode(), _QUICK)


def _unpack(packed: Packed) -> Run:
    spec = AgentRunSpec.model_validate_json(zlib.decompress(packed.spec))
    status = AgentRunStatus.model_validate_json(zlib.decompress(packed.status))
    return Run(**{**vars(packed), "spec": spec, "status": status})
