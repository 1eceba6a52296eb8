"""Scenarios: what a user does with AgentRuns, and what must be true at the end with any fault.

To add a scenario, write a function and add an entry to `SCENARIOS`; its crash points are derived from its calls.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from durafleet.kube.resources import RUNS
from tests.support.environment import Environment, workflow_id
from tests.support.operator import condition
from tests.support.scenario_workflows import EFFECTS, FIXED


async def do_nothing(_: Environment) -> None:
    """Do nothing."""


async def create_worker(environment: Environment) -> None:
    await environment.create_worker()


async def create_worker_and_run(environment: Environment) -> None:
    await environment.create_worker()
    await environment.create_run("once", "RecordEffect", input="hello")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a user does with AgentRuns, and what must be true at the end.

    Attributes:
        steps: what the user does and waits for.
        prepare: creates the objects that exist before the operator starts.
        final_states: the final state of each AgentRun that still exists.
        workflow_status: Temporal's status of the last execution of each workflow.
        event_reasons: the allowed reasons of Events, each once per AgentRun and execution.
        executions: number of executions of each workflow id.
        effects: number of effects of each workflow id.
        includes_startup: whether the calls during the operator's startup belong to the scenario.
        includes_worker: whether the calls for the AgentWorker belong to the scenario.
    """

    steps: Callable[[Environment], Awaitable[None]]
    prepare: Callable[[Environment], Awaitable[None]] = create_worker
    final_states: Mapping[str, str] = field(default_factory=lambda: {"once": "Completed"})
    workflow_status: str = "COMPLETED"
    event_reasons: frozenset[str] = frozenset({"Running", "Completed"})
    executions: int = 1
    effects: int = 1
    includes_startup: bool = False
    includes_worker: bool = False


async def completes(environment: Environment) -> None:
    await environment.create_run("once", "RecordEffect", input="hello")
    await environment.until_state("once", "Completed")


async def fails(environment: Environment) -> None:
    await environment.create_run("once", "Fail", input="the printer is on fire")
    await environment.until_state("once", "WorkflowFailed")


async def is_cancelled(environment: Environment) -> None:
    run = await environment.create_run("once", "WaitForSignal")
    await environment.until_effect(run)
    await environment.until_state("once", "Running")
    await environment.patch_run("once", stop="Cancel")
    await environment.until_state("once", "Cancelled")


async def is_terminated(environment: Environment) -> None:
    run = await environment.create_run("once", "WaitForSignal")
    await environment.until_effect(run)
    await environment.until_state("once", "Running")
    await environment.patch_run("once", stop="Terminate")
    await environment.until_state("once", "Terminated")


async def is_deleted(environment: Environment) -> None:
    run = await environment.create_run("once", "WaitForSignal")
    await environment.until_effect(run)
    await environment.until_state("once", "Running")
    await environment.delete_run("once")


async def is_created_before_its_worker(environment: Environment) -> None:
    await environment.create_run("once", "RecordEffect", input="hello")
    await environment.until_run(
        "once", lambda run: condition(run, "Ready").get("reason") == "WorkerNotFound", what="reports WorkerNotFound"
    )
    await environment.create_worker()
    await environment.until_state("once", "Completed")


async def runs_through_several_sweeps(environment: Environment) -> None:
    """Run long enough for each query of the tracker."""
    run = await environment.create_run("once", "WaitForSignal")
    await environment.until_effect(run)
    await environment.until_state("once", "Running")
    await environment.until_called("ListWorkflowExecutions", times=3)
    await environment.workflow(run).signal("finish", "all is well")
    await environment.until_state("once", "Completed")


async def is_terminated_in_temporal(environment: Environment) -> None:
    run = await environment.create_run("once", "WaitForSignal")
    await environment.until_effect(run)
    await environment.until_state("once", "Running")
    await environment.workflow(run).terminate(reason="enough of it")
    await environment.until_state("once", "Terminated")


async def times_out(environment: Environment) -> None:
    short = {"workflow": "5s", "activity": "4s", "heartbeat": "3s"}
    run = await environment.create_run("once", "WaitForSignal", timeouts=short)
    await environment.until_effect(run)
    await environment.until_state("once", "TimedOut")


async def is_suspended_before_it_starts(environment: Environment) -> None:
    await environment.create_run("once", "RecordEffect", input="hello", suspend=True)
    await environment.until_state("once", "Suspended")
    await environment.patch_run("once", suspend=False)
    await environment.until_state("once", "Completed")


async def is_suspended_and_resumed(environment: Environment) -> None:
    run = await environment.create_run("once", "WaitForSignal")
    await environment.until_effect(run)
    await environment.until_state("once", "Running")
    await environment.patch_run("once", suspend=True)
    await environment.until_state("once", "Suspended")
    await environment.patch_run("once", suspend=False)
    await environment.until_state("once", "Running")
    await environment.workflow(run).signal("finish", "all is well")
    await environment.until_state("once", "Completed")


async def is_retried_from_its_last_failure(environment: Environment) -> None:
    run = await environment.create_run("once", "FailUntilFixed")
    await environment.until_state("once", "WorkflowFailed")
    FIXED.add(workflow_id(run))
    await environment.patch_run("once", retry={"token": "1"})
    await environment.until_state("once", "Completed")


async def is_recreated_with_the_same_idempotency_key(environment: Environment) -> None:
    key = {"idempotencyKey": "order-7"}
    first = await environment.create_run("once", "WaitForSignal", **key, deletionPolicy="Abandon")
    await environment.until_effect(first)
    await environment.until_state("once", "Running")
    await environment.delete_run("once")
    await environment.until(RUNS, lambda all_: "once" not in all_, what="the first run is gone")
    second = await environment.create_run("once", "WaitForSignal", **key)
    await environment.until_state("once", "Running")
    await environment.workflow(second).signal("finish", "all is well")
    await environment.until_state("once", "Completed")


async def create_worker_with_one_slot(environment: Environment) -> None:
    await environment.create_worker(maxConcurrentRuns=1)


async def is_queued(environment: Environment) -> None:
    before = await environment.create_run("before", "WaitForSignal")
    await environment.until_effect(before)
    await environment.until_state("before", "Running")
    run = await environment.create_run("once", "RecordEffect", input="hello")
    await environment.until_state("once", "Queued")
    if EFFECTS[workflow_id(run)]:
        raise TimeoutError("the run started while it was queued")
    await environment.workflow(before).signal("finish", "all is well")
    await environment.until_state("once", "Completed")


async def is_deleted_when_it_finishes(environment: Environment) -> None:
    await environment.create_run("once", "RecordEffect", input="hello", ttlSecondsAfterFinished=0)
    await environment.until(RUNS, lambda all_: "once" not in all_, what="the run is gone")


async def create_worker_and_config_map(environment: Environment) -> None:
    await environment.create_worker()
    await environment.create_config_map("prompts", hello="hello")


async def takes_its_input_from_a_config_map(environment: Environment) -> None:
    await environment.create_run(
        "once", "RecordEffect", inputFrom={"configMapKeyRef": {"name": "prompts", "key": "hello"}}
    )
    await environment.until_state("once", "Completed")


SCENARIOS = {
    "completes": Scenario(steps=completes),
    "fails": Scenario(
        steps=fails,
        final_states={"once": "WorkflowFailed"},
        workflow_status="FAILED",
        event_reasons=frozenset({"Running", "WorkflowFailed"}),
    ),
    "is cancelled by spec.stop": Scenario(
        steps=is_cancelled,
        final_states={"once": "Cancelled"},
        workflow_status="CANCELED",
        event_reasons=frozenset({"Running", "Cancelled"}),
    ),
    "is terminated by spec.stop": Scenario(
        steps=is_terminated,
        final_states={"once": "Terminated"},
        workflow_status="TERMINATED",
        event_reasons=frozenset({"Running", "Terminated"}),
    ),
    "is deleted while it runs": Scenario(steps=is_deleted, final_states={}, workflow_status="CANCELED"),
    "is created before its worker": Scenario(
        steps=is_created_before_its_worker, prepare=do_nothing, includes_worker=True
    ),
    "runs through several sweeps": Scenario(steps=runs_through_several_sweeps),
    "is terminated in Temporal": Scenario(
        steps=is_terminated_in_temporal,
        final_states={"once": "Terminated"},
        workflow_status="TERMINATED",
        event_reasons=frozenset({"Running", "Terminated"}),
    ),
    "times out": Scenario(
        steps=times_out,
        final_states={"once": "TimedOut"},
        workflow_status="TIMED_OUT",
        event_reasons=frozenset({"Running", "TimedOut"}),
    ),
    "is suspended before it starts": Scenario(steps=is_suspended_before_it_starts),
    "is suspended and resumed": Scenario(steps=is_suspended_and_resumed),
    "is retried from its last failure": Scenario(
        steps=is_retried_from_its_last_failure,
        event_reasons=frozenset({"Running", "WorkflowFailed", "Completed"}),
        executions=2,
    ),
    "is recreated with the same idempotencyKey": Scenario(steps=is_recreated_with_the_same_idempotency_key),
    "is queued": Scenario(
        prepare=create_worker_with_one_slot, steps=is_queued, final_states={"before": "Completed", "once": "Completed"}
    ),
    "is deleted when it finishes": Scenario(steps=is_deleted_when_it_finishes, final_states={}),
    "takes its input from a ConfigMap": Scenario(
        prepare=create_worker_and_config_map, steps=takes_its_input_from_a_config_map
    ),
    "was created before the operator started": Scenario(
        prepare=create_worker_and_run, steps=do_nothing, includes_startup=True, includes_worker=True
    ),
}
