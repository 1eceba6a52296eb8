"""Who holds a place and who stands in line, by AgentWorker: kept up to date from the AgentRuns themselves.

Nothing here has to survive a restart: what an AgentRun says of itself (finalizer, workflow, state) puts it
where it belongs. Only a place that was given a moment ago is remembered until the AgentRun shows it.
"""

import bisect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from durafleet.core.objects import Key, Run, Worker
from durafleet.core.runs.admission import Rank, Turn, holds_place, rank, stands_in_line
from durafleet.core.runs.starting import USUAL_PRIORITY


@dataclass
class Line:
    """The runs of one AgentWorker that matter for admission."""

    holding: set[Key] = field(default_factory=set)
    waiting: list[tuple[Rank, Key]] = field(default_factory=list)  # sorted
    ranks: dict[Key, Rank] = field(default_factory=dict)  # of those that wait

    def leave(self, key: Key) -> None:
        known = self.ranks.pop(key, None)
        if known is not None:
            del self.waiting[bisect.bisect_left(self.waiting, (known, key))]

    def enter(self, key: Key, place: Rank) -> None:
        if self.ranks.get(key) != place:
            self.leave(key)
            self.ranks[key] = place
            bisect.insort(self.waiting, (place, key))


class Admission:
    """Places and lines of all AgentWorkers.

    Args:
        wake: is called with who may have a place now.
    """

    def __init__(self, *, workers: Callable[[Key], Worker | None], wake: Callable[[Key], None]) -> None:
        self._workers = workers
        self._wake = wake
        self._lines: defaultdict[Key, Line] = defaultdict(Line)

    def observe(self, before: Run | None, after: Run | None) -> None:
        """Take in a changed, new or vanished AgentRun."""
        run = after or before
        if run is None:
            return
        line = self._lines[_worker_key(run)]
        held = run.key in line.holding
        if after is not None and holds_place(after):
            line.holding.add(run.key)
        elif before is None or after is None or holds_place(before):  # else: reserved, and not yet to be seen
            line.holding.discard(run.key)
        if after is not None and stands_in_line(after) and run.key not in line.holding:
            line.enter(run.key, self._rank(after))
        else:
            line.leave(run.key)
        if held and run.key not in line.holding:
            self._call_next(line)

    def turn(self, run: Run, worker: Worker | None) -> Turn | None:
        """Return the run's place in line; None if its worker sets no bound."""
        limit = worker.spec.max_concurrent_runs if worker is not None else None
        if limit is None:
            return None
        line = self._lines[_worker_key(run)]
        ahead = bisect.bisect_left(line.waiting, (self._rank(run), run.key))
        free = run.key in line.holding or len(line.holding) + ahead < limit
        return Turn(position=ahead + 1, limit=limit, free=free)

    def reserve(self, run: Run) -> None:
        """Give the run a place before its AgentRun shows it."""
        line = self._lines[_worker_key(run)]
        line.leave(run.key)
        line.holding.add(run.key)

    def release(self, run: Run) -> None:
        """Take a reserved place back, if the AgentRun does not show it by now."""
        line = self._lines[_worker_key(run)]
        if run.key in line.holding and not holds_place(run):
            line.holding.discard(run.key)
            self._call_next(line)

    def _call_next(self, line: Line) -> None:
        if line.waiting:
            self._wake(line.waiting[0][1])

    def _rank(self, run: Run) -> Rank:
        worker = self._workers(_worker_key(run))
        of_worker = worker.spec.priority if worker is not None else None
        return rank(run, worker_priority=of_worker or USUAL_PRIORITY)


def _worker_key(run: Run) -> Key:
    return run.namespace, run.spec.worker_ref.name
