"""
Files that no current index names: they go before all others, once their grace is over.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator


@define(eq=False)
class Superseded:
    """Those that have a grace, and those that had one, in the order in which it ended."""

    _until: dict[int, float] = field(init=False, factory=dict)
    _waiting: list[tuple[float, int]] = field(init=False, factory=list)
    _due: dict[int, None] = field(init=False, factory=dict)

    def add(self, key: int, until: float) -> None:
        """Note a file, and the time from which it may go before all others."""
        self.discard(key)
        self._until[key] = until
        heappush(self._waiting, (until, key))

    def discard(self, key: int) -> None:
        """Forget a file, if it was noted."""
        self._until.pop(key, None)
        self._due.pop(key, None)

    def due(self, now: float) -> Iterator[int]:
        """Name those whose grace is over."""
        while self._waiting and self._waiting[0][0] <= now:
            until, key = heappop(self._waiting)
            if self._until.get(key) == until:
                self._due[key] = None
        yield from tuple(self._due)
