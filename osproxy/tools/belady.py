"""
What could be had by one who knew the future: the file that is not needed for the longest time goes,
and none comes in that would be the first to go (Belady, 1966).

For files of one size nothing is better. For files of many sizes the best is not known to anyone
within reasonable time; this comes near it in octets, and less so in requests.
"""

from __future__ import annotations

from array import array
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from osproxy.tools.trace import Trace


def next_uses(trace: Trace) -> array[int]:
    """
    Say for each request in which later one the same file is asked for again.

    Requests are counted from 0; one that never comes has the number of requests.
    """
    requests = [(key, octets) for _, key, octets in trace.events() if octets >= 0]
    following = array("L", bytes(array("L").itemsize * len(requests)))
    upcoming: dict[tuple[int, int], int] = {}
    for place in range(len(requests) - 1, -1, -1):
        following[place] = upcoming.get(requests[place], len(requests))
        upcoming[requests[place]] = place
    return following


@define(eq=False)
class Belady:
    """
    A cache that knows the future.

    :param capacity: in whatever sizes are given in.
    :param following: what `next_uses` says.
    """

    _capacity: int
    _following: array[int]
    _place: int = field(init=False, default=0)
    _used: int = field(init=False, default=0)
    # By file: its size, and when it is needed again.
    _files: dict[int, tuple[int, int]] = field(init=False, factory=dict)
    # The farthest first; some places are out of date.
    _heap: list[tuple[int, int]] = field(init=False, factory=list)

    def use(self, key: int, size: int) -> bool:
        """Ask for a file, and say whether it was there."""
        needed = self._following[self._place]
        self._place += 1
        stored, _ = self._files.get(key, (None, 0))
        if stored is not None and stored != size:
            # Another file of the same name.
            self._drop(key)
        elif stored is not None:
            self._enter(key, size, needed)
            return True
        if needed < len(self._following) and self._make_room(size, needed):
            self._enter(key, size, needed)
            self._used += size
        return False

    def _make_room(self, size: int, needed: int) -> bool:
        if size > self._capacity:
            return False
        while self._used + size > self._capacity:
            farthest, key = -self._heap[0][0], self._heap[0][1]
            if self._files.get(key, (0, -1))[1] != farthest:
                heappop(self._heap)
            elif farthest < needed:
                return False
            else:
                self._drop(key)
        return True

    def _enter(self, key: int, size: int, needed: int) -> None:
        self._files[key] = (size, needed)
        heappush(self._heap, (-needed, key))

    def _drop(self, key: int) -> None:
        size, _ = self._files.pop(key)
        self._used -= size
