"""
What a start leaves to do while the store already serves: list the entries, and put all in order.

Listing a million takes seconds. Each bite of it costs the reactor a few milliseconds, and entries
that are asked for before their turn are looked up. Where rows are lost the files give them back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.store.accounts import Amount
from osproxy.store.schema import CatalogueDamaged

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.store.catalogue import Catalogue, Extent
    from osproxy.store.inventory import Inventory
    from osproxy.store.rebuild import Rebuild
    from osproxy.store.room import Room
    from osproxy.store.sweep import Sweep
    from osproxy.threads import InThread

_BITE = 500


@define(eq=False)
class Loading:
    """
    The rest of one start.

    :param settled: called before the first bite and after each, when what there is will stay.
    """

    _catalogue: Catalogue
    _inventory: Inventory
    _room: Room
    _rebuild: Rebuild
    _sweep: Sweep
    _in_thread: InThread
    _settled: Callable[[], None]
    _stopped: bool = field(init=False, default=False)
    _begun: bool = field(init=False, default=False)

    def stop(self) -> None:
        """End after the bite under way."""
        self._stopped = self._rebuild.stopped = self._sweep.stopped = True

    async def prepare(self) -> Extent:
        """
        Open the catalogue and account for all that is on the disk; say what there is.

        :raises StoreError: when the catalogue cannot be opened.
        """
        extent = await self._catalogue.open()
        self._inventory.expect(extent.count)
        # What is not listed yet takes its space all the same.
        self._room.unknown = extent.taken
        if self._catalogue.incomplete:
            lost = await self._rebuild.weigh()
            self._room.unknown = lost
            if not lost and not self._stopped:
                await self._catalogue.completed()
        # Before anybody is served: the first time it takes longest.
        self._settled()
        return extent

    async def run(self) -> None:
        """List, rebuild where that must be, and sweep, unless that is done or under way."""
        if self._begun:
            return
        self._begun = True
        try:
            await self._run()
        except BaseException:
            self._begun = False
            raise

    async def _run(self) -> None:
        try:
            await self._list()
        except CatalogueDamaged as damage:
            await self._catalogue.start_anew(damage)
            found = await self._rebuild.weigh()
            # Of a directory that was deleted meanwhile nothing counts any more.
            self._room.unknown = Amount() if self._stopped else found
        # Before the sweep, which takes a file without a row for a leftover.
        if self._catalogue.incomplete and not self._stopped:
            await self._rebuild.run()
        if self._stopped:
            return
        self._inventory.completed()
        # Only now it is known who goes where the setting has become smaller.
        self._room.count_catalogue()
        await self._sweep.run()
        self._room.unknown = Amount()
        self._room.count_catalogue()

    async def _list(self) -> None:
        listing = self._catalogue.listing(self._in_thread)
        try:
            while not self._stopped and (places := await listing.next(_BITE)):
                await self._inventory.restore(places)
                self._settled()
        finally:
            await listing.close()
