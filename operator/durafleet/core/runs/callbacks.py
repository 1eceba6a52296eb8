"""Completion callbacks: the URL and the headers that Temporal calls when a workflow ends, and their signature.

Anybody who can reach the receiver can send it a request. So a callback carries the workflow id in a header, signed by
the operator at the start of the workflow. The signature proves that the operator started a workflow with this id, and
nothing more: the operator trusts nothing else in the request.
"""

import hmac
import json
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlsplit

PATH = "/callbacks/completed"
"""URL path of the operator's receiver."""
WORKFLOW_HEADER = "durafleet-workflow"
SIGNATURE_HEADER = "durafleet-signature"


@dataclass(frozen=True)
class CallbackAddress:
    """The URL that Temporal calls, and the secret for the signature.

    Attributes:
        url: the receiver's URL, as Temporal reaches it.
    """

    url: str
    secret: str = field(repr=False)

    def headers(self, workflow_id: str) -> dict[str, str]:
        """Return the headers of the callback for a workflow.

        The workflow id identifies the AgentRun: it contains the namespace, the name, and the UID or idempotency key.
        """
        return {WORKFLOW_HEADER: workflow_id, SIGNATURE_HEADER: sign(workflow_id, secret=self.secret)}

    def signed(self, workflow_id: str, signature: str) -> bool:
        """Return whether the signature is valid; the comparison takes constant time."""
        return hmac.compare_digest(_bytes(sign(workflow_id, secret=self.secret)), _bytes(signature))

    @property
    def server_setting(self) -> str:
        """The dynamic configuration that makes a Temporal server allow callbacks to this URL."""
        parts = urlsplit(self.url)
        allowed = [{"Pattern": parts.netloc, "AllowInsecure": parts.scheme == "http"}]
        return f"callback.allowedAddresses={json.dumps(allowed, separators=(',', ':'))}"


def sign(workflow_id: str, *, secret: str) -> str:
    """Return the HMAC-SHA256 of a workflow id, in hexadecimal."""
    return hmac.new(secret.encode(), _bytes(workflow_id), sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")  # a header may contain any bytes
