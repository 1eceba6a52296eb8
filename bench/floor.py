"""The floor: a baseline script that makes only the calls that each run needs, with the same clients and no operator.

    KUBECONFIG=FILE python -m bench.floor --temporal HOST:PORT --namespace NS --runs 1000 --in-flight 64

For each run it creates the AgentRun, starts the workflow, waits for the result and writes the status once. It
survives no crash, retries nothing and cannot cancel a run, so no operator can do better. The operator's throughput
is compared with that of this script. Prints JSON.
"""

import argparse
import asyncio
import hashlib
import json
import statistics
import time
from collections.abc import Iterator

from temporalio.client import Client

from bench.workload import TASK_QUEUE
from durafleet.kube.client import KubeClient
from durafleet.kube.resources import RUNS

_CONDITIONS = ("Ready", "Succeeded")


async def one(kube: KubeClient, temporal: Client, namespace: str, name: str) -> None:
    """Take one run from its creation to its terminal status."""
    spec = {"workerRef": {"name": "bench"}, "workflowType": "Nothing"}
    body = {"apiVersion": RUNS.api_version, "kind": RUNS.kind, "metadata": {"name": name}, "spec": spec}
    created = await kube.request("POST", RUNS.path(namespace), body=body)
    workflow_id = f"floor/{namespace}/{name}/{created['metadata']['uid']}"
    handle = await temporal.start_workflow("Nothing", id=workflow_id, task_queue=TASK_QUEUE)
    result = await handle.result()
    status = {"status": _status(workflow_id, str(handle.first_execution_run_id), result)}
    await kube.request(
        "PATCH", RUNS.path(namespace, name, "status"), body=status, content_type="application/merge-patch+json"
    )


def _status(workflow_id: str, run_id: str, result: str) -> dict[str, object]:
    """Return a status of the same size as the operator's."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    reason = {"reason": "Completed", "message": "The workflow completed.", "lastTransitionTime": now}
    workflow = {"id": workflow_id, "runId": run_id, "namespace": "default", "taskQueue": TASK_QUEUE, "type": "Nothing"}
    return {
        "observedGeneration": 1,
        "state": "Completed",
        "conditions": [{"type": kind, "status": "True", "observedGeneration": 1, **reason} for kind in _CONDITIONS],
        "workflow": workflow,
        "startTime": now,
        "completionTime": now,
        "result": {"preview": result, "size": len(result), "sha256": hashlib.sha256(result.encode()).hexdigest()},
    }


async def main(options: argparse.Namespace) -> None:
    kube = await KubeClient.connect(name="floor")
    temporal = await Client.connect(options.temporal)
    names: Iterator[int] = iter(range(options.runs))
    seconds: list[float] = []

    async def work_through() -> None:
        for number in names:
            began = time.monotonic()
            await one(kube, temporal, options.namespace, f"floor-{number}")
            seconds.append(time.monotonic() - began)

    began, cpu = time.monotonic(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(options.in_flight):
            group.create_task(work_through())
    took = time.monotonic() - began
    figures = {
        "runs_per_s": options.runs / took,
        "run_p50_ms": statistics.median(seconds) * 1000,
        "client_cpu_ms_per_run": (time.process_time() - cpu) * 1000 / options.runs,
    }
    await kube.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--temporal", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=64)
    asyncio.run(main(parser.parse_args()))
