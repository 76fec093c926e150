"""
The entries that there are: found by target, whether they are in memory or not.

What is resident of every entry is its place in the `Index`. All else lies in the catalogue; it is
read when it is asked for, and kept while it is used, or was among the last that were. An entry that
anybody holds is the only one of its file: what one changes, all see.
"""

from __future__ import annotations

import errno
from sqlite3 import Error as DatabaseError
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from osproxy.store.accounts import Amount
from osproxy.store.arrivals import Arrivals
from osproxy.store.blobs import Blob, State
from osproxy.store.entries import Entry
from osproxy.store.index import Index, key_of
from osproxy.store.ledger import BLOCK, blocks_of
from osproxy.store.listing import place_of
from osproxy.store.records import read_entries
from osproxy.store.trouble import Work

if TYPE_CHECKING:
    from osproxy.model import Target
    from osproxy.store.blobs import Shelf
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.listing import Place
    from osproxy.store.notes import Notes
    from osproxy.store.pins import Pins
    from osproxy.store.records import Record
    from osproxy.store.removal import Removal
    from osproxy.store.residents import Residents
    from osproxy.store.room import Room
    from osproxy.store.sharing import Sharing
    from osproxy.store.trouble import Trouble
    from osproxy.store.unsynced import Unsynced


class Inventory:
    """Finds entries, and lets go of them."""

    def __init__(
        self,
        shelf: Shelf,
        catalogue: Catalogue,
        removal: Removal,
        room: Room,
        notes: Notes,
        pins: Pins,
        sharing: Sharing,
        unsynced: Unsynced,
        trouble: Trouble,
        residents: Residents,
    ) -> None:
        self._shelf = shelf
        self._ledger = shelf.ledger
        self._catalogue = catalogue
        self._removal = removal
        self._room = room
        self._notes = notes
        self._pins = pins
        self._sharing = sharing
        self._unsynced = unsynced
        self._trouble = trouble
        self._residents = residents
        self._index = Index()
        self._blobs: WeakValueDictionary[int, Blob] = WeakValueDictionary()
        self._arrivals = Arrivals(shelf.directory.first_id)
        self._unlisted = 0

    def __len__(self) -> int:
        """How many entries there are, those included that are not listed yet."""
        return len(self._index) + self._unlisted

    def __contains__(self, number: int) -> bool:
        """Whether the file of this number is an entry, as far as they are listed."""
        return number in self._index

    def has(self, number: int) -> bool:
        """Whether a file is an entry, or a body that only others name."""
        return number in self._index or self._sharing.is_nameless(number)

    # Finding.

    async def find(self, target: Target) -> Entry | None:
        """Look an entry up."""
        for entry in await self.all_of(target):
            if entry.target == target:
                return entry
        return None

    def at_hand(self, target: Target) -> Entry | None:
        """Give an entry that is in memory and has its URL for itself; None says nothing."""
        key = key_of(target)
        if not self._arrivals.listed(key):
            return None
        number, *others = self._index.of(key) or (0,)
        entry = None if others else self._residents.get(number)
        if entry is None or entry.target != target:
            return None
        return self._residents.use(entry)

    async def entry(self, number: int) -> Entry | None:
        """
        Look an entry up by the number of its file, if it is listed.

        It does not count among the last that were used: who looks at all has use for none. Of a
        body that only others name it is the entry that is gone.
        """
        if not self.has(number):
            return None
        known = self._residents.get(number)
        return (await self._fetched([number])).get(number) if known is None else known

    async def all_of(self, target: Target) -> list[Entry]:
        """
        Give what is stored of a target's URL, whatever the variant.

        Where there is nothing, or it is in memory, it is said without waiting.
        """
        key = key_of(target)
        if not self._arrivals.listed(key):
            await self._look_up(key)
        held: dict[int, Entry] = {}
        while numbers := [number for number in self._index.of(key) if number not in held]:
            resident = {number: self._residents.get(number) for number in numbers}
            held.update((number, it) for number, it in resident.items() if it is not None)
            missing = [number for number, it in resident.items() if it is None]
            if missing:
                held.update(await self._fetched(missing))
        entries = [self._residents.use(held[number]) for number in self._index.of(key)]
        return [entry for entry in self._only_latest(entries) if entry.target.url == target.url]

    def _only_latest(self, entries: list[Entry]) -> list[Entry]:
        """Of several for one target, which a damaged catalogue can have, only the last counts."""
        latest = {entry.target: entry for entry in sorted(entries, key=lambda entry: entry.id)}
        for entry in entries:
            if latest[entry.target] is not entry:
                self.retire(entry.id)
        return list(latest.values())

    async def _look_up(self, key: int) -> None:
        """List all of a key now, before its turn comes."""
        try:
            records = await self._catalogue.rows_of(key)
            bodies = await self._bodies_of(records)
        except DatabaseError as error:
            self._trouble.met(Work.ROWS, error, "what is looked up")
            return
        for record in (*bodies, *records):
            self._room.found(self._restore(place_of(record), record))
        for record in records:
            entry = self._admit(record)
            if entry is not None:
                self._residents.use(entry)
        self._arrivals.look_up(key)

    async def _fetched(self, numbers: list[int]) -> dict[int, Entry]:
        """Read entries, in the catalogue or else in their files; those that cannot be read go."""
        records = await self._rows(numbers, f"{len(numbers)} entries")
        without = {*numbers} - {record.id for record in records}
        if without:
            paths = [self.blob(number).path for number in without]
            records += await self._shelf.in_thread(read_entries, paths)
        entries = [self._admit(record) for record in records]
        for number in {*numbers} - {record.id for record in records}:
            unreadable = OSError(errno.EIO, "neither its row nor its file can be read")
            self._trouble.met(Work.READ, unreadable, f"entry {number:x}")
            self.clear(number)
        return {entry.id: entry for entry in entries if entry is not None}

    async def _rows(self, numbers: list[int], subject: str) -> list[Record]:
        """Read rows; none where they cannot be read."""
        try:
            return await self._catalogue.rows(numbers) if numbers else []
        except DatabaseError as error:
            self._trouble.met(Work.ROWS, error, subject)
            return []

    def _admit(self, record: Record) -> Entry | None:
        """Make an entry of a row, unless it is gone meanwhile, or there already."""
        if not self.has(record.id):
            return None
        known = self._residents.get(record.id)
        return self._entry_of(record, self.blob(record.id)) if known is None else known

    def blob(self, number: int) -> Blob:
        """Give the one that stands for a file."""
        blob = self._blobs.get(number)
        if blob is None:
            nameless = self._sharing.is_nameless(number)
            blob = Blob(number, self._shelf, State.LIVE, published=True, nameless=nameless)
            self._blobs[number] = blob
        return blob

    def _entry_of(self, record: Record, blob: Blob) -> Entry:
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
        return self._residents.add(entry)

    def _unreadable(self, entry: Entry, error: OSError) -> None:
        if entry.state is State.LIVE:
            self._trouble.met(Work.READ, error, entry.target)
            self.lose(entry.body.id, found=error.errno != errno.ENOENT)

    # Coming.

    def expect(self, count: int) -> None:
        """Say how many entries will be listed."""
        self._unlisted = count

    async def restore(self, places: list[Place]) -> None:
        """List entries of an earlier run, but for those that are known already, or gone again."""
        records = await self._not_like_the_rest(places)
        # One reactor turn: what is no longer unknown is in the ledger.
        self._room.found(*[self._restore(place, records.get(place[0])) for place in places])

    async def _not_like_the_rest(self, places: list[Place]) -> dict[int, Record]:
        """Read those that may be pinned; images count as such only if they are not."""
        numbers = [number for number, _, _, image, *_ in places if image or self._pins]
        return {it.id: it for it in await self._rows(numbers, "what may be pinned")}

    def _restore(self, place: Place, record: Record | None) -> int:
        """List an entry, and say how much of what was unknown it takes, in whole blocks."""
        number, key, octets, image, hotness, body = place
        if number in self._ledger or not self._arrivals.awaited(number):
            return 0
        nameless = body == number
        self._unlisted = max(0, self._unlisted - (not nameless))
        if body is not None and not nameless and not self.has(body):
            # Its file is a leftover for the sweep.
            self._arrivals.go(number)
            self._removal.rows((number,))
            return 0
        evictable = True
        if record is not None:
            image = self._pins.image(record.target, record.kind)
            evictable = nameless or not self._pins.hold(record.target)
        self._ledger.adopt(number, octets, image=bool(image), evictable=evictable, hotness=hotness)
        if nameless:
            self._sharing.unname(number)
        else:
            self._index.add(number, key)
            if body is not None:
                self._sharing.join(number, body, pinned=not evictable)
            if self._arrivals.forgotten(key):
                self.retire(number)
        return blocks_of(octets) * BLOCK

    async def recover(self, record: Record) -> bool:
        """List an entry that was found by its file, and say whether it is one."""
        key = key_of(record.target)
        self._room.found(self._restore(place_of(record), record))
        if self._arrivals.outdated(record):
            self.retire(record.id)
        elif len(self._index.of(key)) > 1:
            # Of two for one target the earlier one goes.
            await self.all_of(record.target)
        return self.has(record.id)

    @property
    def complete(self) -> bool:
        """Whether all entries are listed."""
        return self._arrivals.over

    def completed(self) -> None:
        """Note that all entries are listed."""
        self._unlisted = 0
        for number in self._arrivals.end():
            if number in self._index:
                self._ledger.touch(number)
        for body in self._sharing.unneeded():
            self.clear(body)

    def show(self, record: Record, blob: Blob) -> Entry:
        """Take in what was committed."""
        self._blobs[record.id] = blob
        self._index.add(record.id, key_of(record.target))
        self._arrivals.use(record.id)
        self._arrivals.replace(record.target)
        return self._residents.use(self._entry_of(record, blob))

    def touch(self, entry: Entry) -> None:
        """Note that an entry was used, and its body with it."""
        for number in dict.fromkeys((entry.body.id, entry.id)):
            self._ledger.touch(number)
            self._arrivals.use(number)

    # Going.

    def retire(self, number: int, *, row_is_gone: bool = False) -> None:
        """Take an entry out of sight, if it is not yet; its readers keep it."""
        if number not in self._index:
            return
        if self.is_outlived(number):
            self._unname(number)
        else:
            self._let_go(number, row_is_gone=row_is_gone)

    def _let_go(self, number: int, *, row_is_gone: bool = False) -> None:
        self._index.remove(number)
        self._residents.let_go(number)
        self._go(number, row_is_gone=row_is_gone)
        self.leave(number)

    def _go(self, number: int, *, row_is_gone: bool) -> None:
        self._notes.forget(number)
        self._unsynced.forget(number)
        self._arrivals.go(number)
        # The row before the file: the removal keeps this order.
        if not row_is_gone:
            self._removal.rows((number,))
        self.blob(number).doom()

    # Bodies that are shared.

    async def _bodies_of(self, records: list[Record]) -> list[Record]:
        """Read the rows of bodies that are not listed yet."""
        wanted = [it.body for it in records if it.body is not None and not self.has(it.body)]
        return await self._catalogue.rows(wanted) if wanted else []

    def is_outlived(self, number: int) -> bool:
        """Whether the body of an entry is to stay when the entry goes."""
        of_its_own = self._sharing.body_of(number) == number
        # Others may share it that are not listed yet.
        may_be_named = of_its_own and self._arrivals.may_come(number)
        return bool(self._sharing.names_of(number)) or may_be_named

    def _unname(self, number: int) -> None:
        """Leave a file to those who share its body."""
        self._index.remove(number)
        entry = self._residents.forget(number)
        if entry is not None:
            entry.retire()
        self._notes.forget(number)
        self._sharing.unname(number)
        blob = self.blob(number)
        blob.nameless = True
        self._removal.unname(blob)

    def leave(self, number: int) -> None:
        """Let an entry have no share in a body any more, which goes if nobody else has one."""
        body = self._sharing.leave(number)
        if body is not None and not self._arrivals.may_come(body):
            self._sharing.dissolve(body)
            # Whoever has deleted the row of the entry has not thought of this one.
            self._go(body, row_is_gone=False)

    def shared(self) -> list[int]:
        """Name the files whose bodies others share."""
        return self._sharing.bodies()

    def has_newer(self, target: Target, number: int) -> bool:
        """Whether there is an entry of a target's URL that was begun after a file."""
        return any(other > number for other in self._index.of(key_of(target)))

    async def sharers(self, entry: Entry) -> list[Entry]:
        """Look up all entries that have the body of this one, itself included."""
        numbers = [*self._sharing.names_of(entry.body.id), entry.body.id]
        found = [await self.entry(number) for number in numbers if number in self._index]
        return [it for it in found if it is not None]

    def lose(self, number: int, *, found: bool) -> None:
        """Let go of a file that is damaged, or missing: its second link may be there for others."""
        if found or number not in self._index:
            self.clear(number)
        else:
            self.retire(number)

    def clear(self, number: int) -> None:
        """Let go of a file and of all entries that have their body in it."""
        nameless = self._sharing.is_nameless(number)
        for entry in (*self._sharing.dissolve(number), number):
            if entry in self._index:
                self._let_go(entry)
        if nameless:
            self._go(number, row_is_gone=False)

    def forget(self, target: Target) -> None:
        """Take all out of sight that is stored of a target's URL, listed or not."""
        key = key_of(target)
        for number in self._index.of(key):
            self.retire(number)
        self._arrivals.forget(key)

    def forget_all(self) -> None:
        """Take all out of sight whose rows and files are gone; what is not listed never will be."""
        self.completed()
        self._room.unknown = Amount()
        self._room.found()
        for number in self._index.all():
            self.retire(number, row_is_gone=True)
