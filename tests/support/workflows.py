"""Workflows of the tests' own workers, and a record of what they really did."""

from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

PHASE = SearchAttributeKey.for_keyword("AgentRunPhase")
UPDATED = SearchAttributeKey.for_datetime("AgentRunUpdated")
EFFECTS: list[tuple[str, str]] = []
"""Workflow id and name of every effect that an activity of these tests has had."""
BROKEN: set[str] = set()
"""Names of effects that fail."""
EXECUTIONS: set[tuple[str, str]] = set()
"""Workflow id and run id of every execution that a worker of these tests has begun."""


@workflow.defn(name="Echo")
class Echo:
    """Returns its input."""

    @workflow.run
    async def run(self, value: Any) -> Any:
        _note_execution()
        return value


@workflow.defn(name="Break")
class Break:
    """Fails with its input as the message."""

    @workflow.run
    async def run(self, message: str) -> None:
        _note_execution()
        raise ApplicationError(message, type="Broken", non_retryable=True)


@workflow.defn(name="Wait")
class Wait:
    """Waits for the signal `finish`, and returns what comes with it; lets itself be cancelled."""

    def __init__(self) -> None:
        self._words: str | None = None

    @workflow.run
    async def run(self) -> str:
        _note_execution()
        await workflow.wait_condition(lambda: self._words is not None)
        return str(self._words)

    @workflow.signal
    def finish(self, words: str) -> None:
        self._words = words


@workflow.defn(name="Flood")
class Flood:
    """Returns so many times two bytes."""

    @workflow.run
    async def run(self, times: int) -> str:
        _note_execution()
        return "é" * times


@activity.defn(name="effect")
async def effect(name: str) -> str:
    """Do something that shows; fails while `BROKEN` holds the name."""
    EFFECTS.append((activity.info().workflow_id, name))
    if name in BROKEN:
        raise ApplicationError(f"{name} does not work today", type="Broken", non_retryable=True)
    return name


@workflow.defn(name="Steps")
class Steps:
    """Has the effects that its input names, one after the other."""

    @workflow.run
    async def run(self, names: list[str]) -> str:
        _note_execution()
        for name in names:
            await workflow.execute_activity(effect, name, start_to_close_timeout=timedelta(seconds=10))
        return "done"


@workflow.defn(name="Relay")
class Relay:
    """Goes on as a new execution as often as its input says, then waits for the signal `finish`."""

    def __init__(self) -> None:
        self._finished = False

    @workflow.run
    async def run(self, times: int) -> str:
        _note_execution()
        if times > 0:
            workflow.continue_as_new(times - 1)
        await workflow.wait_condition(lambda: self._finished)
        return "relayed"

    @workflow.signal
    def finish(self, _words: str) -> None:
        self._finished = True


@workflow.defn(name="Ask")
class Ask:
    """Says that it waits for a person, until the signal `finish` comes."""

    def __init__(self) -> None:
        self._answer: str | None = None

    @workflow.run
    async def run(self) -> str:
        _note_execution()
        self._tell("AwaitingApproval")
        await workflow.wait_condition(lambda: self._answer is not None)
        self._tell("Running")
        return str(self._answer)

    def _tell(self, phase: str) -> None:
        now = workflow.now()
        workflow.upsert_search_attributes([PHASE.value_set(phase), UPDATED.value_set(now)])

    @workflow.signal
    def finish(self, answer: str) -> None:
        self._answer = answer


def _note_execution() -> None:
    info = workflow.info()
    EXECUTIONS.add((info.workflow_id, info.run_id))


WORKFLOWS = [Echo, Break, Wait, Flood, Steps, Relay, Ask]
ACTIVITIES = [effect]


def effects_of(run: dict[str, Any]) -> list[str]:
    """Return the effects that the activities of an AgentRun's workflow have had, repeats included."""
    uid = run["metadata"]["uid"]
    return [name for workflow_id, name in EFFECTS if workflow_id.endswith(uid)]


def executions_of(run: dict[str, Any]) -> list[str]:
    """Return the run ids of all executions that workers have begun for an AgentRun."""
    return [run_id for workflow_id, run_id in EXECUTIONS if workflow_id.endswith(run["metadata"]["uid"])]
