"""
CLOCK that gives small files more rounds than large ones: for the space of one large file many small
ones can be kept, each of which saves a request.

A file has a counter. It begins with a credit for its size, a hit adds to it, and the hand takes one
away each time it comes round; the hand takes the file itself when there is nothing left to take.

Here the hand stands still and the files go round: those with the same counter are one queue, and
when the first queue is empty, every other one is a round nearer. So no decision takes more than a
few steps, however many files there are, and a hit moves its file only where it changes a counter.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 20
"""What a counter can come to."""
HIT = 4
"""What a hit adds."""
_MOST_CREDIT = 7
# A file of this size has no credit; one of a quarter of it has one, of a sixteenth two.
_LARGE = 16_000_000


def credit(octets: int) -> int:
    """Say with which counter a file of this size begins: log4(16 MB / size), from 0 to 7."""
    fourfold = (_LARGE // max(octets, 1)).bit_length() - 1
    return min(max(fourfold, 0) // 2, _MOST_CREDIT)


def _queues() -> deque[OrderedDict[int, None]]:
    # One for each counter, and in front of them those whose turn it is.
    return deque(OrderedDict() for _ in range(MOST + 2))


@define(eq=False)
class CreditClock:
    """An `osproxy.store.eviction.Policy`: CLOCK with credit for what is small."""

    _queues: deque[OrderedDict[int, None]] = field(init=False, factory=_queues)
    # Named as victims, and not removed so far.
    _named: dict[int, None] = field(init=False, factory=dict)

    def insert(self, key: int, octets: int) -> None:
        """Enter a new file."""
        self._queues[1 + credit(octets)][key] = None

    def restore(self, key: int, octets: int, hotness: int) -> None:
        """Enter a file with the counter that it once had."""
        self._queues[1 + min(max(hotness, 0), MOST)][key] = None

    def hit(self, key: int) -> None:
        """Raise the counter of a file."""
        if key in self._named:
            del self._named[key]
            self._queues[HIT][key] = None
            return
        turn = self._turn(key)
        later = min(turn + HIT, MOST + 1)
        if later != turn:
            del self._queues[turn][key]
            self._queues[later][key] = None

    def remove(self, key: int) -> None:
        """Forget a file."""
        if key in self._named:
            del self._named[key]
        else:
            del self._queues[self._turn(key)][key]

    def hotness(self, key: int) -> int:
        """Give the counter of a file."""
        return 0 if key in self._named else max(self._turn(key) - 1, 0)

    def victims(self) -> Iterator[int]:
        """Name files, the next to go first."""
        for key in tuple(self._named):
            if key in self._named:
                yield key
        while any(self._queues):
            while not self._queues[0]:
                self._queues.rotate(-1)
            key, _ = self._queues[0].popitem(last=False)
            self._named[key] = None
            yield key

    def _turn(self, key: int) -> int:
        for turn, queue in enumerate(self._queues):
            if key in queue:
                return turn
        raise KeyError(key)
