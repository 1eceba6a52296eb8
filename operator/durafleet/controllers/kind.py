"""The interface between the application and the controller of a kind: its watches and its queue."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from durafleet.controllers.queue.keyed import KeyedQueue
from durafleet.core.objects import Key
from durafleet.kube.resources import Resource


@dataclass(frozen=True)
class Watch:
    """The objects of one resource, and the function that takes their events.

    Attributes:
        observe: is called with each watch event: `object`, and `type`, which is None for objects of the initial list.
            It stores the object and enqueues a key, and does not block.
        label: only objects with this label are watched, with any value; None for all objects.
    """

    resource: Resource
    observe: Callable[[Mapping[str, Any]], None]
    label: str | None = None


class Controller(Protocol):
    """The controller of one kind.

    Attributes:
        queue: the keys to reconcile.
        watches: the custom resource itself, and the objects that it owns.
    """

    queue: KeyedQueue[Key]

    @property
    def watches(self) -> Sequence[Watch]: ...
