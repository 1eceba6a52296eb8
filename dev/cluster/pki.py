"""The cluster's certificates and kubeconfigs.

Two clients are strict: the API server reads service account keys in SEC 1 format only. Python 3.13 and
later require key identifiers in every certificate, and critical constraints in that of the authority.
"""

import base64
import datetime
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dev.cluster.layout import NODE_NAME, Network, State

_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)  # early and fixed, so that a clock change has no effect
_UNTIL = _FROM + datetime.timedelta(days=30 * 365)
_SERVICE = "kubernetes.default.svc.cluster.local"


@dataclass(frozen=True)
class Identity:
    """The subject of a certificate."""

    file: str
    name: str
    group: str | None = None
    hosts: Sequence[str] = ()
    addresses: Sequence[str] = ()


CLIENTS = (
    Identity("admin", "admin", "system:masters"),
    Identity("controller-manager", "system:kube-controller-manager"),
    Identity("scheduler", "system:kube-scheduler"),
    Identity("proxy", "system:kube-proxy"),
    Identity("coredns", "coredns"),
)


def identities(network: Network) -> list[Identity]:
    """Return all identities that need a certificate."""
    parts = _SERVICE.split(".")
    names = ["localhost", *(".".join(parts[:count]) for count in (1, 2, 3, 5))]
    return [
        Identity("apiserver", "kube-apiserver", None, names, ("127.0.0.1", network.api_service, network.node)),
        Identity("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Identity("kubelet", f"system:node:{NODE_NAME}", "system:nodes", (NODE_NAME,), (network.node, "127.0.0.1")),
        *CLIENTS,
    ]


def write_pki(state: State) -> None:
    """Write all keys, certificates and kubeconfigs, once."""
    folder = state.dir / "pki"
    if (folder / "complete").exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = ec.generate_private_key(ec.SECP256R1())
    root = _certificate_authority(authority)
    _write(folder, "ca", authority, root)
    for identity in identities(state.network):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(folder, identity.file, key, _certificate(identity, key, authority, root.subject))
    _write(folder, "sa", ec.generate_private_key(ec.SECP256R1()), None)  # signs service account tokens
    for name in ("kubelet", *(client.file for client in CLIENTS)):
        _private(folder / f"{name}.kubeconfig", json.dumps(_kubeconfig(folder, name, state.network.server)).encode())
    _private(state.kubeconfig, (folder / "admin.kubeconfig").read_bytes())
    (folder / "complete").touch()


def _name(common_name: str, group: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if group:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(attributes)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _certificate_authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("durafleet-local")
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, key_encipherment=False, content_commitment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = _builder(name, name, key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())


def _certificate(
    identity: Identity, key: ec.EllipticCurvePrivateKey, authority: ec.EllipticCurvePrivateKey, issuer: x509.Name
) -> x509.Certificate:
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = _builder(_name(identity.name, identity.group), issuer, key)
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    builder = builder.add_extension(issuer_key, critical=False)
    alternatives: list[x509.GeneralName] = [x509.DNSName(host) for host in identity.hosts]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in identity.addresses]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(authority, hashes.SHA256())


def _write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate | None) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    _private(folder / f"{name}.key", pem)
    if certificate is not None:
        (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _private(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)


def _kubeconfig(folder: Path, user: str, server: str) -> dict[str, Any]:
    def inline(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    credentials = {"client-certificate-data": inline(f"{user}.crt"), "client-key-data": inline(f"{user}.key")}
    cluster = {"server": server, "certificate-authority-data": inline("ca.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": user}}],
    }
