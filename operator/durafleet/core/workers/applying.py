"""Whether an owned object needs another server-side apply, or still is as it was last applied.

It is unchanged if two conditions hold. First, its annotation has the digest of the manifest: so this manifest was the
last one applied, and no field of an earlier manifest remains. Second, the object contains all values of the manifest:
so no other client has changed them. If the API server stores a value in a different form, the second condition fails,
and the object is applied once more than necessary. This is the only possible error.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGEST = "durafleet.dev/manifest"
"""Annotation on the objects that the operator applies; its value is the digest of the manifest."""
_EMPTY: tuple[object, ...] = ("", None, [], {})
"""Values that the API server omits."""


def digest(manifest: Mapping[str, Any]) -> str:
    """Return the digest of a manifest."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def with_digest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with its own digest as an annotation."""
    meta = manifest["metadata"]
    annotations = {**meta.get("annotations", {}), DIGEST: digest(manifest)}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}


def has_digest_of(body: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Return whether this manifest was the last one applied to the object."""
    return (body["metadata"].get("annotations") or {}).get(DIGEST) == digest(manifest)


def is_as_applied(body: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Return whether applying the manifest would not change the object."""
    return has_digest_of(body, manifest) and contains(body, manifest)


def contains(body: Any, wanted: Any) -> bool:
    """Return whether the object contains all wanted values. Other values are defaults, or fields of other managers."""
    if wanted in _EMPTY and body is None:
        return True
    if isinstance(wanted, Mapping):
        return isinstance(body, Mapping) and all(contains(body.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(body, list) and len(body) == len(wanted) and all(map(contains, body, wanted))
    return bool(body == wanted)
