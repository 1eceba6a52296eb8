"""Kopf's connection to the API server: our name in the audit log, and no idle connections kept beside the watches.

Kopf makes one request at a time for each watch (a page of its list, or the watch itself), so it never has more
connections than there are watches; a bound below that would leave watches waiting for ever.
"""

import aiohttp
import kopf

USER_AGENT = "durafleet-operator (watches)"


class Sessions:
    """Sessions by the credentials they are made of.

    The same credentials give the same session: Kopf takes those for spent that the API server has refused, and
    ends the operator, which is then started again, instead of knocking on for ever.
    """

    def __init__(self) -> None:
        self._sessions: dict[kopf.ConnectionInfo, kopf.AiohttpSession] = {}

    def of(self, info: kopf.ConnectionInfo) -> kopf.AiohttpSession:
        """Return the session of some credentials."""
        if info not in self._sessions:
            self._sessions[info] = _session(info)
        return self._sessions[info]


def _session(info: kopf.ConnectionInfo) -> kopf.AiohttpSession:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers={**info.as_http_headers(), "User-Agent": USER_AGENT},
        proxy=info.proxy_url,
        trust_env=info.trust_env,
    )
    return kopf.AiohttpSession(
        server=info.server,
        aiohttp_session=session,
        default_namespace=info.default_namespace,
        priority=info.priority,
        expiration=info.expiration,
    )
