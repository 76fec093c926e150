"""
What is known of the space of files: where each is in its life, and how many blocks it takes.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 4096


class State(Enum):
    """Where a file is in its life, as far as its space is concerned."""

    RESERVED = "being written"
    STORED = "can be served"
    DOOMED = "out of sight, still leased"
    CONDEMNED = "to be unlinked now"
    GONE = "unlinked"


#: Where a file may go from each state; anything else is a bug.
TRANSITIONS = {
    State.RESERVED: {State.STORED, State.DOOMED, State.CONDEMNED},
    State.STORED: {State.DOOMED, State.CONDEMNED},
    State.DOOMED: {State.CONDEMNED},
    State.CONDEMNED: {State.GONE},
    State.GONE: set[State](),
}
#: States of files that somebody wants.
KEPT = frozenset((State.RESERVED, State.STORED))


def blocks_of(octets: int) -> int:
    """How many blocks a file of this size takes."""
    return -(-octets // BLOCK)


@frozen
class Amount:
    """
    What files take of a disk, or have to give back; true if that is anything at all.

    :ivar octets: in whole blocks.
    :ivar images: so much of what images may have.
    :ivar files: how many they are, of which a file system may have so many only.
    """

    octets: int = 0
    images: int = 0
    files: int = 0

    def __bool__(self) -> bool:
        """Whether there is any of it; where there is more than enough, it is less than none."""
        return self.octets > 0 or self.images > 0 or self.files > 0

    def __add__(self, other: Amount) -> Amount:
        """Say how much it is with so much more."""
        return Amount(
            self.octets + other.octets, self.images + other.images, self.files + other.files
        )

    def __sub__(self, other: Amount) -> Amount:
        """Say what is left of it without so much."""
        return Amount(
            self.octets - other.octets, self.images - other.images, self.files - other.files
        )


@define(eq=False, weakref_slot=False)
class Account:
    """
    What the ledger has on one file.

    :ivar blocks: how many it takes.
    :ivar image: whether it counts among images.
    :ivar evictable: whether it may be evicted; nothing that is not stored may.
    :ivar leases: how many readers it has.
    """

    state: State
    blocks: int
    image: bool
    evictable: bool = False
    leases: int = 0


@define(eq=False)
class Accounts:
    """
    The accounts of all files, by their numbers.

    Of nearly all there is only to say that they are stored and nobody reads them: they are a number
    each, which takes half of what an account does. Whoever asks for one gets an account, which may
    be changed until that of another file is asked for.
    """

    _all: dict[int, Account | int] = field(init=False, factory=dict)
    _given: int | None = field(init=False, default=None)

    def __contains__(self, key: int) -> bool:
        """Whether a file has an account."""
        return key in self._all

    def __iter__(self) -> Iterator[int]:
        """Go through the numbers of all that have one."""
        return iter(self._all)

    def __len__(self) -> int:
        """How many have one."""
        return len(self._all)

    def get(self, key: int) -> Account | None:
        """Give the account of a file, None if it has none."""
        found = self._all.get(key)
        if isinstance(found, int):
            self._fold()
            found = Account(State.STORED, found >> 2, bool(found & 1), bool(found & 2))
            self._all[key] = found
            self._given = key
        elif found is not None and key != self._given:
            self._fold()
            self._given = key
        return found

    def __getitem__(self, key: int) -> Account:
        """
        Give the account of a file.

        :raises KeyError: when it has none.
        """
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __setitem__(self, key: int, account: Account) -> None:
        """Open an account for a file."""
        self._fold()
        self._all[key] = account
        self._given = key

    def __delitem__(self, key: int) -> None:
        """Close the account of a file."""
        del self._all[key]
        if key == self._given:
            self._given = None

    def _fold(self) -> None:
        if self._given is None:
            return
        account = self._all[self._given]
        if isinstance(account, Account) and account.state is State.STORED and not account.leases:
            folded = account.blocks << 2 | account.evictable << 1 | account.image
            self._all[self._given] = folded
        self._given = None
