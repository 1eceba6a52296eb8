"""The quoted figures, computed from all results, and their budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.server_records import middle

Results = Mapping[str, Any]


def summarise(results: Results) -> dict[str, float]:
    """Return the quoted figures: medians over the rounds, and the sums of duplicates and lost runs.

    Keys: floor_ratio, floor_runs_per_s, runs_per_s (burst); start_ and terminal_ p50 and p99 in milliseconds (20
    arrivals per second); writes_per_run, events_per_run; operator_cpu_ms_per_run (burst); idle_temporal_rpc_per_s,
    idle_cpu_percent, rss_mib and, if growth was measured, the restart times in seconds, all with `idle_open_runs`
    open runs; duplicates, lost.
    """
    rounds = results["rounds"]
    figures = {
        "floor_ratio": spread(rounds, lambda one: one["burst"]["runs_per_s"] / one["floor"]["runs_per_s"]),
        "floor_runs_per_s": spread(rounds, lambda one: one["floor"]["runs_per_s"]),
        "runs_per_s": spread(rounds, lambda one: one["burst"]["runs_per_s"]),
        "operator_cpu_ms_per_run": spread(rounds, lambda one: one["burst"]["cpu_ms_per_run"]["operator"]),
    }
    for name in ("start_p50_ms", "start_p99_ms", "terminal_p50_ms", "terminal_p99_ms"):
        figures[name] = spread(rounds, lambda one, name=name: one["arrivals"][name])
    for name in ("writes_per_run", "events_per_run"):
        figures[name] = spread(rounds, lambda one, name=name: max(one["arrivals"][name], one["burst"][name]))
    idle = _idle(results)
    return {
        **{name: values["median"] for name, values in figures.items()},
        **{name: idle[name] for name in _IDLE if name in idle},
        "duplicates": _total(results, "duplicates"),
        "lost": _total(results, "lost"),
    }


def spread(rounds: Sequence[Any], of: Any) -> dict[str, float]:
    """Return the median of a figure over the rounds, with minimum and maximum."""
    return middle([float(of(one)) for one in rounds])


def _idle(results: Results) -> dict[str, float]:
    """Return the figures of an idle operator: with 10,000 open runs, if that was measured."""
    if "open" not in results:
        return {"idle_open_runs": results["idle"]["open"], **results["idle"]}
    wanted = min(results["open"], key=lambda figures: abs(figures["open"] - 10_000))
    return {"idle_open_runs": wanted["open"], **wanted}


def _total(results: Any, name: str) -> int:
    """Sum a count over all measurements."""
    if isinstance(results, Mapping):
        here = results.get(name, 0)
        return int(here) + sum(_total(value, name) for value in results.values())
    if isinstance(results, list):
        return sum(_total(value, name) for value in results)
    return 0


@dataclass(frozen=True)
class Budget:
    """The budget of one figure.

    Attributes:
        what: label in the table.
        at_most: upper bound.
        at_least: lower bound, for figures where more is better.
    """

    what: str
    figure: str
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    def met(self, value: float) -> bool:
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)

    @property
    def bound(self) -> str:
        number = f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"
        return f"{number} {self.unit}".strip()


_IDLE = (
    "idle_open_runs",
    "idle_temporal_rpc_per_s",
    "idle_cpu_percent",
    "rss_mib",
    "restart_first_start_s",
    "restart_meanwhile_start_s",
    "restart_all_known_s",
)
BUDGETS = (
    Budget("burst throughput, relative to the floor", "floor_ratio", at_least=0.8),
    Budget("create to workflow start, 20 arrivals/s, p50", "start_p50_ms", "ms", at_most=300),
    Budget("create to workflow start, 20 arrivals/s, p99", "start_p99_ms", "ms", at_most=1000),
    Budget("workflow close to terminal status, 20 arrivals/s, p50", "terminal_p50_ms", "ms", at_most=50),
    Budget("workflow close to terminal status, 20 arrivals/s, p99", "terminal_p99_ms", "ms", at_most=2000),
    Budget("writes of the AgentRun per run", "writes_per_run", at_most=4),
    Budget("Events per run", "events_per_run", at_most=2),
    Budget("operator CPU per run, burst", "operator_cpu_ms_per_run", "ms", at_most=8),
    Budget("Temporal calls while idle", "idle_temporal_rpc_per_s", "/s", at_most=2),
    Budget("operator CPU while idle", "idle_cpu_percent", "% of a core", at_most=2),
    Budget("operator memory", "rss_mib", "MiB", at_most=200),
    Budget("restart after kill -9 to the start of a waiting run", "restart_first_start_s", "s", at_most=5),
    Budget("create to start of a run that is created during the restart", "restart_meanwhile_start_s", "s", at_most=5),
    Budget("restart after kill -9 until the state of all runs is known", "restart_all_known_s", "s", at_most=60),
    Budget("workflows started twice", "duplicates", at_most=0),
    Budget("lost runs", "lost", at_most=0),
)
