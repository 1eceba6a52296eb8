"""Runs the scenarios, with and without faults.

A scenario runs without faults first (the baseline), and the proxies record the operator's calls. Faults are derived
from these calls, and the scenario runs again with each fault. Every result must be the same as the baseline.
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
from tests.support.environment import Environment, create_environment, run_operators, workflow_id
from tests.support.faults import Call, Rule
from tests.support.kube_api import Body, KubeError
from tests.support.operator import state_of
from tests.support.scenario_workflows import EFFECTS, STARTED
from tests.support.scenarios import Scenario
from tests.support.servers import Servers

CONCURRENCY = 6
"""Scenarios that run at the same time; on two cores a higher number is not faster."""
_IDLE_REPEATS = 2
_VARIABLE_PARTS = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\bt-[0-9a-f]{10}\b"
    r"|(?<=after )[0-9hms]+"
)
"""Parts of a status that differ between two equal results: times, durations, UIDs and namespaces."""

FaultInjection = Callable[[Environment], Rule]
"""Adds a fault to the script of an environment."""


@dataclass(frozen=True, kw_only=True)
class ScenarioResult:
    """The result of a scenario.

    Attributes:
        fault: the name of the fault; None for the baseline.
        injected: whether the fault was injected; timing varies, so a polling call of the baseline may not recur.
        workflows: the workflow ids of the scenario, with the number of executions that each must have.
        final_statuses: the statuses at the end without their variable parts; None if the scenario did not finish.
        problems: the differences from what must be true.
    """

    fault: str | None
    injected: bool
    calls: list[Call]
    workflows: Mapping[str, int]
    final_statuses: dict[str, str] | None
    problems: list[str]
    output: str

    def __str__(self) -> str:
        return f"with {self.fault or 'no fault'}: {'; '.join(self.problems) or 'no problems'}\n{self.output[-3000:]}"


async def run_scenario(
    scenario: Scenario,
    servers: Servers,
    folder: Path,
    *,
    fault: tuple[str, FaultInjection] | None = None,
    deadline: float = 30,
    operators: int = 1,
    election: bool = False,
) -> ScenarioResult:
    """Run a scenario without faults or with one fault, by default with one operator.

    Several operators are all active, unless there is a leader election.
    """
    environment = await create_environment(servers, folder)
    environment.deadline = deadline
    rule = fault[1](environment) if fault is not None else None
    final_statuses: dict[str, str] | None = None
    problems: list[str] = []
    try:
        await scenario.prepare(environment)
        if scenario.includes_startup:
            environment.script.start()
        async with run_operators(environment, operators=operators, election=election):
            if not scenario.includes_startup:
                await environment.until_watching()
                environment.script.start()
            await _run_steps(scenario, environment, with_fault=fault is not None or operators > 1)
            final_statuses, problems = await _verify(scenario, environment)
    except (TimeoutError, KubeError, RPCError) as error:
        problems.append(f"{type(error).__name__}: {error}")
    if environment.unexpected_exits:
        problems.append(f"operators exited unexpectedly, with codes {environment.unexpected_exits}")
    return ScenarioResult(
        fault=fault[0] if fault is not None else None,
        injected=rule is not None and rule.applied > 0,
        calls=list(environment.script.calls),
        workflows=dict.fromkeys({workflow_id(run) for run in environment.created}, scenario.executions),
        final_statuses=final_statuses,
        problems=problems,
        output=environment.output(),
    )


async def run_with_each_fault(
    scenario: Scenario,
    servers: Servers,
    folder: Path,
    *,
    faults: Callable[[list[Call]], Mapping[str, FaultInjection]],
) -> list[ScenarioResult]:
    """Run a scenario without faults, then with each fault derived from its calls; return the results in that order."""
    first = await run_scenario(scenario, servers, _subfolder(folder, "baseline"))
    if first.problems:
        return [first]
    semaphore = asyncio.Semaphore(CONCURRENCY)
    others = await run_with_faults(scenario, servers, folder, faults=faults(first.calls), semaphore=semaphore)
    results = [first, *others]
    compare_with_baseline(first, others)
    await check_execution_counts(results, servers)
    return results


async def run_with_faults(
    scenario: Scenario,
    servers: Servers,
    folder: Path,
    *,
    faults: Mapping[str, FaultInjection],
    semaphore: asyncio.Semaphore,
    deadline: float = 30,
) -> list[ScenarioResult]:
    """Run a scenario once with each fault; the semaphore limits how many run at the same time."""

    async def one(fault: tuple[str, FaultInjection]) -> ScenarioResult:
        async with semaphore:
            own_folder = Path(tempfile.mkdtemp(dir=folder))
            return await run_scenario(scenario, servers, own_folder, fault=fault, deadline=deadline)

    return await asyncio.gather(*map(one, faults.items()))


def without_idle_repeats(calls: Iterable[Call]) -> list[Call]:
    """Return the calls of a scenario without those that only repeat an earlier one.

    While nothing changes, the operator repeats some reads (sweeps, long-polls, reads of pods), and their number
    depends on how long the scenario lasts. After each change, the first two reads of each signature are kept; the
    others are equivalent to the second.
    """
    chosen: list[Call] = []
    idle: Counter[str] = Counter()
    for call in calls:
        if call.mutating:
            idle.clear()
        idle[call.signature] += not call.mutating
        if idle[call.signature] <= _IDLE_REPEATS:
            chosen.append(call)
    return chosen


async def _run_steps(scenario: Scenario, environment: Environment, *, with_fault: bool) -> None:
    await scenario.steps(environment)
    await environment.until(
        RUNS,
        lambda all_: _finished(all_, scenario.final_states),
        what=f"the final states are {dict(scenario.final_states)}",
    )
    if with_fault:
        await environment.until_caught_up()  # so that a surplus action of the operator shows


async def _verify(scenario: Scenario, environment: Environment) -> tuple[dict[str, str], list[str]]:
    """Return the final statuses of a finished scenario, and its problems."""
    runs = await environment.until(
        RUNS, lambda all_: _finished(all_, scenario.final_states), what="the final states do not change"
    )
    events = await environment.events()
    problems = [problem for run in runs.values() for problem in _event_problems(run, events, scenario)]
    for run in environment.created:
        key = workflow_id(run)
        last = await environment.workflow(run).describe()
        if last.status is None or last.status.name != scenario.workflow_status:
            problems.append(f"workflow {key} is {last.status and last.status.name}, not {scenario.workflow_status}")
        if EFFECTS[key] != scenario.effects:
            problems.append(f"{EFFECTS[key]} effects of {key}, not {scenario.effects}")
        if len(STARTED.get(key, ())) != scenario.executions:
            problems.append(f"workers started the executions {STARTED.get(key)} of {key}, not {scenario.executions}")
        current = runs.get(run["metadata"]["name"])
        if current is not None and current["metadata"]["uid"] == run["metadata"]["uid"]:
            reported = current["status"].get("workflow", {})
            if (reported.get("id"), reported.get("runId")) != (key, last.run_id):
                problems.append(f"the status reports {reported}, not {key} {last.run_id}")
    return {name: _without_variable_parts(run["status"]) for name, run in runs.items()}, problems


def compare_with_baseline(first: ScenarioResult, others: Iterable[ScenarioResult]) -> None:
    """Add a problem to each result whose final statuses differ from the baseline."""
    for other in others:
        if other.final_statuses is not None and other.final_statuses != first.final_statuses:
            other.problems.append(f"the final statuses are {other.final_statuses}, not {first.final_statuses}")


async def check_execution_counts(results: list[ScenarioResult], servers: Servers) -> None:
    """Add a problem to each result for which Temporal lists a wrong number of executions.

    One check covers all results: visibility is eventually consistent, so a later list is more complete.
    """
    expected = {key: number for result in results for key, number in result.workflows.items()}
    deadline = asyncio.get_running_loop().time() + 30
    found = await _execution_counts(servers)
    while any(found[key] < number for key, number in expected.items()) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.1)
        found = await _execution_counts(servers)
    for result in results:
        for key, number in result.workflows.items():
            if found[key] != number:
                result.problems.append(f"Temporal lists {found[key]} executions of {key}, not {number}")


async def _execution_counts(servers: Servers) -> Counter[str]:
    """Count the executions of each workflow id, without the SDK's enum, which does not know paused workflows."""
    found: Counter[str] = Counter()
    request = ListWorkflowExecutionsRequest(namespace="default", page_size=1000)
    while True:
        try:
            response = await servers.temporal.workflow_service.list_workflow_executions(request, retry=True)
        except RPCError as error:
            if error.status is RPCStatusCode.CANCELLED:  # the server ends each connection after 5 minutes
                continue
            raise
        found.update(info.execution.workflow_id for info in response.executions)
        request.next_page_token = response.next_page_token
        if not response.next_page_token:
            return found


def _finished(runs: Mapping[str, Body], states: Mapping[str, str]) -> bool:
    released = all(not run["metadata"].get("finalizers") for run in runs.values())
    return released and {name: state_of(run) for name, run in runs.items()} == dict(states)


def _event_problems(run: Body, events: list[Body], scenario: Scenario) -> list[str]:
    counts: Counter[str] = Counter()
    for event in events:
        if event["involvedObject"]["uid"] == run["metadata"]["uid"]:
            counts[event["reason"]] += event.get("count", 1)
    return [
        f"{number} Events {reason} for one AgentRun"
        for reason, number in counts.items()
        if number > scenario.executions or reason not in scenario.event_reasons
    ]


def _without_variable_parts(status: Mapping[str, Any]) -> str:
    return _VARIABLE_PARTS.sub("*", repr(status))


def _subfolder(folder: Path, name: str) -> Path:
    own_folder = folder / name
    own_folder.mkdir()
    return own_folder
