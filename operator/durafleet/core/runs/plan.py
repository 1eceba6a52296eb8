"""What to do next for one AgentRun: the whole policy, as an ordered list of situations and of the rules in each.

The first situation that holds is the run's, and the first rule in it that applies decides. A rule may rely on all
rules above it in its situation. docs/agentrun-plan.md is rendered from this list.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from durafleet.api.lifecycle import TERMINAL
from durafleet.core.objects import FINALIZER, Run
from durafleet.core.runs.actions import RunPlan
from durafleet.core.runs.retrying import asked_to_retry, reopened
from durafleet.core.runs.rules import delete, ended, follow, start
from durafleet.core.runs.rules.case import Case, Rule, report_outage, wait_for_connection
from durafleet.core.runs.world import RunWorld


@dataclass(frozen=True)
class Situation:
    """A kind of case, and the rules for it.

    Attributes:
        name: what is true of the AgentRun, as in "The AgentRun ...".
        holds: tells whether a case is of this kind, if it is of none above.
        rules: in the order in which they are tried; the last one always applies.
    """

    name: str
    holds: Callable[[Case], bool]
    rules: tuple[Rule, ...]


def _may_have_workflow(case: Case) -> bool:
    return FINALIZER in case.run.finalizers or case.run.status.workflow is not None


USE_TEMPORAL = (wait_for_connection, report_outage)
START = (
    start.wait_for_worker,
    start.wait_for_agent,
    start.refuse_timeouts,
    start.read_input,
    start.wait_for_input,
    start.queue,
    start.start,
)
SITUATIONS = (
    Situation(
        "is being deleted",
        lambda case: case.run.deleted is not None,
        (
            delete.leave_to_others,
            delete.release_ended,
            delete.abandon,
            delete.release_late,
            delete.wait_for_temporal,
            delete.find,
            delete.terminate,
            delete.cancel,
            delete.unpause,
            delete.wait_for_end,
        ),
    ),
    Situation(
        "ended without success, and `spec.retry` asks for another attempt",
        lambda case: asked_to_retry(case.run),
        (ended.delay_retry, ended.retry),
    ),
    Situation(
        "has ended",
        lambda case: case.run.status.state in TERMINAL,
        (ended.verify_later_execution, ended.release, ended.expire, ended.stay_ended),
    ),
    Situation(
        "has a workflow that was observed",
        lambda case: case.world.execution is not None,
        (
            follow.refuse_foreign,
            *USE_TEMPORAL,
            follow.verify,
            follow.read_outcome,
            follow.close,
            follow.carry_out_controls,
            follow.protect,
            follow.report_open,
        ),
    ),
    Situation(
        "may have a workflow that was not observed yet",
        lambda case: _may_have_workflow(case) and not case.world.absent,
        (*USE_TEMPORAL, start.leave_to_census, start.find),
    ),
    Situation(
        "may have had a workflow, and Temporal does not know it",
        _may_have_workflow,
        (start.end_vanished, *USE_TEMPORAL, start.stop_before_start, start.refuse_invalid, start.hold, *START),
    ),
    Situation(
        "has no workflow",
        lambda _: True,
        (start.refuse_invalid, start.hold, *USE_TEMPORAL, start.stop_before_start, *START),
    ),
)


def plan_run(run: Run, world: RunWorld, *, now: datetime) -> RunPlan:
    """Decide the next actions and the status that describes them.

    Args:
        run: the latest object read from the API server.
        world: what was observed around it.
        now: the time of the decision; the plan knows no other clock.

    Returns:
        Actions in the order they must happen, and the status after them. The same arguments always give the same
        plan; a plan whose effects are already there has no actions and an unchanged status.
    """
    case = Case(run, world, now)
    if ended.is_open_again(case):
        case = Case(reopened(run), world, now)
    situation = next(each for each in SITUATIONS if each.holds(case))
    plan = next((plan for rule in situation.rules if (plan := rule(case)) is not None), None)
    assert plan is not None, f"no rule applies to an AgentRun that {situation.name}"
    return plan
