"""
Making entries of drafts: header, rename, one transaction, visible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.defer import DeferredLock

from osproxy.store.blobs import State, publish
from osproxy.store.records import Record, header_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IReactorTime

    from osproxy.model import Target
    from osproxy.store.blobs import Blob, Checkpoint
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.drafting import Drafting
    from osproxy.store.drafts import Draft
    from osproxy.store.entries import Entry
    from osproxy.store.inventory import Inventory
    from osproxy.store.layout import Directory
    from osproxy.store.ledger import Ledger
    from osproxy.store.pins import Pins
    from osproxy.store.removal import Removal
    from osproxy.store.room import Room
    from osproxy.store.unsynced import Unsynced
    from osproxy.threads import InThread


@define(eq=False)
class Committing:
    """The commits of one store."""

    _directory: Directory
    _ledger: Ledger
    _catalogue: Catalogue
    _in_thread: InThread
    _clock: IReactorTime
    _pins: Pins
    _inventory: Inventory
    _drafting: Drafting
    _unsynced: Unsynced
    _removal: Removal
    _room: Room
    _checkpoint: Checkpoint
    _swapping: DeferredLock = field(init=False, factory=DeferredLock)

    async def commit(self, drafts: list[tuple[Draft, str]], checked_at: float) -> list[Entry]:
        """Make entries of them all, or discard them all; see `osproxy.store.store.Store.commit`."""
        sealed: list[Draft] = []
        try:
            for draft, _ in drafts:
                draft.seal()
                sealed.append(draft)
            records = [self._record_of(draft, digest, checked_at) for draft, digest in drafts]
            for draft, record in zip(sealed, records, strict=True):
                await self._publish(draft.blob, header_of(record))
            return await self._swap(sealed, records)
        except BaseException:
            for draft in sealed:
                draft.give_up()
            raise
        finally:
            for draft in sealed:
                self._drafting.forget(draft)

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

    async def _publish(self, blob: Blob, header: bytes) -> None:
        entry_path = self._directory.entry_path(blob.id)
        await self._in_thread(
            publish,
            blob.fileno(),
            header,
            blob.path,
            entry_path,
            self._checkpoint,
            self._unsynced.at_once,
        )
        blob.published = True

    async def _swap(self, drafts: Sequence[Draft], records: Sequence[Record]) -> list[Entry]:
        # One at a time: which rows are replaced must still be true when the transaction is done.
        await self._swapping.acquire()
        try:
            found = [await self._inventory.find(record.target) for record in records]
            replaced = {entry.id for entry in found if entry is not None}
            self._checkpoint("before-catalogue")
            await self._catalogue.swap(records, replaced, self._unsynced.mark)
            self._unsynced.committed(record.id for record in records)
            self._checkpoint("after-catalogue")
            self._checkpoint("before-visible")
            # One reactor turn: the old set is seen before it, the new one after.
            for number in replaced:
                self._inventory.retire(number, row_is_gone=True)
            shown: dict[Target, Entry] = {}
            entries = []
            for draft, record in zip(drafts, records, strict=True):
                evictable = not self._pins.hold(record.target)
                self._ledger.settle(record.id, record.size, evictable=evictable)
                draft.blob.become(State.LIVE)
                entry = self._inventory.show(record, draft.blob)
                # Of two for one target the later one counts.
                if record.target in shown:
                    self._inventory.retire(shown[record.target].id)
                shown[record.target] = entry
                entries.append(entry)
                draft.blob.close_if_idle()
            self._checkpoint("after-visible")
        except BaseException:
            # Whether the transaction was done before it failed is not known.
            self._removal.rows(record.id for record in records)
            raise
        finally:
            self._swapping.release()
        self._room.count_catalogue()
        return entries
