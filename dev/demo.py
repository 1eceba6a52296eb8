"""`make demo`: start a cluster, install the operator, create a fleet and a run, and explain every step.

Uses the same tools as a user: Helm installs the charts, kubectl applies examples/quickstart. If a step
fails, prints a diagnosis and exits with a non-zero code.

DURAFLEET_DEMO_BASE_URL, DURAFLEET_DEMO_MODEL and OPENAI_API_KEY replace the small local model with
your own.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dev.cluster import PARTS, Cluster
from dev.cluster.external import ExternalCluster, choose_cluster
from dev.cluster.layout import ROOT, ClusterError
from dev.cluster.model import UPSTREAM
from dev.install import SYSTEM, install

QUICKSTART = ROOT / "examples/quickstart"
NAMESPACE = "agents"
RUN, WORKER = "hello", "assistant"
DEADLINE = 300.0
"""Seconds within which the run must finish."""

console = Console(highlight=False, soft_wrap=True)


def step(what: str, why: str) -> None:
    """Print the next step and its purpose."""
    console.print(f"\n[bold cyan]▸ {what}[/]\n  [dim]{why}[/]")


def say(text: str) -> None:
    console.print(f"  {text}", markup=False)


def apply_quickstart(cluster: Cluster) -> None:
    """Apply the quickstart example, with the user's own model if there is one."""
    cluster.kubectl("create", "namespace", NAMESPACE, check=False)
    key = os.environ.get("OPENAI_API_KEY", "local")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "model-key", "namespace": NAMESPACE},
        "stringData": {"OPENAI_API_KEY": key},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(secret))
    cluster.kubectl("-n", NAMESPACE, "delete", "agentrun", RUN, "--ignore-not-found", "--timeout=150s")
    for file in sorted(QUICKSTART.glob("*.yaml")):
        say(f"kubectl -n {NAMESPACE} apply -f {file.relative_to(ROOT)}")
        cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=with_own_model(cluster, file))


def with_own_model(cluster: Cluster, file: Path) -> str:
    """Return the manifest with the model that the environment names instead of the local one.

    The local cluster's model server forwards requests to the user's API; other clusters call it directly.
    """
    text = file.read_text()
    base, model = os.environ.get(UPSTREAM), os.environ.get("DURAFLEET_DEMO_MODEL")
    if base and isinstance(cluster, ExternalCluster):
        text = text.replace("http://model.models:8080/v1", base)
    return text.replace("openai:smollm2-135m-instruct", f"openai:{model}") if model else text


def read(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    return dict(json.loads(cluster.kubectl("-n", NAMESPACE, "get", kind, name, "-o", "json")))


def condition(body: dict[str, Any], kind: str) -> dict[str, str]:
    found = [each for each in body.get("status", {}).get("conditions", []) if each["type"] == kind]
    return dict(found[0]) if found else {"status": "Unknown", "reason": "Pending", "message": "not reconciled yet"}


def follow(cluster: Cluster) -> dict[str, Any]:
    """Print state changes until the run has ended; return the run.

    After a success, wait until the fleet is Ready too: a short run can end before the kubelet reports its pod as ready.

    Raises:
        ClusterError: the run did not end in time; the message names the last state.
    """
    end, printed = time.monotonic() + DEADLINE, ""
    while True:
        run, worker = read(cluster, "agentrun", RUN), read(cluster, "agentworker", WORKER)
        ready = condition(worker, "Ready")
        line = f"AgentWorker {ready['reason']}; AgentRun {run.get('status', {}).get('state') or 'Pending'}"
        if line != printed:
            say(line)
            printed = line
        succeeded = condition(run, "Succeeded")["status"]
        if succeeded == "False" or (succeeded == "True" and ready["status"] == "True"):
            return run
        if time.monotonic() > end:
            raise ClusterError(f"the run did not finish within {DEADLINE:.0f} s: {printed}. {ready['message']}")
        time.sleep(0.5)


def report(cluster: Cluster, run: dict[str, Any]) -> bool:
    """Print the result, the answer and the next commands; return whether the run succeeded."""
    status = run["status"]
    table = Table(title="Result", title_justify="left")
    for column in ("kind", "name", "state", "message"):
        table.add_column(column, overflow="fold")
    for kind, name in (("agentworker", WORKER), ("agentrun", RUN)):
        body = read(cluster, kind, name)
        ready = condition(body, "Ready")
        table.add_row(body["kind"], f"{NAMESPACE}/{name}", ready["reason"], ready["message"])
    console.print(table)
    succeeded = condition(run, "Succeeded")["status"] == "True"
    if succeeded:
        console.print(f"\n[bold green]The agent's answer:[/]\n{status['result']['preview']}", markup=True)
    else:
        failure = status.get("failure", {})
        console.print(f"[bold red]The run failed:[/] {failure.get('type')}: {failure.get('message')}")
        diagnose(cluster)
    say_where(cluster, status["workflow"]["id"])
    return succeeded


def say_where(cluster: Cluster, workflow: str) -> None:
    """Tell where to look next."""
    console.print("\n[bold]Where to look next[/]")
    for line in (
        'eval "$(make -s env)"                                 # kubectl, helm and temporal of this cluster',
        f"kubectl -n {NAMESPACE} get agentworkers,agentruns",
        f"kubectl -n {NAMESPACE} describe agentrun {RUN}",
        f"temporal workflow show --workflow-id {workflow}",
        *([] if isinstance(cluster, ExternalCluster) else [f"{cluster.temporal.ui}    # Temporal's UI"]),
        "examples/custom-tools/README.md                      # next: an agent that calls your tools",
        "make down                                            # leaves nothing but the caches",
    ):
        say(line)


def diagnose(cluster: Cluster) -> None:
    """Print the state of the cluster, to find the cause of a failure."""
    console.print("\n[bold]State of the cluster[/]")
    for arguments in (
        ("-n", NAMESPACE, "get", "agentworkers,agentruns,pods", "-o", "wide"),
        ("-n", NAMESPACE, "get", "events", "--sort-by=.lastTimestamp"),
        ("-n", NAMESPACE, "logs", "-l", f"durafleet.dev/worker={WORKER}", "--tail=20"),
        ("-n", SYSTEM, "logs", "-l", "app.kubernetes.io/component=operator", "--prefix", "--tail=20"),
    ):
        console.print(f"$ kubectl {' '.join(arguments)}", markup=False)
        console.print(cluster.kubectl(*arguments, check=False), markup=False)


def demo(cluster: Cluster) -> bool:
    """Run the demo; return whether the run succeeded."""
    step("Start Kubernetes, Temporal and a small language model", "All run on this machine only; built once.")
    cluster.up([part for part in PARTS if part != "images"])
    step("Install the operator and its CRDs with Helm", "The images are built from the project's Dockerfile.")
    install(cluster, say=say)
    step("Create a fleet and a run", "AgentWorker: pods that poll a task queue. AgentRun: one workflow execution.")
    apply_quickstart(cluster)
    return report(cluster, follow(cluster))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--name", default="demo", help="which local cluster (default: demo)")
    name = parser.parse_args().name
    started = time.monotonic()
    cluster: Cluster | None = None
    try:
        cluster = choose_cluster(name, say=say)
        good = demo(cluster)
    except ClusterError as error:
        console.print(f"\n[bold red]The demo failed:[/] {error}")
        if cluster is not None and cluster.running:
            diagnose(cluster)
        console.print("\nFix the cause, then run `make demo` again.", markup=False)
        return 1
    console.print(f"\n[dim]Finished in {time.monotonic() - started:.0f} s[/]")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
