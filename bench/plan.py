"""Which measurements run, at which size and how often: the quick run and the full page."""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import comparison, growth, measures
from bench.environment import Environment, environment

Results = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Sizes of all measurements.

    Attributes:
        repeats: rounds of floor, burst and arrivals, in turn, so that a slow minute of the machine affects all three.
        ratchet: arrivals per second, raised until the operator is saturated.
        growth: numbers of existing AgentRuns.
        tenants: namespaces, and runs in each, for `bench.comparison`.
        neighbour: runs that one namespace creates at once, while another creates single ones.
        in_memory: also measure with a Temporal server that keeps its database in memory.
    """

    repeats: int
    floor_runs: int
    burst_runs: int
    arrival_seconds: float
    ratchet: tuple[int, ...] = ()
    growth: tuple[int, ...] = ()
    tenants: tuple[int, int] | None = None
    neighbour: int = 0
    in_memory: bool = False
    idle_open: int = 20
    idle_seconds: float = 20.0


QUICK = Plan(repeats=1, floor_runs=300, burst_runs=300, arrival_seconds=15)
FULL = Plan(
    repeats=5,
    floor_runs=600,
    burst_runs=1000,
    arrival_seconds=30,
    ratchet=(10, 20, 30, 40, 50, 60, 80),
    growth=(1_000, 5_000, 10_000, 20_000),
    tenants=(comparison.NAMESPACES, comparison.RUNS_EACH),
    neighbour=5_000,
    in_memory=True,
)
FLOOR_IN_FLIGHT = (16, 64)
"""Concurrent runs of the floor. The better result counts; which one that is depends on the machine."""
RATE = 20.0
"""Arrivals per second for which the latency budgets apply."""
LIMITS = (128, 256)


class Bench:
    """One run of a plan; `results` holds the results so far."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.results: Results = {}

    async def run(self, only: set[str]) -> Results:
        """Run all steps, or only the named ones."""
        steps = {
            "paired": self._paired,
            "ratchet": self._ratchet,
            "tenants": self._tenants,
            "neighbour": self._neighbour,
            "open": self._open,
            "terminal": self._terminal,
            "memory": self._in_memory,
        }
        for name, step in steps.items():
            if not only or name in only:
                await step()
        return self.results

    def note(self, name: str, value: Any) -> None:
        """Store a result with its commit, and print it."""
        self.results[name] = value
        self.results.setdefault("commits", {})[name] = self.results["circumstances"]["commit"]
        print(f"{name}: {json.dumps(value)}", file=sys.stderr, flush=True)

    async def _paired(self) -> None:
        async with self._environment() as there:
            self.note("harness", await measures.harness(there, runs=self.plan.floor_runs))
            rounds = [await self._round(there, number) for number in range(self.plan.repeats)]
            self.note("rounds", rounds)
            if not self.plan.growth:
                self.note(
                    "idle",
                    await measures.idle(there, open_runs=self.plan.idle_open, seconds=self.plan.idle_seconds),
                )

    async def _round(self, there: Environment, number: int) -> Results:
        floors = [await measures.floor(there, runs=self.plan.floor_runs, in_flight=n) for n in FLOOR_IN_FLIGHT]
        found = {
            "floor": max(floors, key=lambda figures: float(figures["runs_per_s"])),
            "burst": await measures.burst(there, runs=self.plan.burst_runs),
            "arrivals": await measures.arrivals(there, rate=RATE, seconds=self.plan.arrival_seconds),
        }
        print(f"round {number}: {json.dumps(found)}", file=sys.stderr, flush=True)
        return found

    async def _ratchet(self) -> None:
        steps = []
        for rate in self.plan.ratchet:
            async with self._environment() as there:
                steps.append(await measures.arrivals(there, rate=rate, seconds=20))
            self.note("ratchet", steps)
            if steps[-1]["start_p99_ms"] > 5000:
                return  # saturated

    async def _tenants(self) -> None:
        if self.plan.tenants is None:
            return
        namespaces, each = self.plan.tenants
        found = []
        for limit in LIMITS:
            async with self._environment() as there:
                found.append(
                    await comparison.many_tenants(
                        there, memory_mib=limit, deadline=600, namespaces=namespaces, each=each
                    )
                )
            self.note("tenants", found)

    async def _neighbour(self) -> None:
        if self.plan.neighbour:
            async with self._environment() as there:
                self.note("neighbour", await measures.other_tenant(there, runs=self.plan.neighbour))

    async def _open(self) -> None:
        if self.plan.growth:
            async with self._environment() as there:
                found = []
                async for figures in growth.open_runs(there, self.plan.growth):
                    found.append(figures)
                    self.note("open", found)

    async def _terminal(self) -> None:
        if self.plan.growth:
            async with self._environment() as there:
                found = []
                async for figures in growth.terminal_runs(there, self.plan.growth):
                    found.append(figures)
                    self.note("terminal", found)

    async def _in_memory(self) -> None:
        if self.plan.in_memory:
            async with self._environment(in_memory=True) as there:
                self.note("in memory", [await self._round(there, number) for number in range(self.plan.repeats)])

    @staticmethod
    def _environment(*, in_memory: bool = False) -> Any:
        return environment(Path(tempfile.mkdtemp(prefix="durafleet-bench-")), in_memory=in_memory)
