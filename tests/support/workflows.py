"""Workflows for the worker of a `Fleet`, and a record of their effects and executions."""

from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

PHASE = SearchAttributeKey.for_keyword("AgentRunPhase")
UPDATED = SearchAttributeKey.for_datetime("AgentRunUpdated")
EFFECTS: list[tuple[str, str]] = []
"""Workflow id and name of every effect of an activity."""
BROKEN: set[str] = set()
"""Names of effects that fail."""
EXECUTIONS: set[tuple[str, str]] = set()
"""Workflow id and run id of every execution that a worker has started."""


@workflow.defn(name="Echo")
class Echo:
    """Returns its input."""

    @workflow.run
    async def run(self, value: Any) -> Any:
        _record_execution()
        return value


@workflow.defn(name="Fail")
class Fail:
    """Fails with its input as the message."""

    @workflow.run
    async def run(self, message: str) -> None:
        _record_execution()
        raise ApplicationError(message, type="Broken", non_retryable=True)


@workflow.defn(name="Wait")
class Wait:
    """Waits for the signal `finish` and returns the signal's argument; can be cancelled."""

    def __init__(self) -> None:
        self._result: str | None = None

    @workflow.run
    async def run(self) -> str:
        _record_execution()
        await workflow.wait_condition(lambda: self._result is not None)
        return str(self._result)

    @workflow.signal
    def finish(self, result: str) -> None:
        self._result = result


@workflow.defn(name="LargeResult")
class LargeResult:
    """Returns a character of two bytes as often as its input says."""

    @workflow.run
    async def run(self, times: int) -> str:
        _record_execution()
        return "é" * times


@activity.defn(name="effect")
async def effect(name: str) -> str:
    """Record the effect, and fail while `BROKEN` contains its name."""
    EFFECTS.append((activity.info().workflow_id, name))
    if name in BROKEN:
        raise ApplicationError(f"{name} is broken", type="Broken", non_retryable=True)
    return name


@workflow.defn(name="Steps")
class Steps:
    """Runs the effects that its input names, one after the other."""

    @workflow.run
    async def run(self, names: list[str]) -> str:
        _record_execution()
        for name in names:
            await workflow.execute_activity(effect, name, start_to_close_timeout=timedelta(seconds=10))
        return "done"


@workflow.defn(name="ContinueAsNew")
class ContinueAsNew:
    """Continues as new as often as its input says, then waits for the signal `finish`."""

    def __init__(self) -> None:
        self._finished = False

    @workflow.run
    async def run(self, times: int) -> str:
        _record_execution()
        if times > 0:
            workflow.continue_as_new(times - 1)
        await workflow.wait_condition(lambda: self._finished)
        return "continued"

    @workflow.signal
    def finish(self, _result: str) -> None:
        self._finished = True


@workflow.defn(name="WaitForApproval")
class WaitForApproval:
    """Reports that it waits for approval, until it receives the signal `finish`."""

    def __init__(self) -> None:
        self._decision: str | None = None

    @workflow.run
    async def run(self) -> str:
        _record_execution()
        self._report("AwaitingApproval")
        await workflow.wait_condition(lambda: self._decision is not None)
        self._report("Running")
        return str(self._decision)

    def _report(self, phase: str) -> None:
        now = workflow.now()
        workflow.upsert_search_attributes([PHASE.value_set(phase), UPDATED.value_set(now)])

    @workflow.signal
    def finish(self, decision: str) -> None:
        self._decision = decision


def _record_execution() -> None:
    info = workflow.info()
    EXECUTIONS.add((info.workflow_id, info.run_id))


WORKFLOWS = [Echo, Fail, Wait, LargeResult, Steps, ContinueAsNew, WaitForApproval]
ACTIVITIES = [effect]


def effects_of(run: dict[str, Any]) -> list[str]:
    """Return the effects of an AgentRun's workflow, including repeated ones."""
    uid = run["metadata"]["uid"]
    return [name for workflow_id, name in EFFECTS if workflow_id.endswith(uid)]


def executions_of(run: dict[str, Any]) -> list[str]:
    """Return the run ids of all executions that workers have started for an AgentRun."""
    return [run_id for workflow_id, run_id in EXECUTIONS if workflow_id.endswith(run["metadata"]["uid"])]
