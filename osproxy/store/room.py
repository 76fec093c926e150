"""
Room on the disk: how much we may take, and how it is come by.

The ledger says which entries go, after the drafts that nobody writes; here they are sent, and
waited for.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.defer import DeferredLock

from osproxy.store.accounts import Amount
from osproxy.store.allowance import allowance, free_files_of
from osproxy.store.ledger import CacheFull

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twisted.internet.interfaces import IReactorTime

    from osproxy.model import Target
    from osproxy.repo.kinds import Kind
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.kept import Kept
    from osproxy.store.ledger import Ledger
    from osproxy.store.pins import Pins
    from osproxy.store.removal import Removal
    from osproxy.threads import InThread

# Unknown lengths are reserved in steps, smaller ones where the whole cache is small.
_STEP = 16 * 1024 * 1024
_STEPS_OF_CAPACITY = 16
_LEAST_STEP = 64 * 1024
# The catalogue is counted in whole units, half a unit ahead of what it takes, so that it may grow
# between two looks at it.
_CATALOGUE_UNIT = 256 * 1024


@define(eq=False)
class Room:
    """
    What may be taken, and the queue of those who want some.

    :ivar closed: whether nobody gets any more.
    :ivar free: octets that the disk had free when it was looked at last.
    :ivar free_files: how many files could be made on it then; infinity for any number.
    :ivar unknown: what is taken by files that lie on the disk and are not in the ledger yet.
    """

    _ledger: Ledger
    _removal: Removal
    _catalogue: Catalogue
    _pins: Pins
    _in_thread: InThread
    _clock: IReactorTime
    _evict: Callable[[int], None]
    _kept: Kept
    _cache_size: int
    _free_space: Callable[[int], int]
    closed: bool = field(init=False, default=False)
    free: int = field(init=False, default=0)
    free_files: float = field(init=False, default=0)
    unknown: Amount = field(init=False, factory=Amount)
    _queue: DeferredLock = field(init=False, factory=DeferredLock)

    def __attrs_post_init__(self) -> None:
        """Keep a unit free: rows are written when the files they name have taken the rest."""
        self._ledger.headroom = _CATALOGUE_UNIT

    @property
    def step(self) -> int:
        """Octets to reserve at once for a body of unknown length."""
        return min(_STEP, max(_LEAST_STEP, self._ledger.capacity // _STEPS_OF_CAPACITY))

    def image(self, target: Target, kind: Kind) -> bool:
        """Whether a file counts as an image."""
        return self._pins.image(target, kind)

    async def claim(
        self,
        target: Target,
        kind: Kind,
        octets: int,
        claim: Callable[[], None],
        *,
        new: bool = False,
    ) -> None:
        """
        Call ``claim`` in the same turn in which so much has become free for a file.

        :param new: whether the file is not there yet.
        :raises CacheFull: when it cannot be had.
        """
        image = self.image(target, kind)
        at_once = not self._queue.locked and not self.closed
        if at_once and self._ledger.fits(octets, image=image, new=new):
            claim()
            return
        # In turn: what one evicts for itself, another must not take.
        await self._queue.acquire()
        try:
            await self._make(octets, image=image, new=new)
            claim()
        except CacheFull:
            if self._pins.hold(target) and not self.closed:
                self._pins.tell(target, self._ledger)
            raise
        finally:
            self._queue.release()

    async def look(self, path: Path, unwritten: Callable[[], int]) -> None:
        """
        Set the capacity to the lesser of the setting and what the disk allows, and come down to it.

        :param unwritten: says how many octets are reserved and not on the disk yet.
        """
        disk = await self._in_thread(os.statvfs, path)
        self.free = disk.f_bavail * disk.f_frsize
        free_files = free_files_of(disk)
        self.free_files = math.inf if free_files is None else free_files
        self._weigh_catalogue()
        ahead = self._ledger.overhead - self.unknown.octets - self._catalogue.octets
        taken = self._ledger.used - ahead - unwritten()
        allowed = allowance(disk, self._free_space, taken, self._ledger.files)
        octets = self._cache_size
        if allowed.octets is not None:
            octets = max(0, min(octets, allowed.octets))
        self._ledger.set_capacity(octets, allowed.files)
        self._come_down()
        # What is not listed yet may be what goes.
        if not self.unknown:
            self._pins.check(self._ledger)

    def found(self, *octets: int) -> None:
        """
        Count these no longer as unknown, since they have been entered in the ledger.

        :param octets: what each takes; of none it is known already.
        """
        files = len(octets) - octets.count(0)
        self.unknown = Amount(
            octets=max(0, self.unknown.octets - sum(octets)),
            files=max(0, self.unknown.files - files),
        )
        self._weigh_catalogue()

    def count_catalogue(self) -> None:
        """Account for what the catalogue takes now, and make room for it."""
        self._weigh_catalogue()
        self._come_down()

    def _weigh_catalogue(self) -> None:
        units = -(-(self._catalogue.octets + _CATALOGUE_UNIT // 2) // _CATALOGUE_UNIT)
        self._ledger.overhead = units * _CATALOGUE_UNIT + self.unknown.octets
        self._ledger.unlisted = self.unknown.files

    def _come_down(self) -> None:
        missing = self._ledger.missing()
        self._kept.give_way(missing.octets, missing.files)
        for number in self._ledger.surplus(self._clock.seconds()):
            self._evict(number)

    async def _make(self, octets: int, *, image: bool, new: bool) -> None:
        while not self.closed:
            if self._ledger.fits(octets, image=image, new=new):
                return
            some_go = self._send_away(octets, image=image, new=new)
            if self._removal.busy:
                await self._removal.progress()
            elif not some_go:
                break
        raise CacheFull(f"no room for {octets} octets")

    def _send_away(self, octets: int, *, image: bool, new: bool) -> bool:
        """Let go whoever must for so much, drafts first, and say whether there is any."""
        now = self._clock.seconds()
        missing = self._ledger.missing(octets, image=image, new=new)
        beyond_drafts = missing - self._kept.idle
        if beyond_drafts and not self._ledger.victims(beyond_drafts, now):
            # Nobody goes in vain.
            return False
        given_way = self._kept.give_way(missing.octets, missing.files)
        missing = self._ledger.missing(octets, image=image, new=new)
        victims = self._ledger.victims(missing, now)
        for number in victims:
            self._evict(number)
        return given_way or bool(victims)
