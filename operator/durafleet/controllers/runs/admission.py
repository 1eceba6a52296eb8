"""The slots and queues of AgentWorkers with a concurrency limit (spec.maxConcurrentRuns).

They are kept in memory and computed from the AgentRuns: the finalizer, the workflow and the state of a run show
whether it holds a slot or is queued. So nothing here has to survive a restart. Only a slot that was just reserved is
remembered until the AgentRun shows it.
"""

import bisect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from durafleet.core.objects import Key, Run, Worker
from durafleet.core.runs.admission import Rank, Turn, holds_slot, is_queued, rank
from durafleet.core.runs.starting import DEFAULT_PRIORITY


@dataclass
class WorkerQueue:
    """The AgentRuns of one AgentWorker that hold a slot, and those that are queued."""

    holding: set[Key] = field(default_factory=set)
    queued: list[tuple[Rank, Key]] = field(default_factory=list)  # sorted
    ranks: dict[Key, Rank] = field(default_factory=dict)  # of the queued runs

    def remove(self, key: Key) -> None:
        """Remove a run from the queue, if it is queued."""
        known = self.ranks.pop(key, None)
        if known is not None:
            del self.queued[bisect.bisect_left(self.queued, (known, key))]

    def add(self, key: Key, new: Rank) -> None:
        """Add a run to the queue, or move it to its new rank."""
        if self.ranks.get(key) != new:
            self.remove(key)
            self.ranks[key] = new
            bisect.insort(self.queued, (new, key))


class Admission:
    """The slots and queues of all AgentWorkers.

    Args:
        workers: returns an AgentWorker.
        wake: is called with the key of a run that may have got a slot.
    """

    def __init__(self, *, workers: Callable[[Key], Worker | None], wake: Callable[[Key], None]) -> None:
        self._workers = workers
        self._wake = wake
        self._queues: defaultdict[Key, WorkerQueue] = defaultdict(WorkerQueue)

    def observe(self, before: Run | None, after: Run | None) -> None:
        """Update slots and queue after an AgentRun was created, changed or deleted."""
        run = after or before
        if run is None:
            return
        queue = self._queues[_worker_key(run)]
        held = run.key in queue.holding
        if after is not None and holds_slot(after):
            queue.holding.add(run.key)
        elif before is None or after is None or holds_slot(before):  # otherwise the slot is reserved and not yet shown
            queue.holding.discard(run.key)
        if after is not None and is_queued(after) and run.key not in queue.holding:
            queue.add(run.key, self._rank(after))
        else:
            queue.remove(run.key)
        if held and run.key not in queue.holding:
            self._wake_next(queue)

    def turn(self, run: Run, worker: Worker | None) -> Turn | None:
        """Return whether the run may start, and its position; None if its AgentWorker has no concurrency limit."""
        limit = worker.spec.max_concurrent_runs if worker is not None else None
        if limit is None:
            return None
        queue = self._queues[_worker_key(run)]
        ahead = bisect.bisect_left(queue.queued, (self._rank(run), run.key))
        free = run.key in queue.holding or len(queue.holding) + ahead < limit
        return Turn(position=ahead + 1, limit=limit, free=free)

    def reserve(self, run: Run) -> None:
        """Reserve a slot for the run before its AgentRun shows that it holds one."""
        queue = self._queues[_worker_key(run)]
        queue.remove(run.key)
        queue.holding.add(run.key)

    def release(self, run: Run) -> None:
        """Release a reserved slot, unless the AgentRun now shows that it holds one."""
        queue = self._queues[_worker_key(run)]
        if run.key in queue.holding and not holds_slot(run):
            queue.holding.discard(run.key)
            self._wake_next(queue)

    def _wake_next(self, queue: WorkerQueue) -> None:
        if queue.queued:
            self._wake(queue.queued[0][1])

    def _rank(self, run: Run) -> Rank:
        worker = self._workers(_worker_key(run))
        of_worker = worker.spec.priority if worker is not None else None
        return rank(run, worker_priority=of_worker or DEFAULT_PRIORITY)


def _worker_key(run: Run) -> Key:
    return run.namespace, run.spec.worker_ref.name
