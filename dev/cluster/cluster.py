"""One local cluster: start its parts, use it, and delete it without leftovers."""

import fcntl
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dev.cluster import images, loading
from dev.cluster.api import accounts_work, api_serves, grant_dns, node_is_ready, publish
from dev.cluster.components import write_configuration
from dev.cluster.host import (
    enter,
    group_folders,
    link_exists,
    node_pid,
    release,
    route,
    start_node,
    stop_node,
    wait_for_node,
)
from dev.cluster.layout import ClusterError, State, state_dir
from dev.cluster.model import PORT as MODEL_PORT
from dev.cluster.model import Model
from dev.cluster.pki import write_pki
from dev.cluster.temporal import PORT as TEMPORAL_PORT
from dev.cluster.temporal import Temporal, binary
from dev.cluster.toolchain import CONTROL_PLANE, NODE, ensure

PARTS = ("control-plane", "node", "temporal", "model", "images")
"""Parts that can be started; `node` includes the control plane, `images` includes the node."""


class Cluster:
    """A cluster, identified by name. Every method can be repeated, also after any process has crashed."""

    def __init__(self, name: str = "demo", *, say: Callable[[str], Any] = print) -> None:
        self.name = name
        self._say = say
        self.state = State(name)

    def up(self, parts: Collection[str] = PARTS, *, audit: bool = False, temporal_in_memory: bool = False) -> None:
        """Start parts; leave those alone that run already.

        Raises:
            ClusterError: names what is missing or failed, and the log file.
        """
        if unknown := set(parts) - set(PARTS):
            raise ClusterError(f"unknown parts {sorted(unknown)}; choose from {', '.join(PARTS)}")
        with self._locked():
            self.state = State(self.name)
            pods = bool({"node", "images"} & set(parts))
            if pods or "control-plane" in parts:
                self._start_kubernetes(pods=pods, audit=audit)
            if "temporal" in parts:
                self._start_temporal(in_memory=temporal_in_memory)
            if "model" in parts:
                self._start_model()
            if "images" in parts:
                self.images()

    def down(self) -> None:
        """Stop everything and delete the cluster's state; only the caches remain."""
        if not self.state.dir.exists():
            return
        with self._locked():
            self.state = State(self.name)
            self.model.stop()
            self.temporal.stop()
            stop_node(self.state)
            shutil.rmtree(self.state.dir, ignore_errors=True)

    @property
    def running(self) -> bool:
        return node_pid(self.state) is not None

    @property
    def kubeconfig(self) -> Path:
        return self.state.kubeconfig

    @property
    def host_address(self) -> str:
        """The address at which pods reach this machine."""
        return self.state.network.host

    @property
    def temporal(self) -> Temporal:
        host = self.state.network.host if link_exists(self.state) else "127.0.0.1"
        return Temporal(self.state, host=host)

    @property
    def temporal_in_cluster(self) -> str:
        """Temporal's address inside the cluster."""
        return f"temporal-frontend.temporal:{TEMPORAL_PORT}"

    @property
    def model(self) -> Model:
        return Model(self.state, host=self.state.network.host if link_exists(self.state) else "127.0.0.1")

    @property
    def env(self) -> dict[str, str]:
        """Environment variables with which a shell or a child process uses this cluster."""
        programs = f"{self.state.dir / 'bin'}:{binary().parent}"
        variables = {"TEMPORAL_ADDRESS": self.temporal.address, "TEMPORAL_UI": self.temporal.ui}
        if self.running:
            variables["KUBECONFIG"] = str(self.kubeconfig)
        return {**variables, "PATH": f"{programs}:{os.environ['PATH']}"}

    def kubectl(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """Run kubectl; return its output.

        Raises:
            ClusterError: it failed and `check` is set; the message is kubectl's.
        """
        return self.run("kubectl", *arguments, check=check, stdin=stdin)

    def helm(self, *arguments: str, check: bool = True) -> str:
        """Run Helm with its own folders for this cluster; otherwise like `kubectl`."""
        return self.run("helm", *arguments, check=check)

    def run(self, program: str, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """Run one of the cluster's programs; return its standard output, and standard error if it failed."""
        home = self.state.dir / "helm"
        homes = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        done = subprocess.run(
            [str(self.state.dir / "bin" / program), *arguments],
            env={**os.environ, **self.env, **homes}, input=stdin, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode and check:
            raise ClusterError(f"{program} {' '.join(arguments[:3])}: {done.stderr.strip()}")
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def images(self) -> dict[str, str]:
        """Build and load the project's images; return their references by target."""
        references = {}
        for target in ("operator", "worker"):
            references[target] = images.build_project(target, say=self._say)
            images.load(self.state, references[target])
        self.state.save(images=references)
        return references

    def load(self, image: str) -> str:
        """Load an image from buildah or docker, replacing one of the same name; return the name that pods use."""
        return loading.load(self.state, image, say=self._say)

    def image_on_worker(self, context: Path, *, name: str) -> str:
        """Build and load an image FROM the worker image; return its reference."""
        worker = self.images()["worker"]
        reference = images.build_on_worker(context, name=name, worker_image=worker, say=self._say)
        images.load(self.state, reference)
        return reference

    def leftovers(self) -> list[str]:
        """Return what exists of this cluster on the machine; empty after `down`."""
        found = [str(folder) for folder in group_folders(self.state) if folder.exists()]
        found += [f"link {self.state.link}"] if link_exists(self.state) else []
        found += [str(self.state.dir)] if self.state.dir.exists() else []
        found += [f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines()
                  if str(self.state.dir) in line]  # fmt: skip
        return found

    def _start_kubernetes(self, *, pods: bool, audit: bool) -> None:
        if self.running and (self.state.facts.get("pods") or not pods) and self._api_answers():
            return
        programs = ensure(CONTROL_PLANE + (NODE if pods else ()), say=self._say)
        started = time.monotonic()
        self._say("starting Kubernetes" + (" with a node for pods" if pods else ", control plane only"))
        stop_node(self.state)
        write_pki(self.state)
        write_configuration(self.state)
        process = start_node(self.state, programs, pods=pods, audit=audit)
        self.state.save(pods=pods)
        wait_for_node(self.state, "the API server", lambda: api_serves(self.state), log="kube-apiserver")
        route(self.state)
        grant_dns(self.state)
        release(process)
        if pods:
            self._finish_node(programs)
        wait_for_node(self.state, "the controllers", lambda: accounts_work(self.state), log="kube-controller-manager")
        self._say(f"Kubernetes is ready after {time.monotonic() - started:.1f} s")

    def _api_answers(self) -> bool:
        """Whether the running node serves its API; a node that is stopping does not, and is started again."""
        try:
            wait_for_node(self.state, "the API server", lambda: api_serves(self.state), seconds=20)
        except ClusterError:
            return False
        return True

    def _finish_node(self, programs: dict[str, Path]) -> None:
        network = self.state.network
        dns = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
        publish(self.state, "kube-system", "kube-dns", address=network.node, ports=dns, cluster_ip=network.dns)
        socket = "/run/containerd/containerd.sock"
        wait_for_node(
            self.state, "containerd", lambda: enter(self.state, "test", "-S", socket).returncode == 0, log="containerd"
        )
        archive = self.state.dir / "pause.tar"
        images.pause_archive(programs["pause"], archive)
        images.load_archive(self.state, archive)
        wait_for_node(self.state, "the node", lambda: node_is_ready(self.state), log="kubelet")
        wait_for_node(self.state, "cluster DNS", self._dns_answers, log="coredns")

    def _dns_answers(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.state.network.node}:8181/ready", timeout=2) as answer:
            return bool(answer.status == 200)

    def _start_temporal(self, *, in_memory: bool) -> None:
        server = self.temporal
        if server.pid is None:
            self._say("starting Temporal with its UI")
        server.start(in_memory=in_memory)
        if self.running:
            listens = int(server.address.rpartition(":")[2])
            ports = [{"name": "grpc", "port": TEMPORAL_PORT, "targetPort": listens, "protocol": "TCP"}]
            publish(self.state, "temporal", "temporal-frontend", address=server.host, ports=ports)

    def _start_model(self) -> None:
        self._say("starting the model server (SmolLM2-135M on the CPU)")
        self.model.start()
        if self.running:
            ports = [{"name": "http", "port": MODEL_PORT, "protocol": "TCP"}]
            publish(self.state, "models", "model", address=self.model.host, ports=ports)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let only one command at a time change the cluster."""
        state_dir().mkdir(parents=True, exist_ok=True)
        with (state_dir() / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        if not self.state.dir.exists():
            (state_dir() / f"{self.name}.lock").unlink(missing_ok=True)


def all_clusters() -> list[str]:
    """Return the names of all clusters that have state on this machine."""
    return sorted(path.parent.name for path in state_dir().glob("*/cluster.json"))
