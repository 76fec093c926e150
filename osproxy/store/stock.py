"""
The files that there are: what stands for each in memory, and what goes along when one goes.

Nothing here waits. What is said holds to the end of the reactor's turn, and what is done is done in
one. Entries that are not in memory are found by `osproxy.store.inventory`.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from osproxy.store.arrivals import Arrivals
from osproxy.store.blobs import Blob, State
from osproxy.store.entries import Entry
from osproxy.store.index import Index, key_of
from osproxy.store.trouble import Work

if TYPE_CHECKING:
    from osproxy.model import Target
    from osproxy.store.blobs import Shelf
    from osproxy.store.listing import Place
    from osproxy.store.notes import Notes
    from osproxy.store.records import Record
    from osproxy.store.removal import Removal
    from osproxy.store.residents import Residents
    from osproxy.store.sharing import Sharing
    from osproxy.store.trouble import Trouble
    from osproxy.store.unsynced import Unsynced


class Stock:
    """
    Knows files by their numbers, and lets go of them.

    :ivar index: which of them are entries, as far as they are listed.
    :ivar arrivals: what is to be thought of until they all are.
    :ivar residents: the entries that are in memory.
    :ivar sharing: who has a body in common.
    """

    def __init__(
        self,
        shelf: Shelf,
        residents: Residents,
        sharing: Sharing,
        notes: Notes,
        unsynced: Unsynced,
        removal: Removal,
        trouble: Trouble,
    ) -> None:
        self._shelf = shelf
        self._ledger = shelf.ledger
        self.index = Index()
        self.arrivals = Arrivals(shelf.directory.first_id)
        self.residents = residents
        self.sharing = sharing
        self._notes = notes
        self._unsynced = unsynced
        self._removal = removal
        self._trouble = trouble
        self._blobs: WeakValueDictionary[int, Blob] = WeakValueDictionary()

    def __contains__(self, number: int) -> bool:
        """Whether the file of this number is an entry, as far as they are listed."""
        return number in self.index

    def has(self, number: int) -> bool:
        """Whether a file is an entry, or a body that only others name."""
        return number in self.index or self.sharing.is_nameless(number)

    def has_newer(self, target: Target, number: int) -> bool:
        """Whether there is an entry of a target's URL that was begun after a file."""
        return any(other > number for other in self.index.of(key_of(target)))

    def shared(self) -> list[int]:
        """Name the files whose bodies others share."""
        return self.sharing.bodies()

    def blob(self, number: int) -> Blob:
        """Give the one that stands for a file."""
        blob = self._blobs.get(number)
        if blob is None:
            nameless = self.sharing.is_nameless(number)
            blob = Blob(number, self._shelf, State.LIVE, published=True, nameless=nameless)
            self._blobs[number] = blob
        return blob

    def entry_of(self, record: Record) -> Entry | None:
        """Give the only entry of a file whose row was read; None if it is gone meanwhile."""
        if not self.has(record.id):
            return None
        known = self.residents.get(record.id)
        return self._made_of(record) if known is None else known

    def _made_of(self, record: Record) -> Entry:
        blob = self.blob(record.id)
        entry = Entry(
            target=record.target,
            kind=record.kind,
            head=record.head,
            offset=record.offset,
            length=record.length,
            digest=record.digest,
            stored_at=record.stored_at,
            checked_at=record.checked_at,
            generation=record.generation,
            blob=blob,
            unreadable=self._unreadable,
            unsynced=self._unsynced,
            body=blob if record.body is None else self.blob(record.body),
        )
        return self.residents.add(entry)

    def _unreadable(self, entry: Entry, error: OSError) -> None:
        if entry.state is State.LIVE:
            self._trouble.met(Work.READ, error, entry.target)
            self.lose(entry.body.id, found=error.errno != errno.ENOENT)

    def touch(self, entry: Entry) -> None:
        """Note that an entry was used, and its body with it."""
        for number in dict.fromkeys((entry.body.id, entry.id)):
            self._ledger.touch(number)
            self.arrivals.use(number)

    # Coming.

    def show(self, record: Record, blob: Blob) -> Entry:
        """Take in what was committed."""
        self._blobs[record.id] = blob
        self.index.add(record.id, key_of(record.target))
        self.arrivals.use(record.id)
        self.arrivals.replace(record.target)
        return self.residents.use(self._made_of(record))

    def adopt(self, place: Place, *, image: bool, evictable: bool) -> bool:
        """Take in what is of an earlier run, and say whether it is anything."""
        number, key, octets, _, hotness, body = place
        nameless = body == number
        if body is not None and not nameless and not self.has(body):
            # A name of nothing: its file is a leftover for the sweep.
            self.arrivals.go(number)
            self._removal.rows((number,))
            return False
        self._ledger.adopt(number, octets, image=image, evictable=evictable, hotness=hotness)
        if nameless:
            self.sharing.unname(number)
            return True
        self.index.add(number, key)
        if body is not None:
            self.sharing.join(number, body, pinned=not evictable)
        if self.arrivals.forgotten(key):
            self.retire(number)
        return True

    # Going.

    def retire(self, number: int, *, row_is_gone: bool = False) -> None:
        """Take an entry out of sight, if it is not yet; its readers keep it."""
        if number not in self.index:
            return
        if self.is_outlived(number):
            self._unname(number)
        else:
            self._let_go(number, row_is_gone=row_is_gone)

    def _let_go(self, number: int, *, row_is_gone: bool = False) -> None:
        self.index.remove(number)
        self.residents.let_go(number)
        self._go(number, row_is_gone=row_is_gone)
        self.leave(number)

    def _go(self, number: int, *, row_is_gone: bool) -> None:
        self._notes.forget(number)
        self._unsynced.forget(number)
        self.arrivals.go(number)
        # The row before the file: the removal keeps this order.
        if not row_is_gone:
            self._removal.rows((number,))
        self.blob(number).doom()

    def is_outlived(self, number: int) -> bool:
        """Whether the body of an entry is to stay when the entry goes."""
        of_its_own = self.sharing.body_of(number) == number
        # Others may share it that are not listed yet.
        may_be_named = of_its_own and self.arrivals.may_come(number)
        return bool(self.sharing.names_of(number)) or may_be_named

    def _unname(self, number: int) -> None:
        """Leave a file to those who share its body."""
        self.index.remove(number)
        entry = self.residents.forget(number)
        if entry is not None:
            entry.retire()
        self._notes.forget(number)
        self.sharing.unname(number)
        blob = self.blob(number)
        blob.nameless = True
        self._removal.unname(blob)

    def leave(self, number: int) -> None:
        """Let an entry have no share in a body any more, which goes if nobody else has one."""
        body = self.sharing.leave(number)
        if body is not None and not self.arrivals.may_come(body):
            self.sharing.dissolve(body)
            # Whoever has deleted the row of the entry has not thought of this one.
            self._go(body, row_is_gone=False)

    def lose(self, number: int, *, found: bool) -> None:
        """Let go of a file that is damaged, or missing: its second link may be there for others."""
        if found or number not in self.index:
            self.clear(number)
        else:
            self.retire(number)

    def clear(self, number: int) -> None:
        """Let go of a file and of all entries that have their body in it."""
        nameless = self.sharing.is_nameless(number)
        for entry in (*self.sharing.dissolve(number), number):
            if entry in self.index:
                self._let_go(entry)
        if nameless:
            self._go(number, row_is_gone=False)

    def forget(self, target: Target) -> None:
        """Take all out of sight that is stored of a target's URL, listed or not."""
        key = key_of(target)
        for number in self.index.of(key):
            self.retire(number)
        self.arrivals.forget(key)
