"""
GreedyDual-Size with Frequency: a file is worth its hits, the more the smaller it is, on top of what
the last victim was worth, so that what was hot long ago grows cold.

As published (Cherkasova 1998) a file counts by 1/size, which keeps so few large files that far more
octets have to be fetched; by the power below it costs hardly more octets than CLOCK, and fewer
requests.
"""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 8
"""Hits that count at most, so that no file is kept for ever."""
_POWER = 0.35
# Places in the heap that may belong to files that are gone.
_SPARE = 64


@define(eq=False, weakref_slot=False)
class _Standing:
    octets: int
    frequency: int
    worth: float = 0.0


@define(eq=False)
class Gdsf:
    """An `osproxy.store.eviction.Policy`: least worth first."""

    # The heap has one place a file, with what the file was worth when it was put there; it can only
    # have risen since.
    _heap: list[tuple[float, int]] = field(init=False, factory=list)
    _standings: dict[int, _Standing] = field(init=False, factory=dict)
    # Named as victims, and not removed so far.
    _named: dict[int, None] = field(init=False, factory=dict)
    _age: float = field(init=False, default=0.0)

    def insert(self, key: int, octets: int) -> None:
        """Enter a new file."""
        self._enter(key, _Standing(octets, 1))

    def restore(self, key: int, octets: int, hotness: int) -> None:
        """Enter a file with the hits that it had."""
        self._enter(key, _Standing(octets, min(max(hotness, 1), MOST)))

    def hit(self, key: int) -> None:
        """Raise the worth of a file."""
        standing = self._standings[key]
        standing.frequency = min(standing.frequency + 1, MOST)
        if key in self._named:
            del self._named[key]
            self._enter(key, standing)
        else:
            standing.worth = self._worth_of(standing)

    def remove(self, key: int) -> None:
        """Forget a file."""
        del self._standings[key]
        self._named.pop(key, None)
        # Where nothing is evicted for long, nothing else clears the heap of what was replaced.
        if len(self._heap) > 2 * len(self._standings) + _SPARE:
            self._heap = [(worth, key) for worth, key in self._heap if key in self._standings]
            heapify(self._heap)

    def hotness(self, key: int) -> int:
        """Give the hits of a file that count."""
        return self._standings[key].frequency

    def victims(self) -> Iterator[int]:
        """Name files, the next to go first."""
        for key in tuple(self._named):
            if key in self._named:
                yield key
        while self._heap:
            worth, key = self._heap[0]
            standing = self._standings.get(key)
            if standing is None or key in self._named:
                # It is gone, or had a second place, from before it was removed and came back.
                heappop(self._heap)
            elif standing.worth > worth:
                heapreplace(self._heap, (standing.worth, key))
            else:
                heappop(self._heap)
                self._age = worth
                self._named[key] = None
                yield key

    def _enter(self, key: int, standing: _Standing) -> None:
        standing.worth = self._worth_of(standing)
        self._standings[key] = standing
        heappush(self._heap, (standing.worth, key))

    def _worth_of(self, standing: _Standing) -> float:
        return self._age + standing.frequency / math.pow(max(standing.octets, 1), _POWER)
