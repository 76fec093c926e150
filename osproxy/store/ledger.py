"""
How full are we, who goes next, and which file may be unlinked now?

The ledger knows numbers only: keys, octets, leases. It opens no file and asks no clock; what it
answers, `osproxy.store.store` does. Space is counted in blocks, as a file system hands it out, and
a file counts until its unlink has happened: what is stored, what is being written, and what waits
to be deleted never pass the capacity together, unless the capacity itself is lowered.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

from attrs import Factory, define, field

BLOCK = 4096


class CacheFull(Exception):
    """There is no room, even when all that may go is gone."""


class State(Enum):
    """Where a file is in its life, as far as its space is concerned."""

    RESERVED = "being written"
    STORED = "can be served"
    DOOMED = "out of sight, still leased"
    CONDEMNED = "to be unlinked now"
    GONE = "unlinked"


_TRANSITIONS = {
    State.RESERVED: {State.STORED, State.DOOMED, State.CONDEMNED},
    State.STORED: {State.DOOMED, State.CONDEMNED},
    State.DOOMED: {State.CONDEMNED},
    State.CONDEMNED: {State.GONE},
    State.GONE: set[State](),
}


def blocks_of(octets: int) -> int:
    """How many blocks a file of this size takes."""
    return -(-octets // BLOCK)


@define(eq=False)
class _Account:
    state: State
    blocks: int
    leases: int = 0


@define(eq=False)
class Ledger:
    """
    The book of one cache directory.

    Sizes go in and come out as octets; a size counts as its whole blocks.

    :ivar headroom: octets that no file may have, so that the overhead can grow when all is full.
    """

    _capacity: int
    headroom: int = 0
    _overhead: int = 0
    _accounts: dict[int, _Account] = field(init=False, factory=dict)
    _blocks: dict[State, int] = field(init=False, default=Factory(lambda: dict.fromkeys(State, 0)))
    # Least recently used first; only stored files that may be evicted.
    _order: OrderedDict[int, _Account] = field(init=False, factory=OrderedDict)

    @property
    def capacity(self) -> int:
        """Octets that may be used in all."""
        return self._capacity

    @property
    def overhead(self) -> int:
        """Octets that the catalogue takes."""
        return self._overhead

    @overhead.setter
    def overhead(self, octets: int) -> None:
        self._overhead = blocks_of(octets) * BLOCK

    @property
    def stored(self) -> int:
        """Octets of files that can be served."""
        return self._blocks[State.STORED] * BLOCK

    @property
    def reserved(self) -> int:
        """Octets set aside for files that are being written."""
        return self._blocks[State.RESERVED] * BLOCK

    @property
    def awaiting(self) -> int:
        """Octets of files whose unlink has not happened yet."""
        return (self._blocks[State.DOOMED] + self._blocks[State.CONDEMNED]) * BLOCK

    @property
    def used(self) -> int:
        """Octets that are not free."""
        return self.stored + self.reserved + self.awaiting + self._overhead

    def __contains__(self, key: int) -> bool:
        """Whether the file of this key still takes space."""
        return key in self._accounts

    def set_capacity(self, octets: int) -> None:
        """Allow so much from now on; `surplus` says what has to go for it."""
        self._capacity = octets

    def fits(self, octets: int) -> bool:
        """Whether so much can be reserved now."""
        return self.used + self.headroom + blocks_of(octets) * BLOCK <= self._capacity

    def reserve(self, key: int, octets: int) -> None:
        """
        Set space aside for a file that is about to be written.

        :raises CacheFull: when it does not fit now.
        """
        if key in self._accounts:
            raise ValueError(f"{key} has an account")
        self._require(octets)
        self._enter(key, State.RESERVED, octets)

    def grow(self, key: int, octets: int) -> None:
        """
        Raise what is reserved for a file to a new total.

        :raises CacheFull: when it does not fit now; the old reservation stays.
        """
        account = self._account(key, State.RESERVED)
        more = blocks_of(octets) - account.blocks
        if more <= 0:
            return
        self._require(more * BLOCK)
        self._resize(account, account.blocks + more)

    def shrink(self, key: int, octets: int) -> None:
        """Give back what is reserved for a file beyond its size."""
        account = self._account(key, State.RESERVED)
        self._resize(account, min(account.blocks, blocks_of(octets)))

    def settle(self, key: int, octets: int, *, evictable: bool = True) -> None:
        """Turn a reservation into a stored file of its final size, the most recently used."""
        account = self._account(key, State.RESERVED)
        if blocks_of(octets) > account.blocks:
            raise ValueError(f"{key} is larger than what was reserved for it")
        self._resize(account, blocks_of(octets))
        self._move(account, State.STORED)
        if evictable:
            self._order[key] = account

    def adopt(self, key: int, octets: int) -> None:
        """Enter a file that was found on the disk, the most recently used, fit or not."""
        if key in self._accounts:
            raise ValueError(f"{key} has an account")
        self._order[key] = self._enter(key, State.STORED, octets)

    def touch(self, key: int) -> None:
        """Make a stored file the most recently used."""
        self._account(key, State.STORED)
        if key in self._order:
            self._order.move_to_end(key)

    def lease(self, key: int) -> None:
        """Note a reader of a file: until it is released, the file is not to be unlinked."""
        self._account(key, State.RESERVED, State.STORED).leases += 1

    def leased(self, key: int) -> bool:
        """Whether the file has readers."""
        return self._accounts[key].leases > 0

    def release(self, key: int) -> bool:
        """Note that a reader is done, and say whether the file is to be unlinked now."""
        account = self._account(key, State.RESERVED, State.STORED, State.DOOMED)
        if not account.leases:
            raise ValueError(f"{key} is not leased")
        account.leases -= 1
        if account.state is not State.DOOMED or account.leases:
            return False
        self._move(account, State.CONDEMNED)
        return True

    def doom(self, key: int) -> bool:
        """
        Let go of a file, stored or being written, and say whether it is to be unlinked now.

        If it has readers, it is not: the release of the last one says so.
        """
        account = self._account(key, State.RESERVED, State.STORED)
        self._order.pop(key, None)
        self._move(account, State.DOOMED if account.leases else State.CONDEMNED)
        return not account.leases

    def removed(self, key: int) -> None:
        """Note that the unlink has happened: its space is free."""
        account = self._account(key, State.CONDEMNED)
        self._move(account, State.GONE)
        self._resize(account, 0)
        del self._accounts[key]

    def missing(self, octets: int) -> int:
        """Say how much has to go so that so much fits, once what is on its way out is unlinked."""
        soon_free = self._blocks[State.CONDEMNED] * BLOCK
        return self.used + self.headroom - soon_free + blocks_of(octets) * BLOCK - self._capacity

    def victims(self, octets: int) -> tuple[int, ...]:
        """
        Name the files to doom so that so much fits once they are unlinked.

        Those that are to be unlinked already are counted on. None is named if nothing need go, or
        if it would not help. A file with readers goes in its turn, but its octets are not counted
        on: its readers keep them for as long as they like.
        """
        named, missing = self._oldest(octets)
        return named if missing <= 0 else ()

    def surplus(self) -> tuple[int, ...]:
        """Name the files to doom to come down to the capacity, or as near to it as can be."""
        named, _ = self._oldest(0)
        return named

    def _oldest(self, octets: int) -> tuple[tuple[int, ...], int]:
        missing = self.missing(octets)
        named: list[int] = []
        for key, account in self._order.items():
            if missing <= 0:
                break
            named.append(key)
            if not account.leases:
                missing -= account.blocks * BLOCK
        return tuple(named), missing

    def _require(self, octets: int) -> None:
        if not self.fits(octets):
            raise CacheFull(f"{octets} octets do not fit: {self.used} of {self._capacity} used")

    def _account(self, key: int, *states: State) -> _Account:
        account = self._accounts.get(key)
        if account is None or account.state not in states:
            found = "unknown" if account is None else account.state.value
            raise ValueError(f"{key} is {found}")
        return account

    def _enter(self, key: int, state: State, octets: int) -> _Account:
        account = _Account(state, 0)
        self._accounts[key] = account
        self._resize(account, blocks_of(octets))
        return account

    def _resize(self, account: _Account, blocks: int) -> None:
        self._blocks[account.state] += blocks - account.blocks
        account.blocks = blocks

    def _move(self, account: _Account, state: State) -> None:
        if state not in _TRANSITIONS[account.state]:
            raise ValueError(f"{account.state.value} does not become {state.value}")
        self._blocks[account.state] -= account.blocks
        self._blocks[state] += account.blocks
        account.state = state
