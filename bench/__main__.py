"""Measure Durafleet: `make bench` for the page in bench/results, `make bench ARGS=--quick` for a look in two minutes.

The quick look prints its summary and writes bench/results/quick.json; it makes every kind of measurement but
those of growth, of many tenants and of the cliff. `--only` makes single steps of the whole: paired (floor,
burst, arrivals), ratchet, tenants, neighbour, open, terminal, memory; what an earlier run measured of the rest stays.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from bench import report
from bench.plan import FULL, QUICK, Bench
from dev.cluster.layout import ROOT

RESULTS = ROOT / "bench" / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a look in about two minutes")
    parser.add_argument("--only", action="append", default=[], metavar="STEP", help="make this step alone")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    options = parser.parse_args()
    name = "quick" if options.quick else "full"
    bench = Bench(QUICK if options.quick else FULL)
    file = options.results / f"{name}.json"
    if options.only and file.exists():
        bench.results.update(json.loads(file.read_text()))
        bench.results.pop("summary", None)  # it is made anew of what was measured
    bench.results["circumstances"] = report.circumstances(f"make bench{' ARGS=--quick' if options.quick else ''}")
    try:
        asyncio.run(bench.run(set(options.only)))
    finally:
        if "rounds" in bench.results:
            summary = report.write(bench.results, options.results, name=name, page=not options.quick)
    print("\n".join(report.budget_table(summary)))
    print(json.dumps({"summary": summary}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
