"""
A trace through a cache: how much of it would have had to be fetched?

The store's own policies are replayed by the store's own ledger. Files count in whole blocks, for
all caches alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import define, field, frozen

from osproxy.store.eviction import POLICIES, Eviction
from osproxy.store.ledger import BLOCK, CacheFull, Ledger, blocks_of
from osproxy.tools.arc import Arc
from osproxy.tools.belady import Belady, next_uses

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.tools.trace import Trace

PLAIN_LRU = "plain-lru"
#: The policies that can be replayed: the store's, and those they are compared with.
NAMES = (*POLICIES, PLAIN_LRU, "arc", "belady")
# So many events between two signs of life.
_STRIDE = 1 << 14


class Cache(Protocol):
    """What a trace goes through."""

    def use(self, key: int, size: int) -> bool:
        """Ask for a file, and say whether it was there."""


@frozen
class Rules:
    """
    What the store's policies are to keep to.

    :ivar image_space: how much of a capacity images may have.
    :ivar grace: seconds from the end of a file's time until it goes before all others.
    """

    image_space: Callable[[int], int]
    grace: float


@define
class Tally:
    """
    What came of a replay.

    :ivar octets: what was asked for.
    :ivar missed_octets: what would have had to be fetched.
    """

    requests: int
    octets: int
    missed: int = 0
    missed_octets: int = 0

    def object_misses(self) -> float:
        """The part of the requests that had to be fetched."""
        return self.missed / self.requests

    def byte_misses(self) -> float:
        """The part of the octets that had to be fetched."""
        return self.missed_octets / max(self.octets, 1)


@define(eq=False)
class Stored:
    """
    A cache that is ruled by a policy of the store.

    :param images: whether the file of a number is an image.
    :param grace: seconds that a superseded file is spared; None where it is a file like others.
    :ivar now: the time, in seconds.
    """

    _ledger: Ledger
    _images: bytearray
    _grace: float | None
    now: float = field(init=False, default=0.0)
    _entries: dict[int, tuple[int, int]] = field(init=False, factory=dict)
    _keys: dict[int, int] = field(init=False, factory=dict)
    _next_id: int = field(init=False, default=0)

    def use(self, key: int, size: int) -> bool:
        """Ask for a file, and say whether it was there."""
        found = self._entries.get(key)
        if found is not None:
            if found[1] == size:
                self._ledger.touch(found[0])
                return True
            # Another file of the same name.
            self._drop(found[0])
        image = bool(self._images[key])
        if not self._ledger.fits(size, image=image):
            missing = self._ledger.missing(size, image=image)
            for number in self._ledger.victims(missing, self.now):
                self._drop(number)
        number = self._next_id
        try:
            self._ledger.reserve(number, size, image=image)
        except CacheFull:
            return False
        self._next_id += 1
        self._ledger.settle(number, size)
        self._entries[key] = (number, size)
        self._keys[number] = key
        return False

    def supersede(self, key: int) -> None:
        """Let a file go before all others, if it is there, once its grace is over."""
        found = self._entries.get(key)
        if found is not None and self._grace is not None:
            self._ledger.supersede(found[0], self.now + self._grace)

    def _drop(self, number: int) -> None:
        del self._entries[self._keys.pop(number)]
        self._ledger.doom(number)
        self._ledger.removed(number)


def cache_of(name: str, capacity: int, trace: Trace, rules: Rules) -> Cache:
    """Make an empty cache that is ruled by the policy of this name."""
    if name == "arc":
        return Arc(capacity)
    if name == "belady":
        return Belady(capacity, next_uses(trace))
    if name == PLAIN_LRU:
        # As in a textbook: nothing is known of indexes or images.
        return Stored(Ledger(capacity, eviction=Eviction(POLICIES["lru"])), trace.images, None)
    eviction = Eviction(POLICIES[name])
    ledger = Ledger(capacity, eviction=eviction, image_space=rules.image_space)
    return Stored(ledger, trace.images, rules.grace)


def replay(trace: Trace, cache: Cache, advanced: Callable[[int], None]) -> Tally:
    """
    Let a trace go through a cache.

    :param advanced: told now and then how many events more are done.
    """
    tally = Tally(trace.requests, trace.asked)
    stored = cache if isinstance(cache, Stored) else None
    for place, (at, key, octets) in enumerate(trace.events()):
        if not place % _STRIDE and place:
            advanced(_STRIDE)
        if stored is not None:
            stored.now = at
        if octets >= 0:
            if not cache.use(key, blocks_of(octets) * BLOCK):
                tally.missed += 1
                tally.missed_octets += octets
        elif stored is not None:
            stored.supersede(key)
    advanced(len(trace) % _STRIDE)
    return tally
