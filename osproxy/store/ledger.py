"""
How full are we, how many have to go, and which file may be unlinked now?

The ledger knows numbers only: keys, octets, leases. It opens no file and asks no clock; what it
answers, `osproxy.store.store` does. In which order files go is `osproxy.store.eviction`'s to say;
what all of them come to is kept in `osproxy.store.totals`.
Space is counted in blocks, as a file system hands it out, and a file counts until its unlink has
happened: what is stored, what is being written, and what waits to be deleted never pass the
capacity together, unless the capacity itself is lowered. The files themselves are counted, too:
there may be so many only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.store.accounts import BLOCK, Account, Accounts, Amount, State, blocks_of
from osproxy.store.eviction import Eviction
from osproxy.store.lru import Lru
from osproxy.store.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BLOCK", "CacheFull", "Ledger", "blocks_of"]


class CacheFull(Exception):
    """There is no room, even when all that may go is gone."""


def _all_of_it(capacity: int) -> int:
    return capacity


@define(eq=False)
class Ledger:
    """
    The book of one cache directory.

    Sizes go in and come out as octets; a size counts as its whole blocks. Images may have a part of
    the capacity only, so that a few of them do not drive everything else out.

    :ivar headroom: octets that no file may have, so that the overhead can grow when all is full.
    :ivar unlisted: files that are there and have no account yet; their octets are overhead.
    :param eviction: the order in which stored files go.
    :param image_space: how much of a capacity images may have.
    """

    _capacity: int
    headroom: int = 0
    unlisted: int = field(init=False, default=0)
    _overhead: int = 0
    _most_files: int | None = field(init=False, default=None)
    _eviction: Eviction = field(kw_only=True, factory=lambda: Eviction(Lru))
    _image_space: Callable[[int], int] = field(kw_only=True, default=_all_of_it)
    _accounts: Accounts = field(init=False, factory=Accounts)
    _totals: Totals = field(init=False, factory=Totals)

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
        return self._totals.blocks[State.STORED] * BLOCK

    @property
    def reserved(self) -> int:
        """Octets set aside for files that are being written."""
        return self._totals.blocks[State.RESERVED] * BLOCK

    @property
    def awaiting(self) -> int:
        """Octets of files whose unlink has not happened yet."""
        return (self._totals.blocks[State.DOOMED] + self._totals.blocks[State.CONDEMNED]) * BLOCK

    @property
    def used(self) -> int:
        """Octets that are not free."""
        return self.stored + self.reserved + self.awaiting + self._overhead

    @property
    def files(self) -> int:
        """How many files take space."""
        return len(self._accounts) + self.unlisted

    @property
    def images(self) -> int:
        """Octets of images that can be served or are being written."""
        return self._totals.images * BLOCK

    @property
    def image_capacity(self) -> int:
        """Octets that images may have."""
        return self._image_space(self._capacity)

    @property
    def pinned(self) -> int:
        """Octets of stored files that are never evicted."""
        return self._totals.pinned * BLOCK

    def __contains__(self, key: int) -> bool:
        """Whether the file of this key still takes space."""
        return key in self._accounts

    def set_capacity(self, octets: int, files: int | None = None) -> None:
        """
        Allow so much from now on; `surplus` says what has to go for it.

        :param files: how many there may be, None for any number.
        """
        self._capacity = octets
        self._most_files = files

    def fits(self, octets: int, *, image: bool = False, new: bool = False) -> bool:
        """
        Whether so much can be reserved now.

        :param new: whether it is for a file that has no account yet.
        """
        blocks = blocks_of(octets) * BLOCK
        return (
            self.used + self.headroom + blocks <= self._capacity
            and (not image or self.images + blocks <= self.image_capacity)
            and (not new or self._most_files is None or self.files < self._most_files)
        )

    def reserve(self, key: int, octets: int, *, image: bool = False) -> None:
        """
        Set space aside for a file that is about to be written.

        :raises CacheFull: when it does not fit now.
        """
        if key in self._accounts:
            raise ValueError(f"{key} has an account")
        self._require(octets, image=image, new=True)
        self._enter(key, State.RESERVED, octets, image=image)

    def grow(self, key: int, octets: int) -> None:
        """
        Raise what is reserved for a file to a new total.

        :raises CacheFull: when it does not fit now; the old reservation stays.
        """
        account = self._account(key, State.RESERVED)
        more = blocks_of(octets) - account.blocks
        if more <= 0:
            return
        self._require(more * BLOCK, image=account.image, new=False)
        self._totals.resize(account, account.blocks + more)

    def shrink(self, key: int, octets: int) -> None:
        """Give back what is reserved for a file beyond its size."""
        account = self._account(key, State.RESERVED)
        self._totals.resize(account, min(account.blocks, blocks_of(octets)))

    def settle(self, key: int, octets: int, *, evictable: bool = True) -> None:
        """Turn a reservation into a stored file of its final size, newly used."""
        account = self._account(key, State.RESERVED)
        if blocks_of(octets) > account.blocks:
            raise ValueError(f"{key} is larger than what was reserved for it")
        self._totals.resize(account, blocks_of(octets))
        self._totals.move(account, State.STORED)
        self._totals.line_up(account, evictable=evictable)
        if evictable:
            self._eviction.insert(key, octets, image=account.image)

    def adopt(
        self,
        key: int,
        octets: int,
        *,
        image: bool = False,
        evictable: bool = True,
        hotness: int | None = None,
    ) -> None:
        """
        Enter a file that was found on the disk, fit or not; those used last are to come last.

        :param hotness: what `hotness` once said of it, None where nothing is known.
        """
        if key in self._accounts:
            raise ValueError(f"{key} has an account")
        account = self._enter(key, State.STORED, octets, image=image)
        self._totals.line_up(account, evictable=evictable)
        if not evictable:
            return
        if hotness is None:
            self._eviction.insert(key, octets, image=image)
        else:
            self._eviction.restore(key, octets, hotness, image=image)

    def pin(self, key: int, *, pinned: bool) -> None:
        """Keep a stored file whatever comes, or from now on no longer; then it is newly used."""
        account = self._account(key, State.STORED)
        if account.evictable is not pinned:
            return
        self._step_out(key, account)
        self._totals.line_up(account, evictable=not pinned)
        if not pinned:
            self._eviction.insert(key, account.blocks * BLOCK, image=account.image)

    def is_pinned(self, key: int) -> bool:
        """Whether a stored file is never evicted."""
        return not self._account(key, State.STORED).evictable

    def touch(self, key: int) -> None:
        """Note a use of a stored file."""
        account = self._account(key, State.STORED)
        if account.evictable:
            self._eviction.hit(key, image=account.image)

    def hotness(self, key: int) -> int:
        """Give what of a stored file's standing is to outlive the process."""
        account = self._account(key, State.STORED)
        return self._eviction.hotness(key) if account.evictable else 0

    def supersede(self, key: int, until: float) -> None:
        """Let a stored file go before all others from this time on, unless it is pinned."""
        if self._account(key, State.STORED).evictable:
            self._eviction.supersede(key, until)

    def unsupersede(self, key: int) -> None:
        """Let a stored file stand where it would have stood."""
        self._account(key, State.STORED)
        self._eviction.unsupersede(key)

    def lease(self, key: int) -> None:
        """Note a reader of a file: until it is released, the file is not to be unlinked."""
        account = self._account(key, State.RESERVED, State.STORED)
        self._totals.lease(account)

    def leased(self, key: int) -> bool:
        """Whether the file has readers."""
        return self._accounts[key].leases > 0

    def release(self, key: int) -> bool:
        """Note that a reader is done, and say whether the file is to be unlinked now."""
        account = self._account(key, State.RESERVED, State.STORED, State.DOOMED)
        if not account.leases:
            raise ValueError(f"{key} is not leased")
        self._totals.release(account)
        if account.state is not State.DOOMED or account.leases:
            return False
        self._totals.move(account, State.CONDEMNED)
        return True

    def doom(self, key: int) -> bool:
        """
        Let go of a file, stored or being written, and say whether it is to be unlinked now.

        If it has readers, it is not: the release of the last one says so.
        """
        account = self._account(key, State.RESERVED, State.STORED)
        if account.state is State.STORED:
            self._step_out(key, account)
        self._totals.move(account, State.DOOMED if account.leases else State.CONDEMNED)
        return not account.leases

    def removed(self, key: int) -> None:
        """Note that the unlink has happened: its space is free."""
        account = self._account(key, State.CONDEMNED)
        self._totals.move(account, State.GONE)
        self._totals.resize(account, 0)
        del self._accounts[key]

    def victims(self, missing: Amount, now: float) -> tuple[int, ...]:
        """
        Name the files to doom so that so much is free once they are unlinked.

        None is named if nothing need go, or if it would not help. A file with readers goes in its
        turn, but what it takes is not counted on: its readers keep it for as long as they like.
        """
        in_vain = (
            missing.octets > self._totals.idle * BLOCK
            or missing.images > self._totals.evictable_images * BLOCK
            or missing.files > self._totals.idle_files
        )
        return () if in_vain else self._next(missing, now)

    def surplus(self, now: float) -> tuple[int, ...]:
        """Name the files to doom to come down to the capacity, or as near to it as can be."""
        return self._next(self.missing(), now)

    def missing(self, octets: int = 0, *, image: bool = False, new: bool = False) -> Amount:
        """
        Say what has to go for so much to fit.

        Files that are to be unlinked already are counted on.

        :param new: whether it is for a file that has no account yet.
        """
        wanted = blocks_of(octets) * BLOCK
        soon_free = self._totals.blocks[State.CONDEMNED] * BLOCK
        files = self.files - self._totals.condemned_files + new
        return Amount(
            octets=self.used + self.headroom - soon_free + wanted - self._capacity,
            images=self.images + (wanted if image else 0) - self.image_capacity,
            files=0 if self._most_files is None else files - self._most_files,
        )

    def _next(self, missing: Amount, now: float) -> tuple[int, ...]:
        named: dict[int, None] = {}
        octets, images, files = missing.octets, missing.images, missing.files
        if images > 0:
            for key in self._eviction.images():
                named[key] = None
                account = self._accounts[key]
                images -= account.blocks * BLOCK
                if not account.leases:
                    octets -= account.blocks * BLOCK
                    files -= 1
                if images <= 0:
                    break
        if octets > 0 or files > 0:
            for key in self._eviction.victims(now):
                if key in named:
                    continue
                named[key] = None
                account = self._accounts[key]
                if not account.leases:
                    octets -= account.blocks * BLOCK
                    files -= 1
                if octets <= 0 and files <= 0:
                    break
        return tuple(named)

    def _step_out(self, key: int, account: Account) -> None:
        if account.evictable:
            self._eviction.remove(key, image=account.image)
        self._totals.step_out(account)

    def _require(self, octets: int, *, image: bool, new: bool) -> None:
        if not self.fits(octets, image=image, new=new):
            most = "any number" if self._most_files is None else self._most_files
            raise CacheFull(
                f"{octets} octets do not fit: {self.used} of {self._capacity} used,"
                f" {self.images} of {self.image_capacity} by images; {self.files} files of {most}"
            )

    def _account(self, key: int, *states: State) -> Account:
        account = self._accounts.get(key)
        if account is None or account.state not in states:
            found = "unknown" if account is None else account.state.value
            raise ValueError(f"{key} is {found}")
        return account

    def _enter(self, key: int, state: State, octets: int, *, image: bool) -> Account:
        account = Account(state, 0, image)
        self._accounts[key] = account
        self._totals.resize(account, blocks_of(octets))
        return account
