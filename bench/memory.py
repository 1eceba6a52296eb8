"""What AgentRuns that have ended cost the operator: its resident memory as their number grows.

    .venv/bin/python -m bench.memory --runs 1000,5000,10000

Starts an API server of its own, with no node and no Temporal: the runs are created with the status of runs
that have completed. One operator watches while they are created, and another one is started anew once all are
there. Prints JSON: MiB, and KiB for each further run.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from kubernetes.aio import config as kube_config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from dev.cluster import Cluster
from dev.cluster.layout import ROOT
from durafleet.kube.client import MERGE, KubeClient
from durafleet.kube.resources import RUNS

PORT = 18_080
AT_ONCE = 16
NAMESPACES = tuple(f"tenant-{number}" for number in range(10))
QUIET = 5.0
"""Seconds without a change before a figure is taken."""


@contextmanager
def operator(cluster: Cluster) -> Iterator[int]:
    """Run an operator; yields its process id."""
    env = {
        **os.environ,
        **cluster.env,
        "DURAFLEET_TEMPORAL_ADDRESS": "127.0.0.1:1",
        "DURAFLEET_HTTP_HOST": "127.0.0.1",
        "DURAFLEET_HTTP_PORT": str(PORT),
        "DURAFLEET_LOG_FORMAT": "plain",
    }
    process = subprocess.Popen([sys.executable, "-m", "durafleet"], env=env)
    try:
        while process.poll() is None and not ready():
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def get(path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=60) as answer:
        return str(answer.read().decode())


def ready() -> bool:
    try:
        return get("/readyz") == "ok\n"
    except OSError:
        return False


def visits() -> float:
    """Return how many keys of AgentRuns the operator has taken from its queue."""
    return sum(
        float(each) for each in re.findall(r'durafleet_queue_seconds_count\{.*"agentruns".*\} (\S+)', get("/metrics"))
    )


def settled_memory(pid: int) -> dict[str, float]:
    """Return the operator's resident memory, and its peak, once nothing has happened for a while; in MiB."""
    seen, since = -1.0, time.monotonic()
    while time.monotonic() - since < QUIET:
        time.sleep(0.5)
        now = visits()
        if now != seen:
            seen, since = now, time.monotonic()
    status = Path(f"/proc/{pid}/status").read_text()
    figures = {name: int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024 for name in ("VmRSS", "VmHWM")}  # type: ignore[index]
    return {"resident": round(figures["VmRSS"], 1), "peak": round(figures["VmHWM"], 1)}


def a_run(name: str) -> dict[str, Any]:
    spec = {
        "workerRef": {"name": "support"},
        "agent": "greeter",
        "input": f"Summarise the conversation of customer {name}. " + "What was asked, what was answered? " * 50,
    }
    return {"apiVersion": RUNS.api_version, "kind": RUNS.kind, "metadata": {"name": name}, "spec": spec}


def its_end(run: dict[str, Any]) -> dict[str, Any]:
    """Return the status that the operator writes for a run that has completed."""
    meta = run["metadata"]
    workflow = f"agent-run/{meta['namespace']}/{meta['name']}/{meta['uid']}"
    times = {"observedGeneration": 1, "lastTransitionTime": "2026-11-25T03:00:01Z"}
    said = {"reason": "Completed", "message": "The workflow completed after 1m12s.", **times}
    return {
        "observedGeneration": 1,
        "state": "Completed",
        "conditions": [{"type": kind, "status": "True", **said} for kind in ("Succeeded", "Ready")],
        "workflow": {
            "id": workflow,
            "runId": meta["uid"],
            "firstRunId": meta["uid"],
            "namespace": "default",
            "taskQueue": f"{meta['namespace']}/support",
            "type": "AgentRun",
        },
        "startTime": "2026-11-25T03:00:00Z",
        "completionTime": "2026-11-25T03:01:12Z",
        "progress": {"turns": 3},
        "result": {
            "preview": "The customer asked about an invoice. " * 15,
            "size": 555,
            "sha256": "0" * 64,
            "ref": f"temporal://default/{workflow}?run={meta['uid']}",
        },
    }


async def create(kube: KubeClient, first: int, last: int) -> None:
    """Create AgentRuns that have completed."""
    turnstile = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        namespace, name = NAMESPACES[number % len(NAMESPACES)], f"run-{number:06}"
        async with turnstile:
            run = await kube.request("POST", RUNS.path(namespace), body=a_run(name))
            path = RUNS.path(namespace, name, "status")
            await kube.request("PATCH", path, body={"status": its_end(run)}, content_type=MERGE)

    await asyncio.gather(*map(one, range(first, last)))


async def fill(kubeconfig: Path, first: int, last: int) -> None:
    configuration = Configuration()
    await kube_config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    kube = KubeClient(ApiClient(configuration=configuration))
    try:
        await create(kube, first, last)
    finally:
        await kube.close()


def measure(cluster: Cluster, levels: list[int]) -> dict[str, Any]:
    watching: dict[int, dict[str, float]] = {}
    with operator(cluster) as pid:
        watching[0] = settled_memory(pid)
        for before, level in pairwise([0, *levels]):
            asyncio.run(fill(cluster.kubeconfig, before, level))
            watching[level] = settled_memory(pid)
            print(level, watching[level], file=sys.stderr, flush=True)
    with operator(cluster) as pid:
        restarted = settled_memory(pid)
    slopes = {
        f"{one}-{other}": round((watching[other]["resident"] - watching[one]["resident"]) * 1024 / (other - one), 2)
        for one, other in pairwise([0, *levels])
    }
    return {"watching_mib": watching, "kib_per_run": slopes, "restarted_mib": {levels[-1]: restarted}}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", default="1000,5000,10000")
    options = parser.parse_args()
    cluster = Cluster(f"memory-{os.getpid()}", say=lambda _: None)
    try:
        cluster.up(["control-plane"])
        cluster.helm("install", "durafleet-crds", str(ROOT / "helm/durafleet-crds"), "--wait")
        for namespace in NAMESPACES:
            cluster.kubectl("create", "namespace", namespace)
        print(json.dumps(measure(cluster, [int(each) for each in options.runs.split(",")]), indent=1))
    finally:
        cluster.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
