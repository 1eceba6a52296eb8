"""The results page: every figure next to its budget, with the machine, the versions and the command."""

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import plots
from bench.summary import BUDGETS, spread, summarise
from dev.cluster.layout import ROOT
from dev.cluster.temporal import binary as temporal_binary
from dev.cluster.toolchain import versions

Results = dict[str, Any]


def circumstances(command: str) -> dict[str, Any]:
    """Describe the machine, the versions and the command of the measurement."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "command": command,
        "commit": commit or "unknown",
        "machine": f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, all servers and the harness on it",
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    pins = {name: pin.split()[1] for name, pin in versions()["modules"].items() if name in ("kubernetes", "etcd")}
    server = subprocess.run([temporal_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    ours = {name: metadata.version(name) for name in ("durafleet", "kopf", "temporalio", "kubernetes")}
    return {**pins, "temporal": server.strip(), "python": platform.python_version(),
            **{f"{name} (Python)": version for name, version in ours.items()}}  # fmt: skip


def write(results: Results, folder: Path, *, name: str, page: bool) -> dict[str, float]:
    """Write the results as JSON, and optionally as a page with plots; return the summary."""
    summary = summarise(results)
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"summary": summary, **results}
    (folder / f"{name}.json").write_text(json.dumps(_finite(whole), indent=1) + "\n")
    if page:
        plots.growth({kind: results.get(kind, ()) for kind in ("open", "terminal")}, folder / "growth.svg")
        plots.ratchet(results.get("ratchet", ()), folder / "ratchet.svg")
        (folder / "README.md").write_text("\n".join(_page(results, summary)) + "\n")
    return summary


def budget_table(summary: Mapping[str, float]) -> list[str]:
    """Return the table of budgets as Markdown lines."""
    lines = ["| figure | budget | measured | |", "|---|---|---|---|"]
    for budget in BUDGETS:
        if budget.figure not in summary:
            continue  # a growth figure, not part of the quick run
        value = summary[budget.figure]
        verdict = "met" if budget.met(value) else "**missed**"
        lines.append(f"| {budget.what} | {budget.bound} | {_number(value)} {budget.unit} | {verdict} |")
    return lines


def _page(results: Results, summary: Mapping[str, float]) -> list[str]:
    about = results["circumstances"]
    versions_listed = ", ".join(
        f"{name} {version.removeprefix(f'{name} version ')}" for name, version in about["versions"].items()
    )
    return [
        "# Benchmark results",
        "",
        f"Command: `{about['command']}`, at commit {about['commit']}. Machine: {about['machine']}. "
        f"Versions: {versions_listed}. The servers are a real API server, etcd (without fsync), controller manager "
        "and Temporal server (SQLite, write-ahead log). The workflow returns at once. Figures are medians over the "
        "rounds. The code of each measurement is in [bench/](../); [docs/performance.md](../../docs/performance.md) "
        "explains the figures.",
        "",
        *_other_commits(results),
        *budget_table(summary),
        "",
        f"The idle figures were measured with {summary['idle_open_runs']:.0f} open runs.",
        "",
        "## Rounds",
        "",
        "Each round measures floor, burst and arrivals in turn. The floor is a script that makes only the calls that "
        "a run needs (create, start, wait for the result, write the status once), with the same clients and no "
        "operator.",
        "",
        *_rounds("SQLite in a file", results["rounds"]),
        *(_rounds("SQLite in memory", results["in memory"]) if "in memory" in results else []),
        "",
        "CPU per run in the burst, in milliseconds by process: " + _costs(results["rounds"]) + ".",
        "",
        *_harness(results),
        *_tenants(results.get("tenants", ())),
        *_other_tenant(results),
        *_saturation(results.get("ratchet", ())),
        *_growth(results),
    ]


def _other_commits(results: Results) -> list[str]:
    """List the parts that were measured at another commit."""
    here = results["circumstances"]["commit"]
    others = [f"{name} at {commit}" for name, commit in results.get("commits", {}).items() if commit != here]
    return [f"Measured at other commits: {', '.join(others)}.", ""] if others else []


def _rounds(title: str, rounds: Sequence[Any]) -> list[str]:
    figures = {
        "floor, runs/s": lambda one: one["floor"]["runs_per_s"],
        "burst, runs/s": lambda one: one["burst"]["runs_per_s"],
        "burst / floor": lambda one: one["burst"]["runs_per_s"] / one["floor"]["runs_per_s"],
        "20/s: start p50, ms": lambda one: one["arrivals"]["start_p50_ms"],
        "20/s: start p99, ms": lambda one: one["arrivals"]["start_p99_ms"],
        "20/s: terminal p50, ms": lambda one: one["arrivals"]["terminal_p50_ms"],
        "20/s: terminal p99, ms": lambda one: one["arrivals"]["terminal_p99_ms"],
        "operator CPU, ms/run (burst)": lambda one: one["burst"]["cpu_ms_per_run"]["operator"],
    }
    lines = [f"| Temporal on {title}, {len(rounds)} rounds | median | min | max |", "|---|---|---|---|"]
    for name, of in figures.items():
        values = spread(rounds, of)
        lines.append(
            f"| {name} | {_number(values['median'])} | {_number(values['least'])} | {_number(values['most'])} |"
        )
    return [*lines, ""]


def _costs(rounds: Sequence[Any]) -> str:
    names = rounds[0]["burst"]["cpu_ms_per_run"]
    costs = {name: spread(rounds, lambda one, name=name: one["burst"]["cpu_ms_per_run"][name]) for name in names}
    return ", ".join(f"{name} {_number(cost['median'])}" for name, cost in costs.items())


def _harness(results: Results) -> list[str]:
    alone = results["harness"]
    return [
        f"Without an operator, the harness creates {_number(alone['creates_per_s'])} AgentRuns per second and uses "
        f"{_number(alone['cpu_ms_per_run']['harness'])} ms of CPU for each.",
        "",
    ]


def _tenants(rows: Sequence[Any]) -> list[str]:
    if not rows:
        return []
    lines = [
        "## Many tenants with little memory",
        "",
        f"{rows[0]['runs']} runs in 51 namespaces at once. Under such a load, a comparable project reports an operator "
        "that was OOM-killed repeatedly, with 22 % of the runs completed. The peak memory is the resident set. It "
        "includes about 38 MiB of code that is mapped from files, which is not charged to the limit.",
        "",
        "| memory limit, MiB | completed | runs/s | restarts | peak memory, MiB | duplicates | lost |",
        "|---|---|---|---|---|---|---|",
    ]
    keys = ("completed_percent", "runs_per_s", "restarts", "peak_rss_mib", "duplicates", "lost")
    for row in rows:
        cells = [_number(row[key]) + (" %" if key == "completed_percent" else "") for key in keys]
        lines.append(f"| {row['memory_limit_mib']} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _saturation(rows: Sequence[Any]) -> list[str]:
    if not rows:
        return []
    lines = [
        "## Saturation",
        "",
        "Each rate of arrivals lasts 20 s. The rate rises until starts take more than 5 s (p99), or to the last rate.",
        "",
    ]
    lines += ["![latencies over arrivals](ratchet.svg)", ""]
    keys = ("rate", "start_p50_ms", "start_p99_ms", "terminal_p50_ms", "terminal_p99_ms")
    lines += ["| arrivals/s | start p50, ms | start p99 | terminal p50 | terminal p99 |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(_number(row[key]) for key in keys) + " |" for row in rows]
    return [*lines, ""]


def _other_tenant(results: Results) -> list[str]:
    if "neighbour" not in results:
        return []
    found = results["neighbour"]
    return [
        "## Burst of another tenant",
        "",
        f"One namespace creates {found['runs']} runs at once. Meanwhile, another creates one run per second, "
        f"{found['singles']} in total. From create to start, the single runs took "
        f"{_number(found['start_p50_ms'])} ms (p50), {_number(found['start_p99_ms'])} ms (p99) and at most "
        f"{_number(found['start_most_ms'])} ms. The runs of the burst took "
        f"{_number(found['crowd']['start_p50_ms'])} ms (p50).",
        "",
    ]


def _growth(results: Results) -> list[str]:
    if "open" not in results and "terminal" not in results:
        return []
    lines = [
        "## Growth",
        "",
        "The cost of many existing AgentRuns. Times of a restart count from the start of the operator. For the run "
        "that is created while the operator lists existing objects, the time counts from its creation.",
        "",
        "![growth](growth.svg)",
        "",
    ]
    keys = ("idle_cpu_percent", "idle_temporal_rpc_per_s", "rss_mib", "start_p50_ms", "terminal_p50_ms",
            "restart_ready_s", "restart_first_start_s", "restart_meanwhile_start_s", "restart_all_known_s")  # fmt: skip
    lines += ["| AgentRuns | idle CPU, % | Temporal calls/s | memory, MiB | start p50, ms | terminal p50, ms "
              "| restart: ready, s | waiting run started, s | run created while listing started, s "
              "| state of all runs known, s |", "|" + "---|" * 10]  # fmt: skip
    for kind in ("open", "terminal"):
        for row in results.get(kind, ()):
            cells = " | ".join(_number(row.get(key, math.nan)) for key in keys)
            lines.append(f"| {row[kind]} {kind} | {cells} |")
    return [*lines, ""]


def _number(value: float) -> str:
    """Format a figure with its significant digits."""
    if math.isnan(value):
        return "-"
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON cannot represent, by null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
