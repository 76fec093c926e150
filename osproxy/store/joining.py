"""
What is stored already is not stored again: an entry whose body is there becomes a name of it.

First the body has its second link, then the name is written, then comes the row, as in any commit.
A crash between two of these leaves a link or a name too many, which the next start takes away. In
memory the body is held from before the name is written: the entry that it came with may go
meanwhile, the body does not.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from attrs import define, evolve, frozen

from osproxy.store.blobs import Blob, State
from osproxy.store.entries import NOT_ITS_FAULT
from osproxy.store.files import check_of, link_body, opener_of, publish_name
from osproxy.store.ledger import BLOCK, CacheFull
from osproxy.store.records import Record, header_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import DeferredLock

    from osproxy.model import Target
    from osproxy.store.blobs import Shelf
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.files import Checkpoint
    from osproxy.store.pins import Pins
    from osproxy.store.room import Room
    from osproxy.store.sharing import Sharing
    from osproxy.store.stock import Stock
    from osproxy.store.unsynced import Unsynced

#: A body that takes no more than one block saves nothing worth the look.
LEAST = BLOCK + 1


@frozen(eq=False)
class New:
    """A file that lies among the entries, and is none yet."""

    record: Record
    blob: Blob


@define(eq=False)
class Joining:
    """
    The ways to names of bodies.

    :param next_id: gives a number that no file has had.
    :param swapping: held while rows are replaced; no share in a body is given out meanwhile.
    """

    _shelf: Shelf
    _catalogue: Catalogue
    _stock: Stock
    _sharing: Sharing
    _pins: Pins
    _unsynced: Unsynced
    _room: Room
    _next_id: Callable[[], int]
    _checkpoint: Checkpoint
    _swapping: DeferredLock

    async def join(self, record: Record) -> New | None:
        """
        Make a name of a body that is equal to that of a draft.

        None where there is none, or there can be no name: then the draft is stored as it is.

        :param record: the entry that the draft would be.
        """
        return await self.name(record) if record.length >= LEAST else None

    async def name(self, record: Record) -> New | None:
        """
        Make a name of a body that is stored, None where there is none, or there can be no name.

        :param record: the entry that is wanted; its digest and length say which body it has.
        """
        for twin in await self._catalogue.equal(record.digest, record.length):
            new = await self._name_of(record, twin)
            if new is not None:
                return new
        return None

    def is_lost(self, new: New) -> bool:
        """Whether it is the name of a body that has gone meanwhile."""
        record = new.record
        return record.is_name and self._sharing.body_of(record.id) != record.body

    def settle(self, record: Record) -> None:
        """Let a body go as others do, now that what names it is an entry, unless that is pinned."""
        if not self._pins.hold(record.target):
            self._sharing.unpin(record.id)

    def give_up(self, new: New) -> None:
        """Take a name away again that has become no entry."""
        self._stock.leave(new.record.id)
        new.blob.doom()

    async def _name_of(self, record: Record, twin: Record) -> New | None:
        name = evolve(record, id=self._next_id(), offset=twin.offset, body=twin.id)
        try:
            header = header_of(name)
        except ValueError:
            # The body has less in front of it than the name has to say.
            return None
        if not await self._hold(name, twin):
            return None
        try:
            return await self._write(name, header)
        except (CacheFull, OSError):
            # The draft takes less to become an entry, or says what is wrong.
            return None

    async def _hold(self, name: Record, twin: Record) -> bool:
        """Have a body stay for a name's sake, and say whether it does."""
        if not self._lends(twin, name.target):
            return False
        blob = self._stock.blob(twin.id)
        # Until there is a share in it, the file stays for us as it does for a reader.
        blob.lease()
        try:
            await blob.open(
                opener_of(twin.offset + twin.length),
                check_of(twin.offset, twin.length, twin.digest),
            )
        except OSError as error:
            blob.release()
            if error.errno not in NOT_ITS_FAULT:
                self._stock.lose(twin.id, found=error.errno != errno.ENOENT)
            return False
        try:
            paths = (
                self._shelf.directory.entry_path(twin.id),
                self._shelf.directory.body_path(twin.id),
            )
            await self._shelf.in_thread(link_body, paths[0], paths[1], self._unsynced.at_once)
            await self._swapping.acquire()
        except OSError:
            # Not every file system has links.
            return False
        else:
            lends = self._lends(twin, name.target)
            if lends:
                # Nobody is to make room by what is just being given a name.
                self._sharing.join(name.id, twin.id, pinned=True)
            self._swapping.release()
            return lends
        finally:
            blob.release()

    def _lends(self, twin: Record, target: Target) -> bool:
        if not self._stock.has(twin.id) or self._unsynced.in_doubt(twin.id):
            return False
        # What is about to be replaced, and nobody else has a share in, may as well go.
        return twin.target != target or bool(self._sharing.names_of(twin.id))

    async def _write(self, name: Record, header: bytes) -> New:
        image = self._room.image(name.target, name.kind)
        ledger = self._shelf.ledger
        try:
            await self._room.claim(
                name.target,
                name.kind,
                name.size,
                lambda: ledger.reserve(name.id, name.size, image=image),
                new=True,
            )
        except BaseException:
            self._stock.leave(name.id)
            raise
        new = New(name, Blob(name.id, self._shelf, State.SEALED))
        try:
            await self._shelf.in_thread(
                publish_name,
                header,
                new.blob.path,
                self._shelf.directory.entry_path(name.id),
                self._checkpoint,
                self._unsynced.at_once,
            )
        except BaseException:
            self.give_up(new)
            raise
        new.blob.published = True
        return new
