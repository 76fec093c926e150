"""
Room on the disk: how much we may take, and how it is come by.

The ledger says which entries go, after the drafts that nobody writes; here they are sent, and
waited for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.defer import DeferredLock

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
    :ivar unknown: octets of files that lie on the disk and are not in the ledger yet.
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
    unknown: int = field(init=False, default=0)
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
        self, target: Target, kind: Kind, octets: int, claim: Callable[[], None]
    ) -> None:
        """
        Call ``claim`` in the same turn in which so much has become free for a file.

        :raises CacheFull: when it cannot be had.
        """
        image = self.image(target, kind)
        at_once = not self._queue.locked and not self.closed
        if at_once and self._ledger.fits(octets, image=image):
            claim()
            return
        # In turn: what one evicts for itself, another must not take.
        await self._queue.acquire()
        try:
            await self._make(octets, image=image)
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
        floor = self._free_space(disk.f_blocks * disk.f_frsize)
        self._weigh_catalogue()
        ahead = self._ledger.overhead - self.unknown - self._catalogue.octets
        allowed = self._ledger.used - ahead - unwritten() + self.free - floor
        self._ledger.set_capacity(max(0, min(self._cache_size, allowed)))
        self._come_down()
        # What is not listed yet may be what goes.
        if not self.unknown:
            self._pins.check(self._ledger)

    def found(self, octets: int) -> None:
        """Count so much no longer as unknown, since it has been entered in the ledger."""
        self.unknown = max(0, self.unknown - octets)
        self._weigh_catalogue()

    def count_catalogue(self) -> None:
        """Account for what the catalogue takes now, and make room for it."""
        self._weigh_catalogue()
        self._come_down()

    def _weigh_catalogue(self) -> None:
        units = -(-(self._catalogue.octets + _CATALOGUE_UNIT // 2) // _CATALOGUE_UNIT)
        self._ledger.overhead = units * _CATALOGUE_UNIT + self.unknown

    def _come_down(self) -> None:
        self._kept.give_way(self._ledger.missing(0))
        for number in self._ledger.surplus(self._clock.seconds()):
            self._evict(number)

    async def _make(self, octets: int, *, image: bool) -> None:
        while not self.closed:
            if self._ledger.fits(octets, image=image):
                return
            some_go = self._send_away(octets, image=image)
            if self._removal.busy:
                await self._removal.progress()
            elif not some_go:
                break
        raise CacheFull(f"no room for {octets} octets")

    def _send_away(self, octets: int, *, image: bool) -> bool:
        """Let go whoever must for so much, drafts first, and say whether there is any."""
        now, idle = self._clock.seconds(), self._kept.idle
        missing, over = self._ledger.excess(octets, image=image)
        victims = self._ledger.victims(octets, now, image=image, spare=idle)
        if not victims and (missing > idle or over > 0):
            # Nobody goes in vain.
            return False
        given_way = self._kept.give_way(missing)
        victims = self._ledger.victims(octets, now, image=image)
        for number in victims:
            self._evict(number)
        return given_way or bool(victims)
