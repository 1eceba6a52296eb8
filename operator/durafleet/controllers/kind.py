"""What the operator's frame needs of the controller of a kind: what to watch for it, and which queue to run."""

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
        observe: is called with each watch event (`type`, None for an object of the first list, and `object`). It
            stores the object and enqueues a key, and does not wait.
        label: only objects with this label are watched, whatever its value; None for all.
    """

    resource: Resource
    observe: Callable[[Mapping[str, Any]], None]
    label: str | None = None


class Controller(Protocol):
    """The loop of one kind.

    Attributes:
        queue: the keys to reconcile.
        watches: the custom resource itself, and the objects that it owns.
    """

    queue: KeyedQueue[Key]

    @property
    def watches(self) -> Sequence[Watch]: ...
