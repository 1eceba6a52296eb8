"""The HTTP sessions of the watches."""

import kopf

from durafleet.kube.watching import Sessions


async def test_a_watch_session_sends_its_user_agent_and_bearer_token():
    session = Sessions().of(kopf.ConnectionInfo(server="https://api", token="secret"))
    headers = session.aiohttp_session.headers
    await session.aiohttp_session.close()
    assert headers["User-Agent"].startswith("durafleet-operator ")
    assert headers["Authorization"] == "Bearer secret"


async def test_sessions_are_equal_for_the_same_credentials_and_differ_for_new_ones():
    sessions = Sessions()
    old = sessions.of(kopf.ConnectionInfo(server="https://api", token="old"))
    same = sessions.of(kopf.ConnectionInfo(server="https://api", token="old"))
    new = sessions.of(kopf.ConnectionInfo(server="https://api", token="new"))
    for each in (old, new):
        await each.aiohttp_session.close()
    assert same == old
    assert new != old
