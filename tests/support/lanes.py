"""Lanes without servers: fakes of their owner and of the connection pool."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

from durafleet.controllers.tracking.lane import Followed, Lane
from durafleet.core.objects import Key
from durafleet.core.places import Place, Target
from durafleet.core.runs.execution import Execution
from durafleet.errors import Unavailable
from tests.support.builders import TARGET, an_execution

OWN = replace(TARGET, tenant="red", connection="own")
OTHER = replace(TARGET, tenant="blue", connection="own")


@dataclass
class FakeLink:
    target: Target
    attributes: frozenset[str] = frozenset({"x"})


@dataclass
class FakePool:
    """A pool of links, some of which are broken."""

    broken: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def ready(self, target: Target) -> FakeLink:
        self.asked.append(target.tenant)
        if target.tenant in self.broken:
            raise Unavailable("this one does not answer")
        return FakeLink(target)


@dataclass
class FakeOwner:
    seen: list[Execution] = field(default_factory=list)
    refreshed: list[Key] = field(default_factory=list)
    looked_at: list[Key] = field(default_factory=list)
    backlog: int = 0

    def observe_execution(self, execution: Execution, _place: Place) -> Key | None:
        self.seen.append(execution)
        return None

    def refresh(self, key: Key) -> None:
        self.refreshed.append(key)

    def look_again(self, key: Key) -> None:
        self.looked_at.append(key)


def a_lane(owner: FakeOwner, pool: FakePool, *runs: tuple[str, Target]) -> Lane:
    lane = Lane(TARGET, owner=owner, pool=cast("Any", pool))
    for name, target in runs:
        lane.watch((target.tenant, name), target, Followed(an_execution(), 1))
    return lane
