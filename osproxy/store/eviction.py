"""
Who goes next, when some have to.

First what is superseded and had its grace, then whatever the policy thinks little of. Images stand
in two orders: among all files, and among themselves for when they outgrow their share of the cache.
What is pinned stands in none.

Nothing is decided here about how many go, and nobody is removed by being named: a victim that stays
all the same is the first to be named the next time, unless it was hit since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import define, field

from osproxy.store.creditclock import CreditClock
from osproxy.store.gdsf import Gdsf
from osproxy.store.lru import Lru
from osproxy.store.superseded import Superseded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Policy(Protocol):
    """An order of files by what they are worth; one that was removed may come back."""

    def insert(self, key: int, octets: int) -> None:
        """Enter a new file."""

    def restore(self, key: int, octets: int, hotness: int) -> None:
        """Enter a file as it was before a restart; those that were used last come last."""

    def hit(self, key: int) -> None:
        """Note a use."""

    def remove(self, key: int) -> None:
        """Forget a file."""

    def hotness(self, key: int) -> int:
        """Give what of a file's standing is to outlive the process: a small number, or 0."""

    def victims(self) -> Iterator[int]:
        """Name all files, one by one, the next to go first."""


POLICIES: Mapping[str, Callable[[], Policy]] = {"clock": CreditClock, "gdsf": Gdsf, "lru": Lru}
"""What ``--eviction`` chooses from."""


@define(eq=False)
class Eviction:
    """
    The files that may be evicted, in order.

    :param make: makes an empty policy.
    """

    _make: Callable[[], Policy]
    _files: Policy = field(init=False)
    # The images among them.
    _images: Policy = field(init=False)
    _superseded: Superseded = field(init=False, factory=Superseded)

    def __attrs_post_init__(self) -> None:
        """Make an order of all files, and one of images."""
        self._files = self._make()
        self._images = self._make()

    def insert(self, key: int, octets: int, *, image: bool) -> None:
        """Enter a new file."""
        self._files.insert(key, octets)
        if image:
            self._images.insert(key, octets)

    def restore(self, key: int, octets: int, hotness: int, *, image: bool) -> None:
        """Enter a file as it was before a restart; those that were used last come last."""
        self._files.restore(key, octets, hotness)
        if image:
            self._images.restore(key, octets, hotness)

    def hit(self, key: int, *, image: bool) -> None:
        """Note a use."""
        self._files.hit(key)
        if image:
            self._images.hit(key)

    def remove(self, key: int, *, image: bool) -> None:
        """Forget a file."""
        self._files.remove(key)
        if image:
            self._images.remove(key)
        self._superseded.discard(key)

    def hotness(self, key: int) -> int:
        """Give what of a file's standing is to outlive the process."""
        return self._files.hotness(key)

    def supersede(self, key: int, until: float) -> None:
        """Let a file go before all others from this time on."""
        self._superseded.add(key, until)

    def unsupersede(self, key: int) -> None:
        """Let a file stand where it would have stood."""
        self._superseded.discard(key)

    def victims(self, now: float) -> Iterator[int]:
        """Name files, the next to go first; one may be named twice."""
        yield from self._superseded.due(now)
        yield from self._files.victims()

    def images(self) -> Iterator[int]:
        """Name images, the next to go first."""
        return self._images.victims()
