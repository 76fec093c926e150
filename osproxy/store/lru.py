"""
The oldest rule: what was not used for the longest time goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator


@define(eq=False)
class Lru:
    """An `osproxy.store.eviction.Policy`: least recently used first."""

    _queue: OrderedDict[int, None] = field(init=False, factory=OrderedDict)
    # Named as victims, and not removed so far.
    _named: dict[int, None] = field(init=False, factory=dict)

    def insert(self, key: int, octets: int) -> None:
        """Enter a new file."""
        self._queue[key] = None

    def restore(self, key: int, octets: int, hotness: int) -> None:
        """Enter a file from before; the least recently used are to come first."""
        self._queue[key] = None

    def hit(self, key: int) -> None:
        """Make a file the most recently used."""
        self._named.pop(key, None)
        self._queue[key] = None
        self._queue.move_to_end(key)

    def remove(self, key: int) -> None:
        """Forget a file."""
        if key in self._named:
            del self._named[key]
        else:
            del self._queue[key]

    def hotness(self, key: int) -> int:
        """Give nothing: the order is all there is, and times of use tell it."""
        return 0

    def victims(self) -> Iterator[int]:
        """Name files, the next to go first."""
        for key in tuple(self._named):
            if key in self._named:
                yield key
        while self._queue:
            key, _ = self._queue.popitem(last=False)
            self._named[key] = None
            yield key
