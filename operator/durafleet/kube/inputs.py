"""Read the input of a run from a ConfigMap or Secret: its text, or why it cannot be read."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from durafleet.api.run import InputFrom, KeyRef
from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict
from durafleet.core.runs.world import Given
from durafleet.errors import Denied
from durafleet.kube.client import KubeClient
from durafleet.kube.resources import CONFIG_MAPS, SECRETS, Resource, read


async def read_input(client: KubeClient, namespace: str, source: InputFrom) -> Given | Verdict:
    """Read the key that spec.inputFrom refers to.

    Raises:
        Unavailable: the API server does not answer.
    """
    if source.config_map_key_ref is not None:
        return await _read(client, CONFIG_MAPS, namespace, source.config_map_key_ref)
    if source.secret_key_ref is not None:
        return await _read(client, SECRETS, namespace, source.secret_key_ref)
    return Verdict(Reason.INVALID_SPEC, "spec.inputFrom: set exactly one of configMapKeyRef and secretKeyRef.")


async def _read(client: KubeClient, resource: Resource, namespace: str, ref: KeyRef) -> Given | Verdict:
    subject = f"{resource.kind} {ref.name!r} in spec.inputFrom"
    try:
        body = await read(client, resource, namespace, ref.name)
    except Denied as error:
        advice = "set inputFromSecrets.enabled in the chart's values" if resource is SECRETS else "grant it access"
        return Verdict(Reason.INPUT_NOT_FOUND, f"The operator may not read {subject} ({error}); {advice}.")
    if body is None:
        return Verdict(Reason.INPUT_NOT_FOUND, f"{subject} does not exist in this namespace; create it.")
    texts = {**(body.get("data") or {}), **(body.get("binaryData") or {})}
    if ref.key not in texts:
        known = ", ".join(sorted(texts)) or "none"
        return Verdict(Reason.INPUT_NOT_FOUND, f"{subject} has no key {ref.key!r} (keys: {known}); add it.")
    encoded = resource is SECRETS or ref.key in (body.get("binaryData") or {})
    return _decode(texts, ref.key, subject) if encoded else Given(texts[ref.key])


def _decode(texts: Mapping[str, Any], key: str, subject: str) -> Given | Verdict:
    try:
        return Given(base64.b64decode(texts[key]).decode())
    except (binascii.Error, UnicodeDecodeError):
        return Verdict(Reason.INVALID_SPEC, f"{subject} has no UTF-8 text under the key {key!r}; correct it.")
