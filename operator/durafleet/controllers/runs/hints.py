"""Hints that a run has ended: they request a reconcile of the run, and nothing in them is trusted."""

from typing import Protocol

from durafleet.controllers.runs.store import RunStore
from durafleet.core.objects import Key
from durafleet.core.runs.identity import run_key, workflow_id


class Refresher(Protocol):
    """Updates the observed state of runs."""

    def refresh(self, key: Key) -> None:
        """Describe the workflow of a run again."""
        ...


def take_hint(workflow: str, runs: RunStore, sightings: Refresher) -> bool:
    """Refresh the run whose workflow is reported as ended; return whether there is such a run.

    A settled run (ended, nothing left to do) is ignored: only a later execution could change it, and the sweeps
    (periodic visibility queries) find that.
    """
    key = run_key(workflow)
    run = runs.get(key) if key is not None else None
    if run is None or workflow_id(run) != workflow:
        return False
    sightings.refresh(run.key)
    return True
