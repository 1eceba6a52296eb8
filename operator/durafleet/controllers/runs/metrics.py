"""Metrics of AgentRuns: time to start, time from close to terminal status, and final states."""

from datetime import datetime

from prometheus_client import Counter, Histogram

from durafleet.api.lifecycle import TERMINAL
from durafleet.api.run import AgentRunStatus
from durafleet.core.objects import Run
from durafleet.core.runs.execution import Execution

STARTED = Histogram(
    "durafleet_run_start_seconds",
    "From the creation of an AgentRun to its workflow's start.",
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 15, 60, 300),
)
CLOSED = Histogram(
    "durafleet_run_settle_seconds",
    "From a workflow's close to the terminal status.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60),
)
FINISHED = Counter("durafleet_runs_finished_total", "AgentRuns that reached a terminal state.", ["state"])


def measure(run: Run, execution: Execution | None, status: AgentRunStatus, *, now: datetime) -> None:
    """Update the metrics after a status was written that reports the start or the end of a run."""
    if status.state == run.status.state or execution is None:
        return
    if run.status.start_time is None and execution.began is not None:
        STARTED.observe(max((execution.began - run.created).total_seconds(), 0.0))
    if status.state in TERMINAL:
        FINISHED.labels(status.state).inc()
        if execution.close_time is not None:
            CLOSED.observe(max((now - execution.close_time).total_seconds(), 0.0))
