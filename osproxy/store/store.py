"""
The directory on disk, as the cache sees it: entries in, entries out.

An entry exists if and only if its row and its file exist. A commit therefore goes header, rename,
one transaction, visible; a removal goes out of sight, row, file, ledger. A kill between any two of
these loses a draft at most, and what it leaves lying, the sweep of the next start takes away.

What fits and who goes is decided in `osproxy.store.ledger`; nothing here knows why a file is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import DeferredLock
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from osproxy.store.blobs import Blob, Shelf, State, create, publish
from osproxy.store.drafts import Draft
from osproxy.store.entries import Entry
from osproxy.store.ledger import CacheFull
from osproxy.store.notes import Notes
from osproxy.store.records import Record, header_of, room_for
from osproxy.store.removal import Removal
from osproxy.store.room import Room
from osproxy.store.sweep import Sweep
from osproxy.waiting import Tasks, detached

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from twisted.internet.interfaces import IReactorTime

    from osproxy.metrics import Metrics
    from osproxy.model import Head, Target
    from osproxy.repo.kinds import Kind
    from osproxy.store.blobs import Checkpoint
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.layout import Directory
    from osproxy.store.ledger import Ledger
    from osproxy.threads import InThread

_TICK = 5.0
_TICKS_BETWEEN_LOOKS = 2


def _unobserved(_: str) -> None:
    """Pass a checkpoint."""


class Store:
    """
    All entries of one cache directory.

    :param free_space: how much of a disk of a given size is to stay free.
    :param checkpoint: told each step of a commit, ``before-`` and ``after-`` ``header``,
        ``rename``, ``catalogue``, ``visible``; the first two in a thread.
    """

    log = Logger()

    def __init__(
        self,
        directory: Directory,
        ledger: Ledger,
        catalogue: Catalogue,
        in_thread: InThread,
        clock: IReactorTime,
        metrics: Metrics,
        *,
        cache_size: int,
        free_space: Callable[[int], int],
        checkpoint: Checkpoint = _unobserved,
    ) -> None:
        self._directory = directory
        self._ledger = ledger
        self._catalogue = catalogue
        self._in_thread = in_thread
        self._clock = clock
        self._metrics = metrics
        self._checkpoint = checkpoint
        self._tasks = Tasks(self.log)
        self._removal = Removal(ledger, catalogue, in_thread, self._tasks)
        self._room = Room(
            ledger, self._removal, catalogue, in_thread, self._evict, cache_size, free_space
        )
        self._notes = Notes(catalogue)
        self._shelf = Shelf(directory, ledger, in_thread, self._removal)
        self._sweep = Sweep(directory, ledger, in_thread, self.doom)
        self._entries: dict[Target, Entry] = {}
        self._by_id: dict[int, Entry] = {}
        self._variants: dict[Target, dict[Target, Entry]] = {}
        self._drafts: dict[int, Draft] = {}
        self._next_id = directory.first_id
        self._swapping = DeferredLock()
        self._ticks = 0
        self._stopped = False
        self._loop = LoopingCall(lambda: self._tasks.start(self._tick()))
        self._loop.clock = clock
        metrics.stored.set_function(lambda: ledger.used)
        metrics.entries.set_function(lambda: len(self._entries))

    async def start(self) -> None:
        """
        Bring back every entry of the last run, and begin to sweep.

        A `stop` meanwhile ends it: it returns, and nothing is begun.

        :raises StoreError: when the catalogue cannot be opened.
        """
        await self._tasks.start(self._start())

    async def _start(self) -> None:
        records = await self._catalogue.load()
        if self._stopped:
            return
        for record in records:
            self._restore(record)
        await self._room.look(self._directory.root, self._unwritten)
        if self._stopped:
            return
        self.log.info(
            "the cache may take {capacity} octets; {entries} entries take {stored}",
            capacity=self._ledger.capacity,
            entries=len(self._entries),
            stored=self._ledger.stored,
        )
        self._tasks.unattended(self._sweep.run(list(self._entries.values())))
        self._loop.start(_TICK, now=False)

    async def stop(self) -> None:
        """Give drafts up, let what is under way end, write down what is not, release the lock."""
        self._stopped = True
        self._room.closed = True
        self._sweep.stopped = True
        if self._loop.running:
            self._loop.stop()
        for draft in list(self._drafts.values()):
            draft.discard()
        await self._tasks.idle()
        self._removal.close()
        try:
            await self._notes.write_down(self._clock.seconds())
        finally:
            await self._catalogue.close()
            self._directory.close()

    @property
    def entries(self) -> int:
        """How many files can be served."""
        return len(self._entries)

    @property
    def drafts(self) -> int:
        """How many files are being written."""
        return len(self._drafts)

    def find(self, target: Target) -> Entry | None:
        """Look an entry up; this is no use of it, see `touch`."""
        return self._entries.get(target)

    def entry(self, number: int) -> Entry | None:
        """Look an entry up by the number of its file."""
        return self._by_id.get(number)

    def variants(self, target: Target) -> tuple[Entry, ...]:
        """Give what is stored of a target that is named without its variant."""
        found = self._variants.get(target)
        return () if found is None else tuple(found.values())

    async def begin(
        self, target: Target, head: Head, length: int | None, *, kind: Kind, generation: str = ""
    ) -> Draft:
        """
        Make room for a body and open a file for it.

        What is stored under the target stays until the draft is committed.

        :raises CacheFull: when there is no room, eviction tried.
        :raises OSError: when the file cannot be made.
        """
        number = self._next_id
        self._next_id += 1
        now = self._clock.seconds()
        offset = room_for(Record(number, target, kind, head, 0, 0, "", now, now, generation))
        step = self._room.step
        wanted = offset + (step if length is None else length)
        await self._room.claim(wanted, lambda: self._ledger.reserve(number, wanted))
        # One reactor turn from the reservation to here.
        blob = Blob(number, self._shelf)
        draft = Draft(
            target=target,
            head=head,
            kind=kind,
            generation=generation,
            offset=offset,
            length=length,
            reserved=wanted,
            step=step,
            blob=blob,
            ledger=self._ledger,
            running_short=self._make_room_ahead,
            discarded=self._forget_draft,
        )
        self._drafts[number] = draft
        try:
            await blob.open(create)
        except BaseException:
            draft.discard()
            raise
        return draft

    async def make_room(self, draft: Draft, octets: int) -> None:
        """
        Reserve so much for what a draft is to take next.

        :raises CacheFull: when there is no room, eviction tried.
        """

        def claim() -> None:
            if draft.blob.state is State.DRAFT:
                draft.extend(wanted)

        wanted = draft.size + octets
        if wanted > draft.reserved:
            await self._room.claim(wanted - draft.reserved, claim)

    async def commit(self, drafts: Sequence[tuple[Draft, str]], checked_at: float) -> list[Entry]:
        """
        Make entries of drafts whose bodies are whole; the second of a pair is the SHA-256 in hex.

        They become visible, and what they replace disappears, all in one reactor turn. When it
        fails, all of the drafts are discarded. When it is cancelled, it goes on to its end.
        """
        return await detached(self._tasks.start(self._commit(list(drafts), checked_at)), self.log)

    def freshen(self, entry: Entry, checked_at: float, head: Head | None = None) -> None:
        """Note that the source confirmed an entry, at once for readers, soon on the disk."""
        entry.checked_at = checked_at
        if head is not None:
            entry.head = head
        if entry.state is State.LIVE:
            self._notes.checked(entry)

    def touch(self, entry: Entry) -> None:
        """Note that an entry was used."""
        if entry.state is State.LIVE:
            self._ledger.touch(entry.id)
            self._notes.used(entry)

    def doom(self, entry: Entry) -> None:
        """Take an entry out of sight; its readers keep it until they are done."""
        self._retire(entry)

    async def _commit(self, drafts: list[tuple[Draft, str]], checked_at: float) -> list[Entry]:
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
                del self._drafts[draft.blob.id]

    def _record_of(self, draft: Draft, digest: str, checked_at: float) -> Record:
        return Record(
            id=draft.blob.id,
            target=draft.target,
            kind=draft.kind,
            head=draft.head,
            offset=draft.offset,
            length=draft.written,
            digest=digest,
            stored_at=self._clock.seconds(),
            checked_at=checked_at,
            generation=draft.generation,
        )

    async def _publish(self, blob: Blob, header: bytes) -> None:
        entry_path = self._directory.entry_path(blob.id)
        await self._in_thread(
            publish, blob.fileno(), header, blob.path, entry_path, self._checkpoint
        )
        blob.published = True

    async def _swap(self, drafts: Sequence[Draft], records: Sequence[Record]) -> list[Entry]:
        # One at a time: which rows are replaced must still be true when the transaction is done.
        await self._swapping.acquire()
        try:
            found = [self._entries.get(record.target) for record in records]
            replaced = {entry.id for entry in found if entry is not None}
            self._checkpoint("before-catalogue")
            await self._catalogue.swap(records, replaced)
            self._checkpoint("after-catalogue")
            self._checkpoint("before-visible")
            # One reactor turn: the old set is seen before it, the new one after.
            entries = []
            for draft, record in zip(drafts, records, strict=True):
                self._ledger.settle(record.id, record.size)
                draft.blob.become(State.LIVE)
                entries.append(self._show(record, draft.blob, replaced))
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

    def _show(self, record: Record, blob: Blob, replaced: Collection[int]) -> Entry:
        old = self._entries.get(record.target)
        if old is not None:
            self._retire(old, row_is_gone=old.id in replaced)
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
        )
        self._entries[record.target] = entry
        if record.target.variant:
            self._variants.setdefault(record.target.url, {})[record.target] = entry
        self._by_id[record.id] = entry
        return entry

    def _restore(self, record: Record) -> None:
        self._ledger.adopt(record.id, record.size)
        self._next_id = max(self._next_id, record.id + 1)
        blob = Blob(record.id, self._shelf, State.LIVE, published=True)
        self._show(record, blob, ())

    def _retire(self, entry: Entry, *, row_is_gone: bool = False) -> None:
        if entry.state is not State.LIVE:
            return
        del self._entries[entry.target]
        self._forget_variant(entry.target)
        del self._by_id[entry.id]
        self._notes.forget(entry)
        # The row before the file: the removal keeps this order.
        if not row_is_gone:
            self._removal.rows((entry.id,))
        entry.blob.doom()

    def _forget_variant(self, target: Target) -> None:
        others = self._variants.get(target.url)
        if target.variant and others is not None:
            del others[target]
            if not others:
                del self._variants[target.url]

    def _forget_draft(self, draft: Draft) -> None:
        del self._drafts[draft.blob.id]

    def _unreadable(self, entry: Entry, error: OSError) -> None:
        if entry.state is State.LIVE:
            self.log.error("{target} is lost: {error}", target=entry.target, error=error)
            self._retire(entry)

    def _evict(self, number: int) -> None:
        self._retire(self._by_id[number])
        self._metrics.evictions.inc()

    def _unwritten(self) -> int:
        return sum(draft.reserved - draft.written for draft in self._drafts.values())

    def _make_room_ahead(self, draft: Draft) -> None:
        self._tasks.unattended(self._extend(draft))

    async def _extend(self, draft: Draft) -> None:
        def claim() -> None:
            if draft.blob.state is State.DRAFT:
                draft.extend(draft.reserved + draft.step)

        try:
            await self._room.claim(draft.step, claim)
        except CacheFull:
            # The write that needs it will say so, if there is one.
            return

    async def _tick(self) -> None:
        try:
            self._ticks += 1
            await self._notes.write_down(self._clock.seconds())
            if self._ticks % _TICKS_BETWEEN_LOOKS == 0:
                await self._room.look(self._directory.root, self._unwritten)
                self._removal.retry()
        except Exception:
            self.log.failure("the store's housekeeping failed")
