"""The latest known object per key: fed by watches and by the answers to our own writes."""

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Generic, Protocol, TypeVar

from pydantic import ValidationError

from durafleet.core.objects import Key

logger = logging.getLogger(__name__)


class Versioned(Protocol):
    """What a store needs of an object."""

    @property
    def resource_version(self) -> str: ...


T = TypeVar("T", bound=Versioned)


class Store(Generic[T]):
    """Objects of one kind, without what nobody reads (managedFields). An older version never replaces a newer one.

    Attributes:
        changed: is called with an object as it was and as it is; None where there was none, or is none.
    """

    def __init__(
        self, read: Callable[[Mapping[str, Any]], T], *, objects: MutableMapping[Key, T] | None = None
    ) -> None:
        self._read = read
        self._objects: MutableMapping[Key, T] = {} if objects is None else objects
        self.changed: Callable[[T | None, T | None], None] = lambda _before, _after: None

    def observe(self, event: Mapping[str, Any]) -> Key:
        """Take in a watch event; return the key it is about."""
        key = key_of(event["object"])
        if event.get("type") == "DELETED":
            self.drop(key)
        else:
            self.put(event["object"])
        return key

    def put(self, body: Mapping[str, Any]) -> None:
        """Keep an object unless a newer version of it is known, or the same."""
        key = key_of(body)
        known = self._known(key)
        if known is None or int(known.resource_version) < int(body["metadata"]["resourceVersion"]):
            self._keep(key, body)

    def drop(self, key: Key) -> None:
        """Forget an object that is gone."""
        self.changed(self._objects.pop(key, None), None)

    def get(self, key: Key) -> T | None:
        return self._objects.get(key)

    def __iter__(self) -> Iterator[T]:
        for key in list(self._objects):  # one by one: all together they may take much memory
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
            logger.error("%s %s/%s does not fit its schema; upgrade the CRDs: %s", body.get("kind"), *key, error)
            return False
        before = self._objects.get(key)
        self._objects[key] = read
        self.changed(before, read)
        return True


def key_of(body: Mapping[str, Any]) -> Key:
    """Return namespace and name of a raw object."""
    return body["metadata"]["namespace"], body["metadata"]["name"]
