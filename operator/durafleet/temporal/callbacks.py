"""Asking for a callback with a start, and doing without one where the server does not allow it.

Callbacks to an address have to be allowed in the server's dynamic configuration, which the operator cannot read. So
it asks, and a refusal is remembered for as long as the link lives.
"""

from temporalio.api.common.v1 import Callback

from durafleet.errors import AlreadyExists, Denied, NotFound, Refused
from durafleet.temporal.connections import Link

_WORDS = ("callback", "invalid url")
"""What a refusal speaks of that is about the callback, and not about the rest of the start."""


def completion_callbacks(link: Link, workflow_id: str) -> list[Callback]:
    """Return what the start of a workflow asks to be called with; nothing where there are no callbacks."""
    if link.callbacks is None or link.callback_refusal is not None:
        return []
    address = link.callbacks
    return [Callback(nexus=Callback.Nexus(url=address.url, header=address.headers(workflow_id)))]


def may_be_about_callbacks(error: Refused) -> bool:
    """Tell whether a start may have been refused for its callback. A name can hold the same words."""
    if isinstance(error, AlreadyExists | NotFound | Denied):
        return False
    return any(word in str(error).lower() for word in _WORDS)
