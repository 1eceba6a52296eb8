"""One fault at any call of the operator changes nothing: the life of the run ends as it would have without it.

The calls are not listed here. All lives are lived once, and each call that is seen meets each fault in the first
life that has it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from tests.support.crash_points import around_runs
from tests.support.environment import Stage, operating, set_stage
from tests.support.faults import Call, Deed, Drop, Fault, Moment, Reply, Rule, Server, delay, instead, silence
from tests.support.operator import condition
from tests.support.scenario_runner import (
    AT_ONCE,
    Account,
    Mishap,
    compare,
    compare_with_temporal,
    live,
    live_again,
    without_idle_repeats,
)
from tests.support.scenarios import LIVES
from tests.support.servers import Servers
from tests.support.waiting import until


@dataclass(frozen=True)
class Happening:
    """A fault that can meet any call of a server.

    Attributes:
        only: how the signatures begin that can meet it.
        patience: seconds until the operator must have got over it.
    """

    server: Server
    deed: Deed
    moment: Moment = Moment.BEFORE
    only: str = ""
    patience: float = 30

    def met(self, call: Call) -> bool:
        return call.server is self.server and call.signature.startswith(self.only)

    def at(self, call: Call) -> Mishap:
        def add(stage: Stage) -> Rule:
            return stage.script.at(call.signature, self.moment, self.deed, occurrence=call.occurrence)

        return add


OVERLOADED = Reply(429, headers={"Retry-After": "3"}, text="Too many requests, please try again later.")
"""As the API server says it: in plain words."""
HAPPENINGS = {
    "the API server says 409": Happening(Server.KUBERNETES, instead(Reply(409)), only="PATCH"),
    "the API server says 429": Happening(Server.KUBERNETES, instead(OVERLOADED)),
    "the API server says 500": Happening(Server.KUBERNETES, instead(Reply(500))),
    "a load balancer says 503": Happening(Server.KUBERNETES, instead(Reply(503, text="<h1>Unavailable</h1>"))),
    "a connection is reset on the way": Happening(Server.KUBERNETES, instead(Drop())),
    "a connection is reset on the way back": Happening(Server.KUBERNETES, instead(Drop()), Moment.AFTER),
    "the API server stays silent": Happening(Server.KUBERNETES, silence(), patience=120),
    "the API server stays silent after the fact": Happening(
        Server.KUBERNETES, silence(), Moment.AFTER, only="P", patience=120
    ),
    "Temporal is UNAVAILABLE": Happening(Server.TEMPORAL, instead(Reply(grpc.StatusCode.UNAVAILABLE))),
    "Temporal is UNAVAILABLE after the fact": Happening(
        Server.TEMPORAL, instead(Reply(grpc.StatusCode.UNAVAILABLE)), Moment.AFTER
    ),
    "Temporal says DEADLINE_EXCEEDED after the fact": Happening(
        Server.TEMPORAL, instead(Reply(grpc.StatusCode.DEADLINE_EXCEEDED)), Moment.AFTER
    ),
    "Temporal says RESOURCE_EXHAUSTED": Happening(Server.TEMPORAL, instead(Reply(grpc.StatusCode.RESOURCE_EXHAUSTED))),
    "Temporal stays silent": Happening(Server.TEMPORAL, silence(), patience=60),
    "Temporal takes 2 s": Happening(Server.TEMPORAL, delay(2)),
}


@pytest_asyncio.fixture(scope="module")
async def undisturbed(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Account]:
    """All lives as they are without a fault."""
    turnstile = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> Account:
        async with turnstile:
            return await live(LIVES[name], servers, tmp_path_factory.mktemp("undisturbed"))

    return dict(zip(LIVES, await asyncio.gather(*map(one, LIVES)), strict=True))


def first_met(undisturbed: Mapping[str, Account], happening: Happening) -> dict[str, dict[str, Mishap]]:
    """Return the mishaps of each life: those at calls that no life before it has."""
    seen: set[Call] = set()
    mishaps: dict[str, dict[str, Mishap]] = {}
    for name, account in undisturbed.items():
        calls = account.calls if LIVES[name].fleet else around_runs(account.calls)
        new = [call for call in without_idle_repeats(calls) if call not in seen and happening.met(call)]
        seen.update(new)
        mishaps[name] = {f"that at {call} of a run that {name}": happening.at(call) for call in new}
    return mishaps


@pytest.mark.parametrize("name", HAPPENINGS)
async def test_nothing_is_lost_or_done_twice_when(
    name: str,
    undisturbed: Mapping[str, Account],
    servers: Servers,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
):
    happening = HAPPENINGS[name]
    turnstile = asyncio.Semaphore(32 if happening.patience > 30 else AT_ONCE)  # a time-out is waited for, idly

    async def one(life: str, mishaps: Mapping[str, Mishap]) -> list[Account]:
        again = await live_again(
            LIVES[life], servers, tmp_path, mishaps=mishaps, turnstile=turnstile, patience=happening.patience
        )
        compare(undisturbed[life], again)
        return again

    plans = first_met(undisturbed, happening).items()
    accounts = [account for accounts in await asyncio.gather(*(one(*each) for each in plans)) for account in accounts]
    await compare_with_temporal(accounts, servers)
    record_property("calls", len(accounts))
    record_property("not reached again", [each.mishap for each in accounts if not each.reached])
    broken = [account for account in accounts if account.wrong]
    assert not broken, "\n\n".join(map(str, broken))
    assert any(account.reached for account in accounts)


async def test_a_temporal_that_is_slow_all_the_time_changes_no_life(
    undisturbed: Mapping[str, Account], servers: Servers, tmp_path: Path
):
    def slow(stage: Stage) -> Rule:
        return stage.script.at(Server.TEMPORAL, Moment.BEFORE, delay(2), times=None)

    async def one(life: str) -> Account:
        mishaps = {f"a slow Temporal and a run that {life}": slow}
        (again,) = await live_again(
            LIVES[life], servers, tmp_path, mishaps=mishaps, turnstile=asyncio.Semaphore(), patience=120
        )
        compare(undisturbed[life], [again])
        return again

    accounts = await asyncio.gather(*map(one, LIVES))
    await compare_with_temporal(accounts, servers)
    broken = [account for account in accounts if account.wrong]
    assert not broken, "\n\n".join(map(str, broken))


@pytest.fixture
async def stage(servers: Servers, tmp_path: Path) -> AsyncIterator[Stage]:
    """A namespace with an AgentWorker `support` and an operator."""
    mine = await set_stage(servers, tmp_path)
    await mine.create_worker()
    async with operating(mine):
        await mine.until_watching()
        mine.script.begin()
        yield mine


GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410, "message": "old"}


@pytest.mark.parametrize(
    ("answer", "deaths"),
    [(Reply(410), [1]), (Reply(200, body={"type": "ERROR", "object": GONE}), [])],
    ids=["as an answer, by a new start", "as an event, by a new list"],
)
async def test_what_a_watch_missed_that_was_told_it_is_too_old_is_seen(stage: Stage, answer: Fault, deaths: list[int]):
    run = await stage.create_run("once", "Linger")
    await stage.until_effect(run)
    await stage.until_state("once", "Running")
    told = stage.script.at("WATCH agentruns", Moment.BEFORE, instead(answer))
    stage.script.cut("WATCH agentruns")
    await stage.patch_run("once", stop="Cancel")
    await stage.until_state("once", "Cancelled")
    assert told.done == 1
    assert stage.deaths == deaths


@pytest.mark.parametrize(
    ("signature", "workflow_type", "state"),
    [
        ("PATCH agentruns", "Errand", "Completed"),
        ("PATCH agentruns/status", "Errand", "Completed"),
        ("POST events", "Linger", "Running"),  # whose one Event nothing else overtakes
    ],
)
async def test_who_is_told_to_come_again_later_comes_later(
    stage: Stage, signature: str, workflow_type: str, state: str
):
    loop = asyncio.get_running_loop()
    asked: list[float] = []

    async def refuse_once(_: Call) -> Fault | None:
        asked.append(loop.time())
        return OVERLOADED if len(asked) == 1 else None

    stage.script.at(signature, Moment.BEFORE, refuse_once, times=2)
    await stage.create_run("once", workflow_type, input="hello")
    await stage.until_state("once", state)
    await until(lambda: len(asked) == 2, what="it has come again", within=30)
    assert asked[1] - asked[0] >= 3


async def test_an_operator_that_comes_before_its_custom_resources_waits_for_them(servers: Servers, tmp_path: Path):
    early = await set_stage(servers, tmp_path)
    early.script.begin()
    absent = instead(Reply(404, text="404 page not found"))
    early.script.at("GET /apis/durafleet.dev/v1alpha1", Moment.BEFORE, absent, times=2)
    async with operating(early):
        await early.until_watching()
    assert early.deaths == []
    assert "install the chart durafleet-crds" in early.output()


async def test_a_run_outlives_an_api_server_that_is_away_for_a_while(stage: Stage):
    run = await stage.create_run("once", "Linger")
    await stage.until_effect(run)
    await stage.until_state("once", "Running")
    away = stage.script.at(Server.KUBERNETES, Moment.BEFORE, instead(Drop()), times=None)
    for kind in ("agentruns", "agentworkers", "deployments", "temporalconnections"):
        stage.script.cut(f"WATCH {kind}")
    await stage.workflow(run).signal("finish", "all is well")
    await until(lambda: away.done >= 10, what="the operator has met it", within=30)
    away.stop()
    ended = await stage.until_state("once", "Completed")
    await stage.until_run("once", lambda it: not it["metadata"].get("finalizers"), what="is let go")
    assert ended["status"]["result"]["preview"] == "all is well"
    assert stage.deaths == []


async def test_a_run_outlives_a_temporal_that_is_away_for_a_while(stage: Stage):
    away = stage.script.at(Server.TEMPORAL, Moment.BEFORE, instead(Drop()), times=None)
    run = await stage.create_run("once", "Linger")
    await stage.until_run(
        "once", lambda it: condition(it, "Ready").get("reason") == "TemporalUnavailable", what="says so"
    )
    away.stop()
    await stage.until_effect(run)
    await stage.until_state("once", "Running")
    away = stage.script.at(Server.TEMPORAL, Moment.BEFORE, instead(Drop()), times=None)
    await stage.patch_run("once", stop="Cancel")
    await until(lambda: away.done >= 5, what="the operator has met it", within=30)
    away.stop()
    await stage.until_state("once", "Cancelled")
    await stage.until_run("once", lambda it: not it["metadata"].get("finalizers"), what="is let go")
