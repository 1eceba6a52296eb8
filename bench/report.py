"""The page: every figure beside its budget, with the machine, the versions and the command."""

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
    """Say on what, with what and how the figures were measured."""
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
    """Write the results as JSON, and as a page with plots if asked; return the summary."""
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
    lines = ["| measure | budget | measured | |", "|---|---|---|---|"]
    for budget in BUDGETS:
        if budget.figure not in summary:
            continue  # of growth: not in the quick look
        value = summary[budget.figure]
        kept = "kept" if budget.kept(value) else "**missed**"
        lines.append(f"| {budget.what} | {budget.words} | {_number(value)} {budget.unit} | {kept} |")
    return lines


def _page(results: Results, summary: Mapping[str, float]) -> list[str]:
    about = results["circumstances"]
    versions_said = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return [
        "# What was measured",
        "",
        f"Command: `{about['command']}`, at commit {about['commit']}. Machine: {about['machine']}. "
        f"Versions: {versions_said}. A real API server, etcd (without fsync), controller manager and Temporal server "
        "(SQLite, write-ahead log); a workflow that returns at once; medians over the rounds. What each measurement "
        "does: [bench/](../).",
        "",
        *_elsewhere(results),
        *budget_table(summary),
        "",
        f"Idle figures: with {summary['idle_open_runs']:.0f} open runs.",
        "",
        "## Rounds",
        "",
        "Floor, burst and arrivals one after the other, in each round. The floor is a script that does by hand what a "
        "run needs (create, start, wait for the result, write the status once), with the same clients and no operator.",
        "",
        *_rounds("SQLite in a file", results["rounds"]),
        *(_rounds("SQLite in memory", results["in memory"]) if "in memory" in results else []),
        "",
        "CPU a run in the burst, milliseconds by process: " + _costs(results["rounds"]) + ".",
        "",
        *_harness(results),
        *_tenants(results.get("tenants", ())),
        *_neighbour(results),
        *_ratchet(results.get("ratchet", ())),
        *_growth(results),
    ]


def _elsewhere(results: Results) -> list[str]:
    """Say which parts are of another commit; each part can be measured alone."""
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
    lines = [f"| Temporal on {title}, {len(rounds)} rounds | median | least | most |", "|---|---|---|---|"]
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
        f"The harness alone creates {_number(alone['creates_per_s'])} AgentRuns a second at "
        f"{_number(alone['cpu_ms_per_run']['harness'])} ms of CPU each.",
        "",
    ]


def _tenants(rows: Sequence[Any]) -> list[str]:
    if not rows:
        return []
    lines = [
        "## Many tenants at once, little memory",
        "",
        f"{rows[0]['runs']} runs in 51 namespaces at once; the load under which a published rival was killed for "
        "memory again and again, with 22 % done.",
        "",
        "| memory limit, MiB | completed | runs/s | restarts | peak memory, MiB | duplicates | lost |",
        "|---|---|---|---|---|---|---|",
    ]
    keys = ("completed_percent", "runs_per_s", "restarts", "peak_rss_mib", "duplicates", "lost")
    for row in rows:
        cells = [_number(row[key]) + (" %" if key == "completed_percent" else "") for key in keys]
        lines.append(f"| {row['memory_limit_mib']} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _ratchet(rows: Sequence[Any]) -> list[str]:
    if not rows:
        return []
    lines = ["## To the cliff", "", "Arrivals raised until starts take more than 5 s (p99); 20 s each.", ""]
    lines += ["![latencies over arrivals](ratchet.svg)", ""]
    keys = ("rate", "start_p50_ms", "start_p99_ms", "terminal_p50_ms", "terminal_p99_ms")
    lines += ["| arrivals/s | start p50, ms | start p99 | terminal p50 | terminal p99 |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(_number(row[key]) for key in keys) + " |" for row in rows]
    return [*lines, ""]


def _neighbour(results: Results) -> list[str]:
    if "neighbour" not in results:
        return []
    found = results["neighbour"]
    return [
        "## A neighbour's burst",
        "",
        f"{found['runs']} runs of one namespace at once, and meanwhile one a second of another ({found['singles']}): "
        f"from create to start, those took {_number(found['start_p50_ms'])} ms (p50), "
        f"{_number(found['start_p99_ms'])} ms (p99) and {_number(found['start_most_ms'])} ms at most; "
        f"the crowd {_number(found['crowd']['start_p50_ms'])} ms (p50).",
        "",
    ]


def _growth(results: Results) -> list[str]:
    if "open" not in results and "terminal" not in results:
        return []
    lines = ["## Growth", "", "What it costs that many AgentRuns exist.", "", "![growth](growth.svg)", ""]
    keys = ("idle_cpu_percent", "idle_temporal_rpc_per_s", "rss_mib", "start_p50_ms", "terminal_p50_ms",
            "restart_ready_s", "restart_first_start_s", "restart_meanwhile_start_s", "restart_all_known_s")  # fmt: skip
    lines += ["| AgentRuns | idle CPU, % | Temporal calls/s | memory, MiB | start p50, ms | terminal p50, ms "
              "| restart: ready, s | new run started, s | one created while it reads, s "
              "| all known, s |", "|" + "---|" * 10]  # fmt: skip
    for kind in ("open", "terminal"):
        for row in results.get(kind, ()):
            cells = " | ".join(_number(row.get(key, math.nan)) for key in keys)
            lines.append(f"| {row[kind]} {kind} | {cells} |")
    return [*lines, ""]


def _number(value: float) -> str:
    """Write a figure with as many digits as mean something."""
    if math.isnan(value):
        return "-"
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _finite(value: Any) -> Any:
    """Replace what JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
