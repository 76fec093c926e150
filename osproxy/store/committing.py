"""
Making entries of drafts: header, rename, one transaction, visible.

A draft whose body is stored already is dropped instead; see `osproxy.store.joining`.
"""

from __future__ import annotations

import errno
from itertools import chain
from typing import TYPE_CHECKING

from attrs import define, evolve, field
from twisted.internet.defer import DeferredLock

from osproxy.store.blobs import State
from osproxy.store.files import publish
from osproxy.store.joining import Joining, New
from osproxy.store.records import Record, header_of
from osproxy.waiting import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime

    from osproxy.model import Head, Target
    from osproxy.repo.kinds import Kind
    from osproxy.store.blobs import Shelf
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.drafting import Drafting
    from osproxy.store.drafts import Draft
    from osproxy.store.entries import Entry
    from osproxy.store.files import Checkpoint
    from osproxy.store.inventory import Inventory
    from osproxy.store.pins import Pins
    from osproxy.store.removal import Removal
    from osproxy.store.room import Room
    from osproxy.store.sharing import Sharing
    from osproxy.store.stock import Stock
    from osproxy.store.unsynced import Unsynced


@define(eq=False)
class Committing:
    """The commits of one store."""

    _shelf: Shelf
    _catalogue: Catalogue
    _clock: IReactorTime
    _pins: Pins
    _stock: Stock
    _inventory: Inventory
    _drafting: Drafting
    _unsynced: Unsynced
    _removal: Removal
    _room: Room
    _sharing: Sharing
    _next_id: Callable[[], int]
    _checkpoint: Checkpoint
    _swapping: DeferredLock = field(init=False, factory=DeferredLock)
    _turns: Turns[str] = field(init=False, factory=Turns)
    _joining: Joining = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Know the way to what is stored already."""
        self._joining = Joining(
            self._shelf,
            self._catalogue,
            self._stock,
            self._sharing,
            self._pins,
            self._unsynced,
            self._room,
            self._next_id,
            self._checkpoint,
            self._swapping,
        )

    async def commit(self, drafts: list[tuple[Draft, str]], checked_at: float) -> list[Entry]:
        """Make entries of them all, or discard them all; see `osproxy.store.store.Store.commit`."""
        sealed: list[Draft] = []
        news: list[New] = []
        try:
            for draft, _ in drafts:
                draft.seal()
                sealed.append(draft)
            # Of two that are equal the second is to see the first.
            async with self._turns.of({digest for _, digest in drafts}):
                for draft, digest in drafts:
                    record = self._record_of(draft, digest, checked_at)
                    new = await self._joining.join(record)
                    news.append(new or await self._published(draft, record))
                entries = await self._swap(news, sealed)
        except BaseException:
            for new in news:
                if new.record.is_name:
                    self._joining.give_up(new)
            for draft in sealed:
                draft.give_up()
            raise
        else:
            for draft in sealed:
                # Those who read it can go on.
                if draft.blob.state is State.SEALED:
                    draft.give_up()
            return entries
        finally:
            for draft in sealed:
                self._drafting.forget(draft)

    async def name(
        self, entry: Entry, target: Target, kind: Kind, head: Head, checked_at: float
    ) -> Entry | None:
        """Make an entry that has the body of another; see `osproxy.store.store.Store.name`."""
        record = Record(
            id=entry.id,
            target=target,
            kind=kind,
            head=head,
            offset=entry.offset,
            length=entry.length,
            digest=entry.digest,
            stored_at=self._clock.seconds(),
            checked_at=checked_at,
        )
        async with self._turns.of({entry.digest}):
            new = await self._joining.name(record)
            if new is None:
                return None
            try:
                (named,) = await self._swap([new], ())
            except BaseException:
                self._joining.give_up(new)
                raise
        return named

    def _record_of(self, draft: Draft, digest: str, checked_at: float) -> Record:
        return Record(
            id=draft.blob.id,
            target=draft.target,
            kind=draft.record.kind,
            head=draft.head,
            offset=draft.offset,
            length=draft.written,
            digest=digest,
            stored_at=self._clock.seconds(),
            checked_at=checked_at,
            generation=draft.record.generation,
        )

    async def _published(self, draft: Draft, record: Record) -> New:
        blob = draft.blob
        await self._shelf.in_thread(
            publish,
            blob.fileno(),
            header_of(record),
            blob.path,
            self._shelf.directory.entry_path(blob.id),
            self._checkpoint,
            self._unsynced.at_once,
        )
        blob.published = True
        return New(record, blob)

    async def _swap(self, news: list[New], drafts: Sequence[Draft]) -> list[Entry]:
        # One at a time: which rows are replaced must still be true when the transaction is done.
        await self._swapping.acquire()
        try:
            await self._mend(news, drafts)
            records = [new.record for new in news]
            found = [await self._inventory.find(record.target) for record in records]
            replaced = {entry.id for entry in found if entry is not None}
            # What has others in its file cannot go as a whole.
            unnamed = set(filter(self._stock.is_outlived, replaced))
            self._see_that_all_are_there(news)
            self._checkpoint("before-catalogue")
            dropped = replaced - unnamed
            await self._catalogue.swap(records, dropped, self._unsynced.mark, unnamed)
            self._see_that_all_are_there(news)
            self._unsynced.committed(chain.from_iterable(map(_files_of, records)))
            self._checkpoint("after-catalogue")
            self._checkpoint("before-visible")
            # One reactor turn: the old set is seen before it, the new one after.
            for number in replaced:
                self._stock.retire(number, row_is_gone=number in dropped)
            shown: dict[Target, Entry] = {}
            entries = []
            for new in news:
                record = new.record
                evictable = not self._pins.hold(record.target)
                self._shelf.ledger.settle(record.id, record.size, evictable=evictable)
                new.blob.become(State.LIVE)
                entry = self._stock.show(record, new.blob)
                self._joining.settle(record)
                # Of two for one target the later one counts.
                if record.target in shown:
                    self._stock.retire(shown[record.target].id)
                shown[record.target] = entry
                entries.append(entry)
                new.blob.close_if_idle()
            self._checkpoint("after-visible")
        except BaseException:
            # Whether the transaction was done before it failed is not known.
            self._removal.rows(new.record.id for new in news)
            raise
        finally:
            self._swapping.release()
        self._room.count_catalogue()
        return entries

    def _see_that_all_are_there(self, news: list[New]) -> None:
        if any(map(self._joining.is_lost, news)):
            raise OSError(errno.EIO, "what it was equal to has gone")

    async def _mend(self, news: list[New], drafts: Sequence[Draft]) -> None:
        """Store drafts as they are of which the equal has gone meanwhile."""
        for place, draft in enumerate(drafts):
            new = news[place]
            if self._joining.is_lost(new):
                record = evolve(new.record, id=draft.blob.id, offset=draft.offset, body=None)
                news[place] = await self._published(draft, record)
                self._joining.give_up(new)


def _files_of(record: Record) -> tuple[int, ...]:
    """Name the files that have something new in them, or a new link to them."""
    return (record.id,) if record.body is None else (record.id, record.body)
