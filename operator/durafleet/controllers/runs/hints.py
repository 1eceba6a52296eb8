"""Hints that a run has ended, from wherever they come: they are worth a look at the run, and no belief."""

from typing import Protocol

from durafleet.controllers.runs.store import RunStore
from durafleet.core.objects import Key
from durafleet.core.runs.identity import run_key, workflow_id


class Looks(Protocol):
    """Who sees to it that runs are looked at."""

    def refresh(self, key: Key) -> None:
        """Ask Temporal about a run again."""
        ...


def take_hint(workflow: str, runs: RunStore, sightings: Looks) -> bool:
    """Look at the run of a workflow that is said to have ended; tell whether there is such a run.

    One whose end is settled is left alone: only a later execution could be news, and the sweeps find it.
    """
    key = run_key(workflow)
    run = runs.get(key) if key is not None else None
    if run is None or workflow_id(run) != workflow:
        return False
    sightings.refresh(run.key)
    return True
