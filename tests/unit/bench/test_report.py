"""The summary and the page of the benchmark: the quoted figures must be the measured ones."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.server_records import percentile, series
from bench.summary import BUDGETS, summarise

QUOTED = {
    "floor_ratio", "floor_runs_per_s", "runs_per_s", "start_p50_ms", "start_p99_ms", "terminal_p50_ms",
    "terminal_p99_ms", "writes_per_run", "events_per_run", "idle_temporal_rpc_per_s", "idle_cpu_percent", "rss_mib",
    "duplicates", "lost",
}  # fmt: skip


def a_round(*, floor: float = 50.0, burst: float = 40.0, **arrivals: float) -> dict[str, Any]:
    latencies = {"start_p50_ms": 30.0, "start_p99_ms": 90.0, "terminal_p50_ms": 20.0, "terminal_p99_ms": 80.0}
    costs = {"cpu_ms_per_run": {"operator": 7.0, "kube-apiserver": 20.0}}
    counts = {"writes_per_run": 3.0, "events_per_run": 1.0, "duplicates": 0, "lost": 0}
    return {
        "floor": {"runs_per_s": floor},
        "burst": {"runs_per_s": burst, **counts, **costs},
        "arrivals": {**latencies, **counts, **arrivals},
    }


def results(*rounds: dict[str, Any], **more: Any) -> dict[str, Any]:
    idle = {"open": 20, "idle_cpu_percent": 0.5, "idle_temporal_rpc_per_s": 1.4, "rss_mib": 70.0}
    about = {"command": "make bench", "commit": "abc", "machine": "2 cores", "versions": {"etcd": "v3"}}
    harness = {"creates_per_s": 200.0, "cpu_ms_per_run": {"harness": 1.0}}
    return {"rounds": list(rounds), "idle": idle, "circumstances": about, "harness": harness, **more}


def test_the_summary_has_every_figure_that_is_quoted() -> None:
    assert set(summarise(results(a_round()))) >= QUOTED


def test_the_ratio_to_the_floor_is_computed_per_round_before_the_median() -> None:
    slow, fast, usual = a_round(floor=10, burst=9), a_round(floor=100, burst=50), a_round(floor=50, burst=35)
    assert summarise(results(slow, fast, usual))["floor_ratio"] == 0.7


def test_the_summary_shows_the_higher_writes_per_run_of_the_two_loads() -> None:
    assert summarise(results(a_round(writes_per_run=4.5)))["writes_per_run"] == 4.5


def test_duplicates_and_losses_of_all_measurements_are_summed() -> None:
    summary = summarise(results(a_round(lost=1), a_round(), tenants=[{"lost": 2, "duplicates": 3}]))
    assert (summary["lost"], summary["duplicates"]) == (3, 3)


def test_idle_figures_are_those_at_ten_thousand_open_runs_if_measured() -> None:
    rows = [
        {"open": size, "idle_cpu_percent": cpu, "idle_temporal_rpc_per_s": 1.0, "rss_mib": 90.0}
        for size, cpu in ((1_000, 0.1), (10_000, 0.2), (20_000, 0.3))
    ]
    summary = summarise(results(a_round(), open=rows))
    assert (summary["idle_open_runs"], summary["idle_cpu_percent"]) == (10_000, 0.2)


def test_a_missed_budget_is_marked_in_the_table() -> None:
    table = "\n".join(report.budget_table(summarise(results(a_round(floor=50, burst=20, start_p99_ms=1500.0)))))
    assert table.count("**missed**") == 2
    assert len(table.splitlines()) == len(BUDGETS) - 3 + 2  # three budgets are for growth, which was not measured


def test_the_page_and_the_figures_are_written_together(tmp_path: Path) -> None:
    growth = [{"open": 1000, "idle_cpu_percent": 1.0, "idle_temporal_rpc_per_s": 1.0, "rss_mib": 90.0,
               "start_p50_ms": 5.0, "terminal_p50_ms": math.nan, "restart_ready_s": 1.0,
               "restart_first_start_s": 2.0, "restart_meanwhile_start_s": 1.5, "restart_all_known_s": 3.0}]  # fmt: skip
    report.write(results(a_round(), open=growth), tmp_path, name="full", page=True)
    page = (tmp_path / "README.md").read_text()
    assert "| 1000 open | 1 | 1 | 90 | 5 | - | 1 | 2 | 1.50 | 3 |" in page
    assert {file.name for file in tmp_path.iterdir()} == {"README.md", "full.json", "growth.svg", "ratchet.svg"}
    assert json.loads((tmp_path / "full.json").read_text())["summary"]["runs_per_s"] == 40.0


def test_the_page_lists_the_measurements_at_other_commits(tmp_path: Path) -> None:
    found = results(a_round(), commits={"rounds": "abc", "ratchet": "def5678"})
    report.write(found, tmp_path, name="full", page=True)
    assert "Measured at other commits: ratchet at def5678." in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(("values", "expected"), [([], math.nan), ([7.0], 7.0), (list(range(1, 201)), 198.0)])
def test_percentiles_use_the_nearest_rank_method(values: list[float], expected: float) -> None:
    assert percentile(values, 99) == pytest.approx(expected, nan_ok=True)


def test_only_the_named_metric_is_read() -> None:
    text = '# HELP a x\na{b="1",c="2"} 3\na_total{b="1"} 4\na 5\n'
    assert series(text, "a") == [({"b": "1", "c": "2"}, 3.0), ({}, 5.0)]
