"""The whole policy for an AgentRun: an ordered list of situations, each with an ordered list of rules.

The plan comes from the first situation that holds, and from the first rule in it that applies. A rule can rely on the
rules above it: none of them applied. docs/agentrun-plan.md is rendered from this list.
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
    """A situation of an AgentRun, and its rules.

    Attributes:
        name: the rest of the sentence "The AgentRun ...".
        holds: returns whether a case is in this situation, if it is in none of the situations above.
        rules: in the order in which they are evaluated; the last one always applies.
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
        "ended without success, and `spec.retry` requests another attempt",
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
        "may have had a workflow, which does not exist in Temporal",
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
        world: the observed state that the plan depends on.
        now: the time of the decision; the plan uses no other clock.

    Returns:
        The actions, in the order in which they must happen, and the status after them. The same arguments always
        give the same plan. If nothing is left to do, the plan has no actions and an unchanged status.
    """
    case = Case(run, world, now)
    if ended.is_open_again(case):
        case = Case(reopened(run), world, now)
    situation = next(each for each in SITUATIONS if each.holds(case))
    plan = next((plan for rule in situation.rules if (plan := rule(case)) is not None), None)
    assert plan is not None, f"no rule applies to an AgentRun that {situation.name}"
    return plan
