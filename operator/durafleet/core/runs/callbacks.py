"""What Temporal is given to call when a run ends, and how such a call is known to be one that we asked for.

The receiver is open to whoever reaches it, so a call has to show that it stems from a start of ours: it brings the
workflow id back, signed. It proves no more than that, and nothing else that it says is believed.
"""

import hmac
import json
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlsplit

PATH = "/callbacks/completed"
"""Where the operator receives them."""
WORKFLOW_HEADER = "durafleet-workflow"
SIGNATURE_HEADER = "durafleet-signature"


@dataclass(frozen=True)
class CallbackAddress:
    """Where Temporal calls, and the secret that signs.

    Attributes:
        url: as Temporal reaches the operator.
    """

    url: str
    secret: str = field(repr=False)

    def headers(self, workflow_id: str) -> dict[str, str]:
        """Return what a call for a workflow has to bring.

        The id alone says which AgentRun it is: it holds the namespace, the name, and the UID or the key.
        """
        return {WORKFLOW_HEADER: workflow_id, SIGNATURE_HEADER: sign(workflow_id, secret=self.secret)}

    def signed(self, workflow_id: str, signature: str) -> bool:
        """Tell whether a signature is ours, in a time that does not tell how much of it is."""
        return hmac.compare_digest(_bytes(sign(workflow_id, secret=self.secret)), _bytes(signature))

    @property
    def server_setting(self) -> str:
        """The dynamic configuration that lets a Temporal server call here."""
        parts = urlsplit(self.url)
        allowed = [{"Pattern": parts.netloc, "AllowInsecure": parts.scheme == "http"}]
        return f"callback.allowedAddresses={json.dumps(allowed, separators=(',', ':'))}"


def sign(workflow_id: str, *, secret: str) -> str:
    """Return the HMAC-SHA256 of a workflow id, in hexadecimal."""
    return hmac.new(secret.encode(), _bytes(workflow_id), sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")  # as a header may come, whatever its bytes are
