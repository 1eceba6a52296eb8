"""Living the lives of AgentRuns, with and without mishaps.

A life is lived undisturbed first, and the proxies write down the operator's calls. Mishaps are made out of
these calls, and the life is lived again with each of them. All must end like the first one.
"""

import asyncio
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.service import RPCError, RPCStatusCode

from durafleet.kube.resources import RUNS
from tests.support.environment import Stage, operating, set_stage, workflow_id
from tests.support.faults import Call, Rule
from tests.support.kube_api import Body, KubeError
from tests.support.operator import state_of
from tests.support.scenario_workflows import BEGUN, EFFECTS
from tests.support.scenarios import Life
from tests.support.servers import Servers

AT_ONCE = 6
"""Lives lived at the same time; more make two cores no faster."""
_IDLE_REPEATS = 2
_VARIES = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\bt-[0-9a-f]{10}\b"
    r"|(?<=after )[0-9hms]+"
)
"""What differs between two lives that end alike: times, durations, UIDs and namespaces."""

Mishap = Callable[[Stage], Rule]
"""Adds to a stage's script what is to go wrong."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """How a life went.

    Attributes:
        mishap: the name of what went wrong; None for the undisturbed life.
        reached: whether it did go wrong; times differ between two lives, and with them what is polled.
        workflows: the workflow ids that the life led to, with the number of executions that each must have.
        story: the statuses at the end without what varies; None if the end was never reached.
        wrong: what is not as it must be.
    """

    mishap: str | None
    reached: bool
    calls: list[Call]
    workflows: Mapping[str, int]
    story: dict[str, str] | None
    wrong: list[str]
    output: str

    def __str__(self) -> str:
        return f"with {self.mishap or 'no mishap'}: {'; '.join(self.wrong) or 'all well'}\n{self.output[-3000:]}"


async def live(
    life: Life,
    servers: Servers,
    folder: Path,
    *,
    mishap: tuple[str, Mishap] | None = None,
    patience: float = 30,
    operators: int = 1,
    election: bool = False,
) -> Account:
    """Live a life, undisturbed or with one mishap, and as a rule with one operator.

    Of several operators all act, or with an election one.
    """
    stage = await set_stage(servers, folder)
    stage.patience = patience
    rule = mishap[1](stage) if mishap is not None else None
    story: dict[str, str] | None = None
    wrong: list[str] = []
    try:
        await life.prepare(stage)
        if life.from_start:
            stage.script.begin()
        async with operating(stage, operators=operators, election=election):
            if not life.from_start:
                await stage.until_watching()
                stage.script.begin()
            await _live_through(life, stage, disturbed=mishap is not None or operators > 1)
            story, wrong = await _judge(life, stage)
    except (TimeoutError, KubeError, RPCError) as error:
        wrong.append(f"{type(error).__name__}: {error}")
    if stage.deaths:
        wrong.append(f"operators ended by themselves, with codes {stage.deaths}")
    return Account(
        mishap=mishap[0] if mishap is not None else None,
        reached=rule is not None and rule.done > 0,
        calls=list(stage.script.calls),
        workflows=dict.fromkeys({workflow_id(run) for run in stage.created}, life.executions),
        story=story,
        wrong=wrong,
        output=stage.output(),
    )


async def live_with_each(
    life: Life,
    servers: Servers,
    folder: Path,
    *,
    mishaps: Callable[[list[Call]], Mapping[str, Mishap]],
) -> list[Account]:
    """Live a life undisturbed, then with each mishap that its calls give rise to; return the accounts in that order."""
    first = await live(life, servers, _subfolder(folder, "undisturbed"))
    if first.wrong:
        return [first]
    turnstile = asyncio.Semaphore(AT_ONCE)
    others = await live_again(life, servers, folder, mishaps=mishaps(first.calls), turnstile=turnstile)
    accounts = [first, *others]
    compare(first, others)
    await compare_with_temporal(accounts, servers)
    return accounts


async def live_again(
    life: Life,
    servers: Servers,
    folder: Path,
    *,
    mishaps: Mapping[str, Mishap],
    turnstile: asyncio.Semaphore,
    patience: float = 30,
) -> list[Account]:
    """Live a life with each of some mishaps, no more at a time than the turnstile lets through."""

    async def one(mishap: tuple[str, Mishap]) -> Account:
        async with turnstile:
            mine = Path(tempfile.mkdtemp(dir=folder))
            return await live(life, servers, mine, mishap=mishap, patience=patience)

    return await asyncio.gather(*map(one, mishaps.items()))


def without_idle_repeats(calls: Iterable[Call]) -> list[Call]:
    """Return the calls of a life that differ from each other.

    Reads that go on while nothing changes (sweeps, long-polls, looks at pods) are repeated as often as the life
    happens to last. Of each signature the first two after a change are taken; the others are like the second.
    """
    chosen: list[Call] = []
    idle: Counter[str] = Counter()
    for call in calls:
        if call.effect:
            idle.clear()
        idle[call.signature] += not call.effect
        if idle[call.signature] <= _IDLE_REPEATS:
            chosen.append(call)
    return chosen


async def _live_through(life: Life, stage: Stage, *, disturbed: bool) -> None:
    await life.drive(stage)
    await stage.until(RUNS, lambda all_: _over(all_, life.ends), what=f"all ends as {dict(life.ends)}")
    if disturbed:
        await stage.until_caught_up()  # an operator that does too much has then done it


async def _judge(life: Life, stage: Stage) -> tuple[dict[str, str], list[str]]:
    """Return the story of a life that is over, and what is wrong with it."""
    runs = await stage.until(RUNS, lambda all_: _over(all_, life.ends), what="all stays as it is")
    events = await stage.events()
    wrong = [complaint for run in runs.values() for complaint in _wrong_events(run, events, life)]
    for run in stage.created:
        key = workflow_id(run)
        last = await stage.workflow(run).describe()
        if last.status is None or last.status.name != life.closed:
            wrong.append(f"workflow {key} is {last.status and last.status.name}, not {life.closed}")
        if EFFECTS[key] != life.effects:
            wrong.append(f"{EFFECTS[key]} effects of {key}, not {life.effects}")
        if len(BEGUN.get(key, ())) != life.executions:
            wrong.append(f"workers began {BEGUN.get(key)} of {key}, not {life.executions}")
        there = runs.get(run["metadata"]["name"])
        if there is not None and there["metadata"]["uid"] == run["metadata"]["uid"]:
            named = there["status"].get("workflow", {})
            if (named.get("id"), named.get("runId")) != (key, last.run_id):
                wrong.append(f"the status names {named}, not {key} {last.run_id}")
    return {name: _without_what_varies(run["status"]) for name, run in runs.items()}, wrong


def compare(first: Account, others: Iterable[Account]) -> None:
    """Add to accounts of a life what differs from the undisturbed one."""
    for other in others:
        if other.story is not None and other.story != first.story:
            other.wrong.append(f"it ends as {other.story}, not as {first.story}")


async def compare_with_temporal(accounts: list[Account], servers: Servers) -> None:
    """Add to accounts where Temporal lists other executions than there must be.

    Once for all of them: the list lags behind, so the later it is asked for the more it shows.
    """
    wanted = {key: number for account in accounts for key, number in account.workflows.items()}
    deadline = asyncio.get_running_loop().time() + 30
    found = await _executions(servers)
    while any(found[key] < number for key, number in wanted.items()) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.1)
        found = await _executions(servers)
    for account in accounts:
        for key, number in account.workflows.items():
            if found[key] != number:
                account.wrong.append(f"Temporal lists {found[key]} executions of {key}, not {number}")


async def _executions(servers: Servers) -> Counter[str]:
    """Count the executions of each workflow id. Raw: the SDK's own enum breaks on paused workflows."""
    found: Counter[str] = Counter()
    request = ListWorkflowExecutionsRequest(namespace="default", page_size=1000)
    while True:
        try:
            answer = await servers.temporal.workflow_service.list_workflow_executions(request, retry=True)
        except RPCError as error:
            if error.status is RPCStatusCode.CANCELLED:  # the server ends each connection after 5 minutes
                continue
            raise
        found.update(info.execution.workflow_id for info in answer.executions)
        request.next_page_token = answer.next_page_token
        if not answer.next_page_token:
            return found


def _over(runs: Mapping[str, Body], ends: Mapping[str, str]) -> bool:
    let_go = all(not run["metadata"].get("finalizers") for run in runs.values())
    return let_go and {name: state_of(run) for name, run in runs.items()} == dict(ends)


def _wrong_events(run: Body, events: list[Body], life: Life) -> list[str]:
    counts: Counter[str] = Counter()
    for event in events:
        if event["involvedObject"]["uid"] == run["metadata"]["uid"]:
            counts[event["reason"]] += event.get("count", 1)
    return [
        f"{number} Events {reason} for one AgentRun"
        for reason, number in counts.items()
        if number > life.executions or reason not in life.events
    ]


def _without_what_varies(status: Mapping[str, Any]) -> str:
    return _VARIES.sub("*", repr(status))


def _subfolder(folder: Path, name: str) -> Path:
    mine = folder / name
    mine.mkdir()
    return mine
