"""Request a completion callback with a start, and start without it if the server does not allow it.

The server's dynamic configuration has to allow the callback address, and the operator cannot read it. So the
operator requests the callback, and remembers a refusal for the lifetime of the link.
"""

from temporalio.api.common.v1 import Callback

from durafleet.errors import AlreadyExists, Denied, NotFound, Refused
from durafleet.temporal.connections import Link

_WORDS = ("callback", "invalid url")
"""Words of an error that is about the callback, and not about the rest of the start."""


def completion_callbacks(link: Link, workflow_id: str) -> list[Callback]:
    """Return the callbacks to request with the start of a workflow; none if they are not configured or refused."""
    if link.callbacks is None or link.callback_refusal is not None:
        return []
    address = link.callbacks
    return [Callback(nexus=Callback.Nexus(url=address.url, header=address.headers(workflow_id)))]


def may_be_about_callbacks(error: Refused) -> bool:
    """Tell whether a start may have been rejected for its callback. A name can contain the same words."""
    if isinstance(error, AlreadyExists | NotFound | Denied):
        return False
    return any(word in str(error).lower() for word in _WORDS)
