"""Files and addresses of a cluster: chosen once and saved in its state."""

import hashlib
import ipaddress
import json
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NODE_NAME = "node1"
ROOT = Path(__file__).resolve().parents[2]
"""The repository."""


class ClusterError(Exception):
    """The local cluster cannot do what was requested; the message names the next step."""


def cache_dir() -> Path:
    """Return the folder of the build caches in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "durafleet"


def state_dir() -> Path:
    """Return the folder that contains one folder for each cluster."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "durafleet"


@dataclass(frozen=True)
class Network:
    """A /16: pods in .0.0/20, Services in .128.0/20, the link between host and node in .255.0/30."""

    prefix: str  # the first two octets, such as "10.40"

    @property
    def pods(self) -> str:
        return f"{self.prefix}.0.0/20"

    @property
    def services(self) -> str:
        return f"{self.prefix}.128.0/20"

    @property
    def api_service(self) -> str:
        return f"{self.prefix}.128.1"

    @property
    def dns(self) -> str:
        return f"{self.prefix}.128.10"

    @property
    def host(self) -> str:
        return f"{self.prefix}.255.1"

    @property
    def node(self) -> str:
        return f"{self.prefix}.255.2"

    @property
    def server(self) -> str:
        return f"https://{self.node}:6443"


def choose_network(seed: str, used: Iterable[str]) -> Network:
    """Return a /16 of 10.0.0.0/8 that overlaps no network in `used`; the same seed starts with the same candidate.

    Raises:
        ClusterError: none is free.
    """
    taken = [ipaddress.ip_network(text, strict=False) for text in used]
    start = int(hashlib.sha256(seed.encode()).hexdigest()[:6], 16)
    for offset in range(200):
        prefix = f"10.{40 + (start + offset) % 200}"
        if not any(ipaddress.ip_network(f"{prefix}.0.0/16").overlaps(other) for other in taken):
            return Network(prefix)
    raise ClusterError("no free 10.x.0.0/16 on this machine; stop other clusters: python -m dev.cluster down --all")


def routed_networks() -> list[str]:
    """Return the IPv4 networks to which this machine has routes."""
    out = subprocess.run(
        ["ip", "-j", "-4", "route", "show", "table", "all"], check=True, capture_output=True, text=True
    ).stdout
    return [route["dst"] for route in json.loads(out or "[]") if route["dst"] != "default"]


@dataclass
class State:
    """The folder of one cluster, and the facts that are saved in it."""

    name: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", self.name):
            raise ClusterError(f"cluster name {self.name!r}: use up to 31 of a-z, 0-9 and -")
        if self.file.exists():
            self.facts = json.loads(self.file.read_text())

    @property
    def dir(self) -> Path:
        return state_dir() / self.name

    @property
    def file(self) -> Path:
        return self.dir / "cluster.json"

    @property
    def id(self) -> str:
        return hashlib.sha256(str(self.dir).encode()).hexdigest()[:8]

    @property
    def link(self) -> str:
        """Interface name of the link to the node, on the host (at most 15 characters)."""
        return f"dfl{self.id}"

    @property
    def cgroup(self) -> str:
        return f"durafleet-{self.id}"

    @property
    def kubeconfig(self) -> Path:
        return self.dir / "admin.kubeconfig"

    @property
    def network(self) -> Network:
        """Return the addresses; they are chosen on first use."""
        if "network" not in self.facts:
            self.save(network=choose_network(self.name, routed_networks()).prefix)
        return Network(self.facts["network"])

    def log(self, name: str) -> Path:
        """Return the path of a log file; create its folder."""
        (self.dir / "log").mkdir(parents=True, exist_ok=True)
        return self.dir / "log" / f"{name}.log"

    def save(self, **facts: Any) -> None:
        """Save facts atomically."""
        self.facts.update(facts)
        self.dir.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps(self.facts, indent=1))
        fresh.replace(self.file)
