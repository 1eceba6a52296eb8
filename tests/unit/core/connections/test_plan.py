"""The plan of a TemporalConnection: its status after a check, and which changes enqueue its users."""

import pytest

from durafleet.api.connection import TemporalConnectionSpec
from durafleet.api.status import ConditionType, Reason
from durafleet.core.conditions import Verdict
from durafleet.core.connections.plan import Check, matters_to_others, plan_connection
from durafleet.core.objects import Connection
from tests.support.builders import NOON, a_connection


def test_a_connection_whose_server_throttles_the_operator_is_ready():
    plan = plan_connection(a_connection(), Check(Verdict(Reason.THROTTLED, "slowly")), now=NOON)
    assert plan.status is not None
    ready = plan.status.condition(ConditionType.READY)
    assert ready is not None
    assert (ready.status, ready.reason) == ("True", "Throttled")
    assert [condition.type for condition in plan.status.conditions] == ["Ready"]


def a_connection_that_is(reason: Reason, message: str = "...") -> Connection:
    plan = plan_connection(a_connection(), Check(Verdict(reason, message)), now=NOON)
    assert plan.status is not None
    return a_connection(status=plan.status)


@pytest.mark.parametrize(
    ("before", "after", "matters"),
    [
        (None, a_connection(), True),
        (a_connection(), None, True),
        (a_connection(), a_connection(spec=TemporalConnectionSpec(address="elsewhere:7233")), True),
        (a_connection_that_is(Reason.TEMPORAL_UNAVAILABLE), a_connection_that_is(Reason.REACHABLE), True),
        (a_connection_that_is(Reason.REACHABLE), a_connection_that_is(Reason.THROTTLED), False),
        (a_connection_that_is(Reason.THROTTLED, "4 s"), a_connection_that_is(Reason.THROTTLED, "8 s"), False),
    ],
    ids=["created", "deleted", "edited", "recovered", "throttled", "throttled more"],
)
def test_a_connection_change_enqueues_its_users_only_if_its_spec_or_usability_changes(
    before: Connection | None, after: Connection | None, *, matters: bool
):
    assert matters_to_others(before, after) is matters
