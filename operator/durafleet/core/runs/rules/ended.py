"""Rules for an AgentRun that has ended: keep its outcome until it expires, unless a retry opens it again."""

from durafleet.core.conditions import Verdict, at_generation
from durafleet.core.objects import FINALIZER
from durafleet.core.places import Target
from durafleet.core.plans import Plan
from durafleet.core.runs.actions import ReadInput, RemoveFinalizer, RetryWorkflow, RunPlan
from durafleet.core.runs.endings import retry_delayed, retry_ignored
from durafleet.core.runs.expiry import plan_expiry
from durafleet.core.runs.identity import workflow_id
from durafleet.core.runs.retrying import asked_to_retry, is_at_later_execution, may_be_at_later_execution
from durafleet.core.runs.rules.case import Case, describe, with_finalizer
from durafleet.core.runs.rules.start import input_of
from durafleet.core.runs.starting import start_again


def is_open_again(case: Case) -> bool:
    """Return whether a run that ended without success is planned as the next attempt.

    This is so if its workflow has a later execution, or if spec.retry requests another attempt of a run that never
    had a workflow.
    """
    run, world = case.run, case.world
    if run.deleted is not None:
        return False
    if not asked_to_retry(run):
        return is_at_later_execution(run, world.execution)
    if run.status.workflow is None:
        return True
    return isinstance(world.target, Target) and world.trouble is None and is_at_later_execution(run, world.execution)


def delay_retry(case: Case) -> RunPlan | None:
    """If the Temporal connection is missing or fails: keep the outcome, and report why the retry waits."""
    if isinstance(case.world.target, Verdict):
        return retry_delayed(case.run, case.world.target, now=case.now)
    if case.world.trouble is not None:
        return retry_delayed(case.run, case.world.trouble.verdict, now=case.now)
    return None


def retry(case: Case) -> RunPlan | None:
    """If no rule above applies: reset the workflow, or start it again if its history does not allow a reset."""
    run, ended = case.run, case.run.status.workflow
    assert run.spec.retry is not None  # the situation ensures it
    assert ended is not None  # otherwise the run is planned as open
    given, obstacle = input_of(case)
    if isinstance(obstacle, ReadInput):
        return Plan(actions=(obstacle,))
    anew = None  # a reset needs neither the AgentWorker nor the input
    if case.world.worker is not None and obstacle is None:
        anew = start_again(run, case.world.worker, given=given, token=run.spec.retry.token)
    action = RetryWorkflow(case.target, workflow_id(run), ended.run_id or "", run.spec.retry.from_, anew)
    return Plan(actions=with_finalizer(run, action))


def verify_later_execution(case: Case) -> RunPlan | None:
    """If a list shows another execution of a run that ended without success: call DescribeWorkflowExecution."""
    usable = isinstance(case.world.target, Target) and case.world.trouble is None
    return describe(case) if usable and may_be_at_later_execution(case.run, case.world.execution) else None


def release(case: Case) -> RunPlan | None:
    """If the AgentRun has the operator's finalizer: remove the finalizer."""
    return Plan(actions=(RemoveFinalizer(),)) if FINALIZER in case.run.finalizers else None


def expire(case: Case) -> RunPlan | None:
    """If `spec.ttlSecondsAfterFinished` has passed: delete the AgentRun, or compact it if a GitOps tool tracks it."""
    plan = plan_expiry(case.run, now=case.now)
    return plan if plan is not None and (plan.actions or plan.status is not None) else None


def stay_ended(case: Case) -> RunPlan | None:
    """If no rule above applies: keep the outcome."""
    run = case.run
    token = run.spec.retry.token if run.spec.retry else None
    seen = {
        "observed_generation": run.generation,
        "conditions": at_generation(run.status.conditions, run.generation),
        "retry_token": token,
    }
    expiry = plan_expiry(run, now=case.now)
    return Plan(
        status=run.status.model_copy(update=seen),
        announcements=retry_ignored(run, token=token),
        requeue=expiry.requeue if expiry is not None else None,
    )
