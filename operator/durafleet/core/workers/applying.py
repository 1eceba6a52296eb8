"""Whether an owned object is as it was last applied, so that applying it once more would be a write without a change.

Two things must hold. The object bears the digest of the manifest: then this manifest was the last one that was
applied, and no field of an earlier one is left over. And all that the manifest says stands in the object: then
nobody has edited it since. Where the API server writes a value in another way than we do, the second does not
hold, and the object is applied once too often; that is all that can go wrong.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGEST = "durafleet.dev/manifest"
"""Annotation on what the operator applies."""
_EMPTY: tuple[object, ...] = ("", None, [], {})
"""What the API server leaves out."""


def digest(manifest: Mapping[str, Any]) -> str:
    """Tell manifests apart."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def stamped(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest that bears its own digest."""
    meta = manifest["metadata"]
    annotations = {**meta.get("annotations", {}), DIGEST: digest(manifest)}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}


def bears(body: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Tell whether this manifest was the last one that was applied to an object."""
    return (body["metadata"].get("annotations") or {}).get(DIGEST) == digest(manifest)


def is_as_applied(body: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Tell whether applying a manifest would change nothing of an object."""
    return bears(body, manifest) and holds(body, manifest)


def holds(body: Any, wanted: Any) -> bool:
    """Tell whether all that is wanted is there; what is there besides are defaults, or fields of others."""
    if wanted in _EMPTY and body is None:
        return True
    if isinstance(wanted, Mapping):
        return isinstance(body, Mapping) and all(holds(body.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(body, list) and len(body) == len(wanted) and all(map(holds, body, wanted))
    return bool(body == wanted)
