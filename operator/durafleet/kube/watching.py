"""Kopf's connections to the API server: our User-Agent in the audit log, and no idle connections besides the watches.

Kopf makes one request at a time for each watch (a page of its list, or the watch itself), so it never has more
connections than watches. A lower limit would leave some watches waiting forever.
"""

import aiohttp
import kopf

USER_AGENT = "durafleet-operator (watches)"


class Sessions:
    """Sessions by their credentials.

    The same credentials give the same session. So when the API server rejects the credentials, Kopf takes them as
    expired and ends the operator, which is then restarted, instead of retrying forever.
    """

    def __init__(self) -> None:
        self._sessions: dict[kopf.ConnectionInfo, kopf.AiohttpSession] = {}

    def of(self, info: kopf.ConnectionInfo) -> kopf.AiohttpSession:
        """Return the session of these credentials."""
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
