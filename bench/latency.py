"""Latencies from `apply` to the workflow's start and from its close to the terminal status: medians, one run at a time.

    make demo && .venv/bin/python -m bench.latency --name demo --runs 50

Uses the operator and the worker that the demo installed, with a scripted answer, so that the figures contain no
model latency. Prints JSON: milliseconds, and memory in MiB (working set of the containers' cgroups).
"""

import argparse
import json
import ssl
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from dev.cluster import Cluster
from dev.cluster.api import request

NAMESPACE = "agents"
COLLECTION = f"/apis/durafleet.dev/v1alpha1/namespaces/{NAMESPACE}/agentruns"
PROMPT = json.dumps({"script": [{"text": "done"}]})


def watch(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """Yield every event of the namespace's AgentRuns from now on."""
    state = cluster.state
    context = ssl.create_default_context(cafile=str(state.dir / "pki/ca.crt"))
    context.load_cert_chain(state.dir / "pki/admin.crt", state.dir / "pki/admin.key")
    version = request(state, f"{COLLECTION}?limit=1")["metadata"]["resourceVersion"]
    url = f"{state.network.server}{COLLECTION}?watch=1&resourceVersion={version}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(url, timeout=600) as stream:
        for line in stream:
            yield json.loads(line)


class Ends:
    """The time at which a watch first showed the terminal status of each run."""

    def __init__(self, cluster: Cluster) -> None:
        self.seen: dict[str, float] = {}
        self.changed = threading.Condition()
        threading.Thread(target=self._follow, args=(cluster,), daemon=True).start()

    def _follow(self, cluster: Cluster) -> None:
        for event in watch(cluster):
            body = event["object"]
            if body.get("status", {}).get("completionTime"):
                with self.changed:
                    self.seen.setdefault(body["metadata"]["name"], time.time())
                    self.changed.notify_all()

    def wait(self, name: str) -> float:
        with self.changed:
            if not self.changed.wait_for(lambda: name in self.seen, timeout=60):
                raise TimeoutError(f"run {name} has not ended after 60 s")
            return self.seen[name]


def measure(cluster: Cluster, count: int) -> dict[str, Any]:
    ends, start_ms, end_ms = Ends(cluster), [], []
    stamp = int(time.time())
    for number in range(count):
        name = f"bench-{stamp}-{number}"
        spec = {"workerRef": {"name": "assistant"}, "agent": "greeter", "input": PROMPT}
        body = {"apiVersion": "durafleet.dev/v1alpha1", "kind": "AgentRun", "metadata": {"name": name}, "spec": spec}
        applied = time.time()
        created = request(cluster.state, COLLECTION, method="POST", body=body)
        shown = ends.wait(name)
        workflow = f"agent-run/{NAMESPACE}/{name}/{created['metadata']['uid']}"
        info = json.loads(cluster.temporal.cli("workflow", "describe", "-w", workflow, "-o", "json"))
        info = info["workflowExecutionInfo"]
        start_ms.append((_seconds(info["startTime"]) - applied) * 1000)
        end_ms.append((shown - _seconds(info["closeTime"])) * 1000)
        request(cluster.state, f"{COLLECTION}/{name}", method="DELETE")
    return {"runs": count, "apply_to_start_ms": spread(start_ms), "close_to_terminal_ms": spread(end_ms)}


def _seconds(stamp: str) -> float:
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


def spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 1),
        "p90": round(ordered[int(len(ordered) * 0.9) - 1], 1),
        "max": round(ordered[-1], 1),
    }


def memory(cluster: Cluster) -> dict[str, float]:
    """Return the working sets of the operator's and the workers' containers, in MiB."""
    summary = request(cluster.state, "/api/v1/nodes/node1/proxy/stats/summary")
    return {
        pod["podRef"]["name"]: round(pod["memory"]["workingSetBytes"] / 2**20, 1)
        for pod in summary["pods"]
        if pod["podRef"]["namespace"] in (NAMESPACE, "durafleet-system") and "memory" in pod
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--name", default="demo")
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    cluster = Cluster(options.name, say=lambda _: None)
    print(json.dumps({**measure(cluster, options.runs), "memory_mib": memory(cluster)}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
