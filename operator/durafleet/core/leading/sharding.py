"""Shards: the namespaces of one operator, if several operators divide them.

A hash of the namespace's name selects the shard. It is the same everywhere and never changes, so that the operators
need no agreement.
"""

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True)
class Shard:
    """One part of all namespaces: part `index`, counted from 0, of `count`."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"there is no shard {self.index}/{self.count}; the first shard of {self.count} is 0/{self.count}"
            )

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Parse "index/count", such as "0/3". An empty text stands for all namespaces.

        Raises:
            ValueError: the text has another form, or there is no such shard.
        """
        if not text:
            return cls()
        index, slash, count = text.partition("/")
        if not (slash and index.isascii() and index.isdigit() and count.isascii() and count.isdigit()):
            raise ValueError(f"{text!r} is not of the form index/count, such as 0/3")
        return cls(int(index), int(count))

    def holds(self, namespace: str) -> bool:
        """Tell whether a namespace belongs to this shard."""
        return int.from_bytes(sha256(namespace.encode()).digest()[:8]) % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
