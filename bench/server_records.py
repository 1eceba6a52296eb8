"""What the servers recorded: the counters of the API server and the operator, and Temporal's own executions."""

import asyncio
import math
import re
import statistics
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest

from bench.environment import Environment
from bench.load import Key, Seen

_SERIES = re.compile(r"^([a-z_]+)(?:\{(.*)\})? ([0-9.e+-]+)$")
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')
_WRITES = {"POST", "PUT", "PATCH", "DELETE", "APPLY"}


def series(text: str, name: str) -> list[tuple[dict[str, str], float]]:
    """Return the labels and values of one metric from Prometheus' text format."""
    matches = (_SERIES.match(line) for line in text.splitlines() if line.startswith(name))
    return [(dict(_LABEL.findall(match[2] or "")), float(match[3])) for match in matches if match and match[1] == name]


async def api_writes(environment: Environment) -> Counter[str]:
    """Return the number of writes from all clients to the API server, by resource and subresource."""
    async with environment.kube.session.get("/metrics", headers={"Accept-Encoding": "identity"}) as answer:
        text = (await answer.read()).decode()
    counts: Counter[str] = Counter()
    for labels, value in series(text, "apiserver_request_total"):
        if labels["verb"] in _WRITES:
            counts["/".join(filter(None, (labels["resource"], labels["subresource"])))] += int(value)
    return counts


async def operator_counters(port: int, name: str, label: str) -> Counter[str]:
    """Return a counter of the operator by one of its labels; empty if the operator does not respond."""
    counts: Counter[str] = Counter()
    for labels, value in series(await _metrics(port), name):
        counts[labels[label]] += int(value)
    return counts


async def gauge(port: int, name: str) -> float:
    """Return a gauge of the operator, summed over its labels; 0 if the operator does not respond."""
    return sum(value for _, value in series(await _metrics(port), name))


async def _metrics(port: int) -> str:
    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    try:
        return await asyncio.to_thread(read)
    except OSError:
        return ""


@dataclass(frozen=True)
class Execution:
    """Start and close of one workflow execution, Unix time in seconds; `closed` is 0 while it is open."""

    key: Key
    started: float
    closed: float


async def executions(environment: Environment, namespaces: Iterable[str]) -> list[Execution]:
    """Return every execution that Temporal has for the AgentRuns of these namespaces."""
    found = []
    for namespace in namespaces:
        token = b""
        while True:
            request = ListWorkflowExecutionsRequest(
                namespace="default",
                page_size=1000,
                next_page_token=token,
                query=f'WorkflowId STARTS_WITH "agent-run/{namespace}/"',
            )
            answer = await environment.temporal.workflow_service.list_workflow_executions(request)
            for info in answer.executions:
                _, kube_namespace, name, _ = info.execution.workflow_id.split("/")
                closed = info.close_time.ToNanoseconds() / 1e9 if info.HasField("close_time") else 0.0
                found.append(Execution((kube_namespace, name), info.start_time.ToNanoseconds() / 1e9, closed))
            token = answer.next_page_token
            if not token:
                break
    return found


@dataclass(frozen=True)
class Outcome:
    """The outcome of a set of runs.

    Attributes:
        start_ms: from sending the create to the start of the workflow, for each run.
        terminal_ms: from the close of the workflow to the terminal status at the client, for each run.
        duplicates: executions beyond the first of a run.
        lost: runs without an execution, or without a terminal status.
        seconds: from the first create to the last terminal status.
    """

    start_ms: list[float]
    terminal_ms: list[float]
    duplicates: int
    lost: int
    seconds: float

    def summary(self) -> dict[str, float]:
        """Return p50 and p99 in milliseconds, and the counts."""
        figures: dict[str, float] = {"duplicates": self.duplicates, "lost": self.lost}
        for name, values in (("start", self.start_ms), ("terminal", self.terminal_ms)):
            figures[f"{name}_p50_ms"] = percentile(values, 50)
            figures[f"{name}_p99_ms"] = percentile(values, 99)
        return figures


async def evaluate(environment: Environment, seen: Seen, keys: Sequence[Key]) -> Outcome:
    """Combine what the client and Temporal recorded of these runs."""
    rows = await executions(environment, {namespace for namespace, _ in keys})
    wanted = set(keys)
    by_key = {row.key: row for row in rows if row.key in wanted}
    ended = [key for key in keys if key in seen.ended and seen.states[key] == "Completed"]
    began = min(seen.created[key] for key in keys)
    return Outcome(
        start_ms=[(by_key[key].started - seen.created[key]) * 1000 for key in keys if key in by_key],
        terminal_ms=[(seen.ended[key] - by_key[key].closed) * 1000 for key in ended if key in by_key],
        duplicates=sum(row.key in wanted for row in rows) - len(by_key),
        lost=len(keys) - sum(key in by_key for key in ended),
        seconds=max((seen.ended[key] for key in ended), default=math.nan) - began,
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile by nearest rank; NaN if there are no values."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return round(ordered[min(math.ceil(len(ordered) * percent / 100), len(ordered)) - 1], 2)


def middle(values: Sequence[float]) -> dict[str, float]:
    """Return the median of repeated measurements, with minimum and maximum."""
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
        "repeats": len(values),
    }
