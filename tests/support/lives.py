"""Lives of AgentRuns: what a user does, and what must be true at the end, whatever happened on the way.

One more life is one more function and one more line of `LIVES`; the crash points in it are found by themselves.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.support.operator import condition
from tests.support.stage import Stage


async def nothing(_: Stage) -> None:
    """Do nothing."""


async def a_worker(stage: Stage) -> None:
    await stage.create_worker()


async def worker_and_run(stage: Stage) -> None:
    await stage.create_worker()
    await stage.create_run("once", "Errand", input="hello")


@dataclass(frozen=True, kw_only=True)
class Life:
    """What a user does with AgentRuns, and what must be true at its end.

    Attributes:
        drive: what the user does; it waits for what the user would wait for.
        prepare: what is there before the operator is.
        ends: the state at the end of each AgentRun that still exists then.
        closed: how each workflow's last execution ended, in Temporal's words.
        events: the reasons of the Events that may be posted, each once for an AgentRun.
        executions: how many executions each workflow id has had.
        effects: how often each workflow id had its effect.
        from_start: whether the calls of the operator's start belong to it.
    """

    drive: Callable[[Stage], Awaitable[None]]
    prepare: Callable[[Stage], Awaitable[None]] = a_worker
    ends: Mapping[str, str] = field(default_factory=lambda: {"once": "Completed"})
    closed: str = "COMPLETED"
    events: frozenset[str] = frozenset({"Running", "Completed"})
    executions: int = 1
    effects: int = 1
    from_start: bool = False


async def completes(stage: Stage) -> None:
    await stage.create_run("once", "Errand", input="hello")
    await stage.until_state("once", "Completed")


async def fails(stage: Stage) -> None:
    await stage.create_run("once", "Fail", input="the printer is on fire")
    await stage.until_state("once", "WorkflowFailed")


async def is_cancelled(stage: Stage) -> None:
    run = await stage.create_run("once", "Linger")
    await stage.until_effect(run)
    await stage.until_state("once", "Running")
    await stage.patch_run("once", stop="Cancel")
    await stage.until_state("once", "Cancelled")


async def is_terminated(stage: Stage) -> None:
    run = await stage.create_run("once", "Linger")
    await stage.until_effect(run)
    await stage.until_state("once", "Running")
    await stage.patch_run("once", stop="Terminate")
    await stage.until_state("once", "Terminated")


async def is_deleted(stage: Stage) -> None:
    run = await stage.create_run("once", "Linger")
    await stage.until_effect(run)
    await stage.until_state("once", "Running")
    await stage.delete_run("once")


async def is_applied_before_its_worker(stage: Stage) -> None:
    await stage.create_run("once", "Errand", input="hello")
    await stage.until_run(
        "once", lambda run: condition(run, "Ready").get("reason") == "WorkerNotFound", what="waits for its worker"
    )
    await stage.create_worker()
    await stage.until_state("once", "Completed")


async def runs_on(stage: Stage) -> None:
    """Long enough for each of the tracker's queries."""
    run = await stage.create_run("once", "Linger")
    await stage.until_effect(run)
    await stage.until_state("once", "Running")
    await stage.until_called("ListWorkflowExecutions", times=3)
    await stage.workflow(run).signal("finish", "all is well")
    await stage.until_state("once", "Completed")


LIVES = {
    "completes": Life(drive=completes),
    "fails": Life(
        drive=fails,
        ends={"once": "WorkflowFailed"},
        closed="FAILED",
        events=frozenset({"Running", "WorkflowFailed"}),
    ),
    "is cancelled by spec.stop": Life(
        drive=is_cancelled,
        ends={"once": "Cancelled"},
        closed="CANCELED",
        events=frozenset({"Running", "Cancelled"}),
    ),
    "is terminated by spec.stop": Life(
        drive=is_terminated,
        ends={"once": "Terminated"},
        closed="TERMINATED",
        events=frozenset({"Running", "Terminated"}),
    ),
    "is deleted while it runs": Life(drive=is_deleted, ends={}, closed="CANCELED"),
    "is applied before its worker": Life(drive=is_applied_before_its_worker, prepare=nothing),
    "runs on": Life(drive=runs_on),
    "was there before the operator": Life(prepare=worker_and_run, drive=nothing, from_start=True),
}
