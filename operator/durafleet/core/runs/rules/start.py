"""Rules for an AgentRun without an observed workflow: find it or start it, or report why it cannot start."""

from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict
from durafleet.core.plans import Plan
from durafleet.core.runs.actions import ReadInput, RunPlan, StartWorkflow
from durafleet.core.runs.admission import Turn
from durafleet.core.runs.endings import rejected, vanished
from durafleet.core.runs.rules.case import Case, describe, wait, with_finalizer
from durafleet.core.runs.starting import agent_missing, invalid_input, invalid_spec, invalid_timeouts, start_request
from durafleet.core.runs.status import held_status, queued_status
from durafleet.core.runs.tracking import waits_for_census

INPUT_RETRY = 5.0
"""Seconds between reads of a missing input; the operator does not watch ConfigMaps and Secrets."""


def leave_to_census(case: Case) -> RunPlan | None:
    """If the run is older than the operator process, and a list of all open executions is due: wait for that list."""
    return Plan() if case.world.expected and waits_for_census(case.run) else None


def find(case: Case) -> RunPlan | None:
    """If no rule above applies: call DescribeWorkflowExecution."""
    return describe(case)


def end_vanished(case: Case) -> RunPlan | None:
    """If the status records a workflow: end the run as `Terminated`; it was deleted, or its retention period ended."""
    return vanished(case.run, now=case.now) if case.run.status.workflow is not None else None


def refuse_invalid(case: Case) -> RunPlan | None:
    """If the spec is invalid: end the run as `InvalidSpec`."""
    invalid = invalid_spec(case.run.spec)
    return rejected(case.run, invalid, now=case.now) if invalid is not None else None


def hold(case: Case) -> RunPlan | None:
    """If `spec.suspend` is true, and `spec.stop` is not set: wait as `Suspended`; the workflow is not started."""
    held = case.run.spec.suspend and case.run.spec.stop is None
    return Plan(status=held_status(case.run, now=case.now)) if held else None


def stop_before_start(case: Case) -> RunPlan | None:
    """If `spec.stop` is set: end the run as `Cancelled`; the workflow is not started."""
    stop = case.run.spec.stop
    if stop is None:
        return None
    verdict = Verdict(Reason.CANCELLED, f"spec.stop is {stop}, so the workflow was never started.")
    return rejected(case.run, verdict, now=case.now)


def wait_for_worker(case: Case) -> RunPlan | None:
    """If the AgentWorker does not exist: wait for it; `Stalled` after 60 s."""
    return wait(case, _worker_not_found(case.run.spec.worker_ref.name)) if case.world.worker is None else None


def wait_for_agent(case: Case) -> RunPlan | None:
    """If the AgentWorker does not declare the agent of the run: wait for the agent; `Stalled` after 60 s."""
    missing = agent_missing(case.run, case.worker)
    return wait(case, missing) if missing is not None else None


def refuse_timeouts(case: Case) -> RunPlan | None:
    """If the run's timeouts contradict those of its AgentWorker: end the run as `InvalidSpec`."""
    invalid = invalid_timeouts(case.run, case.worker)
    return rejected(case.run, invalid, now=case.now) if invalid is not None else None


def read_input(case: Case) -> RunPlan | None:
    """If `spec.inputFrom` is set, and its ConfigMap or Secret was not read yet: read the input."""
    _, obstacle = input_of(case)
    return Plan(actions=(obstacle,)) if isinstance(obstacle, ReadInput) else None


def wait_for_input(case: Case) -> RunPlan | None:
    """If the `spec.inputFrom` input is missing: wait, `Stalled` after 60 s; if it is invalid, end as `InvalidSpec`."""
    _, obstacle = input_of(case)
    if not isinstance(obstacle, Verdict):
        return None
    if obstacle.reason == Reason.INVALID_SPEC:
        return rejected(case.run, obstacle, now=case.now)
    return wait(case, obstacle, within=INPUT_RETRY)


def queue(case: Case) -> RunPlan | None:
    """If `spec.maxConcurrentRuns` of the AgentWorker leaves no free slot for the run: wait as `Queued`."""
    turn = case.world.turn
    if turn is None or turn.free:
        return None
    return Plan(status=queued_status(case.run, turn, now=case.now), requeue=_until_next_position(turn))


def start(case: Case) -> RunPlan | None:
    """If no rule above applies: add the operator's finalizer, and start the workflow."""
    given, _ = input_of(case)
    request = start_request(case.run, case.worker, given=given)
    return Plan(actions=with_finalizer(case.run, StartWorkflow(case.target, request)))


def input_of(case: Case) -> tuple[object, Verdict | ReadInput | None]:
    """Return the run's input; or the action that reads it, or why it is missing or invalid."""
    source = case.run.spec.input_from
    if source is None:
        return case.run.spec.input, None
    given = case.world.given
    if given is None:
        return None, ReadInput(source)
    if isinstance(given, Verdict):
        return None, given
    return given.value, invalid_input(case.run.spec, given.value, where="The input that spec.inputFrom names")


def _worker_not_found(name: str) -> Verdict:
    return Verdict(
        Reason.WORKER_NOT_FOUND,
        f"AgentWorker {name!r} is not in this namespace; create it, or create a run with another spec.workerRef.name.",
    )


def _until_next_position(turn: Turn) -> float:
    """Return the seconds until the position is computed again. A run that gets a slot is enqueued at once."""
    return float(min(15 + turn.position, 300))
