"""The connection of the watches."""

import kopf

from durafleet.kube.watching import Sessions


async def test_the_api_server_hears_who_watches_and_with_which_token():
    session = Sessions().of(kopf.ConnectionInfo(server="https://api", token="secret"))
    headers = session.aiohttp_session.headers
    await session.aiohttp_session.close()
    assert headers["User-Agent"].startswith("durafleet-operator ")
    assert headers["Authorization"] == "Bearer secret"


async def test_credentials_that_were_refused_are_known_again_and_new_ones_are_new():
    sessions = Sessions()
    old = sessions.of(kopf.ConnectionInfo(server="https://api", token="old"))
    same = sessions.of(kopf.ConnectionInfo(server="https://api", token="old"))
    new = sessions.of(kopf.ConnectionInfo(server="https://api", token="new"))
    for each in (old, new):
        await each.aiohttp_session.close()
    assert same == old
    assert new != old
