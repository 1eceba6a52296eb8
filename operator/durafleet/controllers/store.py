"""The latest known object per key, from watches and from the responses to our own writes."""

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Generic, Protocol, TypeVar

from pydantic import ValidationError

from durafleet.core.objects import Key

logger = logging.getLogger(__name__)


class Versioned(Protocol):
    """The part of an object that a store needs."""

    @property
    def uid(self) -> str: ...

    @property
    def resource_version(self) -> str: ...


T = TypeVar("T", bound=Versioned)


class Store(Generic[T]):
    """Objects of one kind, without fields that nothing reads (managedFields). No older version replaces a newer one.

    Attributes:
        changed: called with the old and the new object; None if there was none, or is none.
    """

    def __init__(
        self, read: Callable[[Mapping[str, Any]], T], *, objects: MutableMapping[Key, T] | None = None
    ) -> None:
        self._read = read
        self._objects: MutableMapping[Key, T] = {} if objects is None else objects
        self.changed: Callable[[T | None, T | None], None] = lambda _before, _after: None

    def observe(self, event: Mapping[str, Any]) -> Key:
        """Take in a watch event; return the key of its object.

        Kopf orders the events of one object only. So the deletion of an object can arrive after the creation of
        another one with the same name, and does not remove that.
        """
        key = key_of(event["object"])
        if event.get("type") == "DELETED":
            known = self._known(key)
            if known is None or known.uid == event["object"]["metadata"]["uid"]:
                self.drop(key)
        else:
            self.put(event["object"])
        return key

    def put(self, body: Mapping[str, Any]) -> None:
        """Store an object, unless the same or a newer version is known."""
        key = key_of(body)
        known = self._known(key)
        if known is None or int(known.resource_version) < int(body["metadata"]["resourceVersion"]):
            self._keep(key, body)

    def drop(self, key: Key) -> None:
        """Remove an object that no longer exists."""
        self.changed(self._objects.pop(key, None), None)

    def get(self, key: Key) -> T | None:
        return self._objects.get(key)

    def __iter__(self) -> Iterator[T]:
        for key in list(self._objects):  # one by one, because all together may take much memory
            if (found := self._objects.get(key)) is not None:
                yield found

    def __len__(self) -> int:
        return len(self._objects)

    def _known(self, key: Key) -> Versioned | None:
        return self._objects.get(key)

    def _keep(self, key: Key, body: Mapping[str, Any]) -> bool:
        try:
            read = self._read(body)
        except ValidationError as error:
            logger.error("%s %s/%s does not match its schema; upgrade the CRDs: %s", body.get("kind"), *key, error)
            return False
        before = self._objects.get(key)
        self._objects[key] = read
        self.changed(before, read)
        return True


def key_of(body: Mapping[str, Any]) -> Key:
    """Return namespace and name of a raw object."""
    return body["metadata"]["namespace"], body["metadata"]["name"]
