"""Which namespaces are an operator's own, where several operators divide them among each other.

By a hash of the namespace's name that is the same everywhere and for ever, so that nothing has to be agreed upon.
"""

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True)
class Shard:
    """One part of all namespaces: the index-th of so many."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"there is no shard {self.index}/{self.count}; with {self.count} they count from 0")

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read "index/count", as in "0/3"; empty: all namespaces.

        Raises:
            ValueError: it is not of that form, or there is no such shard.
        """
        if not text:
            return cls()
        index, slash, count = text.partition("/")
        if not (slash and index.isascii() and index.isdigit() and count.isascii() and count.isdigit()):
            raise ValueError(f"{text!r} is not of the form index/count, as in 0/3")
        return cls(int(index), int(count))

    def holds(self, namespace: str) -> bool:
        """Tell whether a namespace is of this shard."""
        return int.from_bytes(sha256(namespace.encode()).digest()[:8]) % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
