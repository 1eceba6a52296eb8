"""The plots: figures over the number of AgentRuns, and latencies over the rate of arrivals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt  # after the backend is chosen

mpl.rcParams.update({"svg.hashsalt": "durafleet", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})

Row = Mapping[str, Any]
_PANELS = (
    ("idle_cpu_percent", "CPU while idle, % of a core", 2.0),
    ("rss_mib", "memory, MiB", 200.0),
    ("idle_temporal_rpc_per_s", "Temporal calls while idle, 1/s", 2.0),
    ("terminal_p50_ms", "close to terminal status, p50, ms", None),
    ("restart_first_start_s", "kill -9 to a new run's start, s", 5.0),
    ("restart_all_known_s", "kill -9 to all known again, s", 60.0),
)


def growth(rows: Mapping[str, Sequence[Row]], file: Path) -> None:
    """Plot the figures that depend on the number of AgentRuns; `rows` by "open" and "terminal"."""
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.4))
    for axis, (name, title, budget) in zip(axes.flat, _PANELS, strict=True):
        for kind, mark in (("open", "o-"), ("terminal", "s--")):
            points = rows.get(kind, ())
            axis.plot([row[kind] for row in points], [row[name] for row in points], mark, label=kind, markersize=4)
        if budget is not None:
            axis.axhline(budget, color="tab:red", linewidth=0.8, linestyle=":", label="budget")
        axis.set_title(title, fontsize=9)
        axis.set_ylim(bottom=0)
    for axis in axes[1]:
        axis.set_xlabel("AgentRuns")
    axes[0][0].legend(fontsize=8)
    _save(figure, file)


def ratchet(rows: Sequence[Row], file: Path) -> None:
    """Plot latencies over the rate of arrivals, up to saturation."""
    figure, axis = plt.subplots(figsize=(6, 3.4))
    for name, mark in (("start_p50_ms", "o-"), ("start_p99_ms", "o--"), ("terminal_p50_ms", "s-"),
                       ("terminal_p99_ms", "s--")):  # fmt: skip
        label = name.removesuffix("_ms").replace("_", ", ")
        axis.plot([row["rate"] for row in rows], [row[name] for row in rows], mark, label=label, markersize=4)
    axis.set_yscale("log")
    axis.set_xlabel("arrivals a second (open loop)")
    axis.set_ylabel("ms")
    axis.legend(fontsize=8)
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
