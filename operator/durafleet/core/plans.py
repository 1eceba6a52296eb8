"""The form of every plan: actions, and the status of the object when no action is left."""

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
    """The actions to take now, and the status after them.

    Attributes:
        actions: in the order in which they must happen. The status is written only when no action is left.
        status: the complete status after the actions; None does not change the status.
        announcements: posted together with a changed status.
        requeue: seconds until the object is reconciled again; None waits for the next observation.
    """

    actions: tuple[ActionT, ...] = ()
    status: StatusT | None = None
    announcements: tuple[Announcement, ...] = field(default=())
    requeue: float | None = None
