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

from osproxy.store.accounts import Amount
from osproxy.store.index import key_of
from osproxy.store.ledger import BLOCK, blocks_of
from osproxy.store.listing import place_of
from osproxy.store.records import read_entries
from osproxy.store.trouble import Work

if TYPE_CHECKING:
    from osproxy.model import Target
    from osproxy.store.blobs import Shelf
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.entries import Entry
    from osproxy.store.listing import Place
    from osproxy.store.pins import Pins
    from osproxy.store.records import Record
    from osproxy.store.room import Room
    from osproxy.store.stock import Stock
    from osproxy.store.trouble import Trouble


class Inventory:
    """Finds entries, and lists those of an earlier run."""

    def __init__(
        self,
        shelf: Shelf,
        catalogue: Catalogue,
        stock: Stock,
        room: Room,
        pins: Pins,
        trouble: Trouble,
    ) -> None:
        self._in_thread = shelf.in_thread
        self._ledger = shelf.ledger
        self._catalogue = catalogue
        self._stock = stock
        self._index = stock.index
        self._arrivals = stock.arrivals
        self._residents = stock.residents
        self._sharing = stock.sharing
        self._room = room
        self._pins = pins
        self._trouble = trouble
        self._unlisted = 0

    def __len__(self) -> int:
        """How many entries there are, those included that are not listed yet."""
        return len(self._index) + self._unlisted

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
        if not self._stock.has(number):
            return None
        known = self._residents.get(number)
        return (await self._fetched([number])).get(number) if known is None else known

    async def sharers(self, entry: Entry) -> list[Entry]:
        """Look up all entries that have the body of this one, itself included."""
        numbers = [*self._sharing.names_of(entry.body.id), entry.body.id]
        found = [await self.entry(number) for number in numbers if number in self._index]
        return [it for it in found if it is not None]

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
                self._stock.retire(entry.id)
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
            entry = self._stock.entry_of(record)
            if entry is not None:
                self._residents.use(entry)
        self._arrivals.look_up(key)

    async def _bodies_of(self, records: list[Record]) -> list[Record]:
        """Read the rows of bodies that are not listed yet."""
        wanted = [it.body for it in records if it.body is not None and not self._stock.has(it.body)]
        return await self._catalogue.rows(wanted) if wanted else []

    async def _fetched(self, numbers: list[int]) -> dict[int, Entry]:
        """Read entries, in the catalogue or else in their files; those that cannot be read go."""
        records = await self._rows(numbers, f"{len(numbers)} entries")
        without = {*numbers} - {record.id for record in records}
        if without:
            paths = [self._stock.blob(number).path for number in without]
            records += await self._in_thread(read_entries, paths)
        entries = [self._stock.entry_of(record) for record in records]
        for number in {*numbers} - {record.id for record in records}:
            unreadable = OSError(errno.EIO, "neither its row nor its file can be read")
            self._trouble.met(Work.READ, unreadable, f"entry {number:x}")
            self._stock.clear(number)
        return {entry.id: entry for entry in entries if entry is not None}

    async def _rows(self, numbers: list[int], subject: str) -> list[Record]:
        """Read rows; none where they cannot be read."""
        try:
            return await self._catalogue.rows(numbers) if numbers else []
        except DatabaseError as error:
            self._trouble.met(Work.ROWS, error, subject)
            return []

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
        number, _, octets, image, _, body = place
        if number in self._ledger or not self._arrivals.awaited(number):
            return 0
        nameless = body == number
        self._unlisted = max(0, self._unlisted - (not nameless))
        evictable = True
        if record is not None:
            image = self._pins.image(record.target, record.kind)
            evictable = nameless or not self._pins.hold(record.target)
        adopted = self._stock.adopt(place, image=bool(image), evictable=evictable)
        return blocks_of(octets) * BLOCK if adopted else 0

    async def recover(self, record: Record) -> bool:
        """List an entry that was found by its file, and say whether it is one."""
        key = key_of(record.target)
        self._room.found(self._restore(place_of(record), record))
        if self._arrivals.outdated(record):
            self._stock.retire(record.id)
        elif len(self._index.of(key)) > 1:
            # Of two for one target the earlier one goes.
            await self.all_of(record.target)
        return self._stock.has(record.id)

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
            self._stock.clear(body)

    def forget_all(self) -> None:
        """Take all out of sight whose rows and files are gone; what is not listed never will be."""
        self.completed()
        self._room.unknown = Amount()
        self._room.found()
        for number in self._index.all():
            self._stock.retire(number, row_is_gone=True)
