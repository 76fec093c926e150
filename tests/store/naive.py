"""
The eviction policies once more, plain and slow: the next to go is whoever has the least rank.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@define(eq=False)
class NaivePolicy(ABC):
    """Files by rank, and those that were named and are still there."""

    ranks: dict[int, Any] = field(init=False, factory=dict)
    named: list[int] = field(init=False, factory=list)
    stamp: int = field(init=False, default=0)

    def next_stamp(self) -> int:
        """Count arrivals."""
        self.stamp += 1
        return self.stamp

    @abstractmethod
    def insert(self, key: int, octets: int) -> None:
        """Enter a new file."""

    @abstractmethod
    def restore(self, key: int, octets: int, hotness: int) -> None:
        """Enter a file from before."""

    @abstractmethod
    def hit(self, key: int) -> None:
        """Note a use."""

    @abstractmethod
    def hotness(self, key: int) -> int:
        """Give what is to be kept of it."""

    @abstractmethod
    def passed(self, rank: Any) -> None:
        """Learn from the rank of a victim."""

    def remove(self, key: int) -> None:
        """Forget a file."""
        if key in self.named:
            self.named.remove(key)
        else:
            del self.ranks[key]

    def victims(self) -> Iterator[int]:
        """Name all, the next to go first."""
        yield from list(self.named)
        while self.ranks:
            key = min(self.ranks, key=lambda key: self.ranks[key])
            self.passed(self.ranks.pop(key))
            self.named.append(key)
            yield key


class NaiveLru(NaivePolicy):
    """Rank is the time of the last use."""

    def passed(self, rank: Any) -> None:
        """Learn nothing."""

    def insert(self, key: int, octets: int) -> None:
        """Enter a new file."""
        self.ranks[key] = self.next_stamp()

    def restore(self, key: int, octets: int, hotness: int) -> None:
        """Enter a file from before."""
        self.insert(key, octets)

    def hit(self, key: int) -> None:
        """Rank last."""
        if key in self.named:
            self.named.remove(key)
        self.ranks[key] = self.next_stamp()

    def hotness(self, key: int) -> int:
        """Keep nothing."""
        return 0


@define(eq=False)
class NaiveClock(NaivePolicy):
    """Rank is the round in which the counter has run out, counted from the beginning."""

    round: int = field(init=False, default=0)

    def credit(self, octets: int) -> int:
        """Count how often four of it make less than 16 MB."""
        count = 0
        while count < 7 and max(octets, 1) * 4 ** (count + 1) <= 16_000_000:
            count += 1
        return count

    def insert(self, key: int, octets: int) -> None:
        """Enter a new file."""
        self.restore(key, octets, self.credit(octets))

    def restore(self, key: int, octets: int, hotness: int) -> None:
        """Enter a file from before."""
        self.ranks[key] = (self.round + 1 + min(max(hotness, 0), 20), self.next_stamp())

    def hit(self, key: int) -> None:
        """Put the round off by four, to seven rounds after the next at most."""
        if key in self.named:
            self.named.remove(key)
            self.ranks[key] = (self.round + 4, self.next_stamp())
            return
        due = self.ranks[key][0]
        later = min(due + 4, self.round + 21)
        if later > due:
            self.ranks[key] = (later, self.next_stamp())

    def passed(self, rank: Any) -> None:
        """Go on to its round."""
        self.round = rank[0]

    def hotness(self, key: int) -> int:
        """Give the rounds left after the next."""
        return 0 if key in self.named else max(self.ranks[key][0] - self.round - 1, 0)


@define(eq=False)
class NaiveGdsf(NaivePolicy):
    """Rank is worth."""

    age: float = field(init=False, default=0.0)
    files: dict[int, tuple[int, int]] = field(init=False, factory=dict)

    def insert(self, key: int, octets: int) -> None:
        """Enter a new file."""
        self.restore(key, octets, 1)

    def restore(self, key: int, octets: int, hotness: int) -> None:
        """Enter a file from before."""
        hits = min(max(hotness, 1), 8)
        self.files[key] = (octets, hits)
        self.ranks[key] = (self.age + hits / max(octets, 1) ** 0.35, key)

    def hit(self, key: int) -> None:
        """Count a hit, and look at the worth anew."""
        octets, hits = self.files[key]
        if key in self.named:
            self.named.remove(key)
        self.restore(key, octets, hits + 1)

    def passed(self, rank: Any) -> None:
        """Age all by its worth."""
        self.age = rank[0]

    def hotness(self, key: int) -> int:
        """Give the hits."""
        return self.files[key][1]


NAIVE: dict[str, Callable[[], NaivePolicy]] = {
    "clock": NaiveClock,
    "gdsf": NaiveGdsf,
    "lru": NaiveLru,
}
