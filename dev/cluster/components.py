"""The programs of a node: their command lines and configuration files, with paths inside the node."""

import json
from collections.abc import Iterator
from pathlib import Path

from dev.cluster.layout import NODE_NAME, Network, State

STATE = "/mnt/state"
BIN = "/mnt/bin"
PKI = f"{STATE}/pki"
PAUSE_IMAGE = "localhost/pause:1"

Command = tuple[str, list[str]]


def control_plane(network: Network, *, audit: bool) -> Iterator[Command]:
    """Yield etcd and the API server; both must be ready before other components start."""
    yield "etcd", [
        "etcd", f"--data-dir={STATE}/etcd", "--unsafe-no-fsync", "--log-level=warn",
        "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
    ]  # fmt: skip
    yield "kube-apiserver", [
        "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443", "--bind-address=0.0.0.0",
        f"--advertise-address={network.node}", f"--service-cluster-ip-range={network.services}",
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
        f"--client-ca-file={PKI}/ca.crt",
        f"--tls-cert-file={PKI}/apiserver.crt", f"--tls-private-key-file={PKI}/apiserver.key",
        f"--kubelet-certificate-authority={PKI}/ca.crt", "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-client-certificate={PKI}/kubelet-client.crt",
        f"--kubelet-client-key={PKI}/kubelet-client.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={PKI}/sa.key", f"--service-account-signing-key-file={PKI}/sa.key",
        *_audit(enabled=audit),
    ]  # fmt: skip


def controllers() -> Iterator[Command]:
    """Yield the controller manager."""
    yield "kube-controller-manager", [
        "kube-controller-manager", f"--kubeconfig={PKI}/controller-manager.kubeconfig", "--leader-elect=false",
        f"--root-ca-file={PKI}/ca.crt", f"--service-account-private-key-file={PKI}/sa.key",
        "--use-service-account-credentials", "--bind-address=127.0.0.1",
        f"--cluster-signing-cert-file={PKI}/ca.crt", f"--cluster-signing-key-file={PKI}/ca.key",
        "--kube-api-qps=200", "--kube-api-burst=400",  # with the default rate, the first start takes seconds longer
    ]  # fmt: skip


def node(network: Network) -> Iterator[Command]:
    """Yield the components that run pods."""
    yield "kube-scheduler", [
        "kube-scheduler", f"--kubeconfig={PKI}/scheduler.kubeconfig", "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]  # fmt: skip
    yield "containerd", ["containerd", "-c", f"{STATE}/etc/containerd.toml"]
    yield "kubelet", [
        "kubelet", f"--config={STATE}/etc/kubelet.yaml", f"--kubeconfig={PKI}/kubelet.kubeconfig",
        f"--hostname-override={NODE_NAME}", f"--node-ip={network.node}",
    ]  # fmt: skip
    yield "kube-proxy", ["kube-proxy", f"--config={STATE}/etc/proxy.yaml"]
    yield "coredns", ["coredns", "-conf", f"{STATE}/etc/Corefile"]


def _audit(*, enabled: bool) -> list[str]:
    if not enabled:
        return []
    return [f"--audit-policy-file={STATE}/etc/audit.yaml", f"--audit-log-path={STATE}/log/audit.jsonl"]


def write_configuration(state: State) -> None:
    """Write the components' configuration files."""
    network, etc = state.network, state.dir / "etc"
    (etc / "cni").mkdir(parents=True, exist_ok=True)
    _json(etc / "cni/10-pods.conflist", _cni(network))
    _json(etc / "kubelet.yaml", _kubelet(network))
    _json(etc / "proxy.yaml", _proxy(network))
    _json(etc / "audit.yaml", {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]})
    (etc / "resolv.conf").write_text(f"nameserver {network.node}\n")
    (etc / "containerd.toml").write_text(_CONTAINERD)
    (etc / "Corefile").write_text(_corefile(network))


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1))  # JSON is YAML


def _cni(network: Network) -> dict[str, object]:
    # ptp, not bridge: traffic between pods is routed, so Services work without br_netfilter. Address leases are
    # in the node's private /run, so a crash leaks none.
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam",
        "ranges": [[{"subnet": network.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}]}


def _kubelet(network: Network) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/kubelet.crt",
        "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [network.dns],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{STATE}/etc/resolv.conf",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "cgroupsPerQOS": False,  # QoS cgroups need the host's cgroup root; container limits work without
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "featureGates": {"KubeletInUserNamespace": True},  # tolerates operations that an unprivileged host denies
        "imageGCHighThresholdPercent": 100,  # local images are in no registry, so never delete them
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "64Mi"},
        "shutdownGracePeriod": "0s",
    }


def _proxy(network: Network) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": f"{PKI}/proxy.kubeconfig"},
        "clusterCIDR": network.pods,
        "hostnameOverride": NODE_NAME,
        "conntrack": {"maxPerCore": 0, "min": 0},
        "metricsBindAddress": "127.0.0.1:10249",
    }


def _corefile(network: Network) -> str:
    # Two server blocks: in a single one, `template` would answer before `kubernetes`.
    return f"""cluster.local:53 {{
    bind {network.node}
    kubernetes cluster.local {{
        kubeconfig {PKI}/coredns.kubeconfig
    }}
    ready {network.node}:8181
    cache 5
}}
.:53 {{
    bind {network.node}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


_CONTAINERD = f"""version = 3
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{BIN}"]
  conf_dir = "{STATE}/etc/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
"""
