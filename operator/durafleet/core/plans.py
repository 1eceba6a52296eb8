"""What every plan is: actions first, and the status that describes the object once none is left."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

StatusT = TypeVar("StatusT")
ActionT = TypeVar("ActionT")


@dataclass(frozen=True)
class Announcement:
    """A Kubernetes Event; posted at most once per object and reason."""

    type: str  # Normal or Warning
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Plan(Generic[StatusT, ActionT]):
    """What to do now, and the status once it is done.

    Attributes:
        actions: in the order they must happen; the status is due only when none is left.
        status: the whole status after them; None leaves it alone.
        announcements: due together with a changed status.
        requeue: look again after so many seconds; None waits for an observation.
    """

    actions: tuple[ActionT, ...] = ()
    status: StatusT | None = None
    announcements: tuple[Announcement, ...] = field(default=())
    requeue: float | None = None
