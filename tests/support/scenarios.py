"""Lives of AgentRuns: what a user does, and what must be true at the end, whatever happened on the way.

One more life is one more function and one more line of `LIVES`; the crash points in it are found by themselves.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from durafleet.kube.resources import RUNS
from tests.support.environment import Stage, workflow_id
from tests.support.operator import condition
from tests.support.scenario_workflows import EFFECTS, LOWERED


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
        events: the reasons of the Events that may be posted, each once for an AgentRun and execution.
        executions: how many executions each workflow id has had.
        effects: how often each workflow id had its effect.
        from_start: whether the calls of the operator's start belong to it.
        fleet: whether it is about the AgentWorker as well.
    """

    drive: Callable[[Stage], Awaitable[None]]
    prepare: Callable[[Stage], Awaitable[None]] = a_worker
    ends: Mapping[str, str] = field(default_factory=lambda: {"once": "Completed"})
    closed: str = "COMPLETED"
    events: frozenset[str] = frozenset({"Running", "Completed"})
    executions: int = 1
    effects: int = 1
    from_start: bool = False
    fleet: bool = False


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


async def is_terminated_outside(stage: Stage) -> None:
    run = await stage.create_run("once", "Linger")
    await stage.until_effect(run)
    await stage.until_state("once", "Running")
    await stage.workflow(run).terminate(reason="enough of it")
    await stage.until_state("once", "Terminated")


async def times_out(stage: Stage) -> None:
    short = {"workflow": "5s", "activity": "4s", "heartbeat": "3s"}
    run = await stage.create_run("once", "Linger", timeouts=short)
    await stage.until_effect(run)
    await stage.until_state("once", "TimedOut")


async def is_held_before_its_start(stage: Stage) -> None:
    await stage.create_run("once", "Errand", input="hello", suspend=True)
    await stage.until_state("once", "Suspended")
    await stage.patch_run("once", suspend=False)
    await stage.until_state("once", "Completed")


async def is_suspended_and_resumed(stage: Stage) -> None:
    run = await stage.create_run("once", "Linger")
    await stage.until_effect(run)
    await stage.until_state("once", "Running")
    await stage.patch_run("once", suspend=True)
    await stage.until_state("once", "Suspended")
    await stage.patch_run("once", suspend=False)
    await stage.until_state("once", "Running")
    await stage.workflow(run).signal("finish", "all is well")
    await stage.until_state("once", "Completed")


async def is_retried(stage: Stage) -> None:
    run = await stage.create_run("once", "Climb")
    await stage.until_state("once", "WorkflowFailed")
    LOWERED.add(workflow_id(run))
    await stage.patch_run("once", retry={"token": "1"})
    await stage.until_state("once", "Completed")


async def is_created_again_under_its_key(stage: Stage) -> None:
    key = {"idempotencyKey": "order-7"}
    first = await stage.create_run("once", "Linger", **key, deletionPolicy="Abandon")
    await stage.until_effect(first)
    await stage.until_state("once", "Running")
    await stage.delete_run("once")
    await stage.until(RUNS, lambda all_: "once" not in all_, what="the first one is gone")
    second = await stage.create_run("once", "Linger", **key)
    await stage.until_state("once", "Running")
    await stage.workflow(second).signal("finish", "all is well")
    await stage.until_state("once", "Completed")


async def a_narrow_worker(stage: Stage) -> None:
    await stage.create_worker(maxConcurrentRuns=1)


async def waits_in_line(stage: Stage) -> None:
    before = await stage.create_run("before", "Linger")
    await stage.until_effect(before)
    await stage.until_state("before", "Running")
    run = await stage.create_run("once", "Errand", input="hello")
    await stage.until_state("once", "Queued")
    if EFFECTS[workflow_id(run)]:
        raise TimeoutError("the run was queued and started")
    await stage.workflow(before).signal("finish", "all is well")
    await stage.until_state("once", "Completed")


async def lives_no_longer_than_its_work(stage: Stage) -> None:
    await stage.create_run("once", "Errand", input="hello", ttlSecondsAfterFinished=0)
    await stage.until(RUNS, lambda all_: "once" not in all_, what="the run is gone")


async def a_worker_and_a_prompt(stage: Stage) -> None:
    await stage.create_worker()
    await stage.create_config_map("prompts", hello="hello")


async def has_its_input_elsewhere(stage: Stage) -> None:
    await stage.create_run("once", "Errand", inputFrom={"configMapKeyRef": {"name": "prompts", "key": "hello"}})
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
    "is applied before its worker": Life(drive=is_applied_before_its_worker, prepare=nothing, fleet=True),
    "runs on": Life(drive=runs_on),
    "is terminated in Temporal": Life(
        drive=is_terminated_outside,
        ends={"once": "Terminated"},
        closed="TERMINATED",
        events=frozenset({"Running", "Terminated"}),
    ),
    "times out": Life(
        drive=times_out,
        ends={"once": "TimedOut"},
        closed="TIMED_OUT",
        events=frozenset({"Running", "TimedOut"}),
    ),
    "is held before its start": Life(drive=is_held_before_its_start),
    "is suspended and resumed": Life(drive=is_suspended_and_resumed),
    "is retried from where it failed": Life(
        drive=is_retried,
        events=frozenset({"Running", "WorkflowFailed", "Completed"}),
        executions=2,
    ),
    "is created again under its key": Life(drive=is_created_again_under_its_key),
    "waits in line": Life(
        prepare=a_narrow_worker, drive=waits_in_line, ends={"before": "Completed", "once": "Completed"}
    ),
    "lives no longer than its work": Life(drive=lives_no_longer_than_its_work, ends={}),
    "has its input elsewhere": Life(prepare=a_worker_and_a_prompt, drive=has_its_input_elsewhere),
    "was there before the operator": Life(prepare=worker_and_run, drive=nothing, from_start=True, fleet=True),
}
