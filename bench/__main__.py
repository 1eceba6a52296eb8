"""Measure Durafleet: `make bench` writes the page in bench/results, `make bench ARGS=--quick` takes two minutes.

The quick run prints its summary and writes bench/results/quick.json. It leaves out growth, many tenants and
saturation. `--only` runs single steps: paired (floor, burst, arrivals), ratchet (saturation), tenants, neighbour
(a burst in another namespace), open, terminal, memory. The results of all other steps are kept from the last run.
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
    parser.add_argument("--quick", action="store_true", help="a short run of about two minutes")
    parser.add_argument("--only", action="append", default=[], metavar="STEP", help="run only this step; repeatable")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    options = parser.parse_args()
    name = "quick" if options.quick else "full"
    bench = Bench(QUICK if options.quick else FULL)
    file = options.results / f"{name}.json"
    if options.only and file.exists():
        bench.results.update(json.loads(file.read_text()))
        bench.results.pop("summary", None)  # computed again from all results
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
