"""
The directory on disk, as the cache sees it: entries in, entries out.

An entry exists if and only if its row and its file exist. A commit therefore goes header, rename,
one transaction, visible; a removal goes out of sight, row, file, ledger. A kill between any two of
these loses a draft at most, and what it leaves lying, the sweep of the next start sorts: what can
still be completed is kept, the rest is taken away.

What fits and who goes is decided in `osproxy.store.ledger`; nothing here knows why a file is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from osproxy.store.blobs import Blob, Shelf, State, publish
from osproxy.store.drafting import Drafting
from osproxy.store.entries import Entry
from osproxy.store.housekeeping import Housekeeping
from osproxy.store.kept import Kept
from osproxy.store.notes import Notes
from osproxy.store.records import DraftRecord, Record, header_of
from osproxy.store.removal import Removal
from osproxy.store.renewal import Renewal
from osproxy.store.room import Room
from osproxy.store.sweep import Sweep
from osproxy.store.syncing import Disk
from osproxy.store.trouble import Trouble, Work
from osproxy.store.unsynced import Unsynced
from osproxy.waiting import Tasks, detached

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from twisted.internet.interfaces import IReactorTime

    from osproxy.metrics import Metrics
    from osproxy.model import Head, Target
    from osproxy.repo.kinds import Kind
    from osproxy.store.blobs import Checkpoint
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.drafts import Draft
    from osproxy.store.layout import Directory
    from osproxy.store.ledger import Ledger
    from osproxy.store.records import Provenance
    from osproxy.store.syncing import Syncing
    from osproxy.threads import InThread


def _unobserved(_: str) -> None:
    """Pass a checkpoint."""


class Store:
    """
    All entries of one cache directory.

    :param free_space: how much of a disk of a given size is to stay free.
    :param durable: whether files are synced before they are entries.
    :param boot: names this boot of the machine, empty where that is not known.
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
        boot: str,
        durable: bool = False,
        syncing: Syncing | None = None,
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
        self.trouble = Trouble(clock, metrics.troubles)
        self._removal = Removal(ledger, catalogue, in_thread, self._tasks, self.trouble)
        self._kept = Kept(ledger)
        self._room = Room(
            ledger,
            self._removal,
            catalogue,
            in_thread,
            self._evict,
            self._kept,
            cache_size,
            free_space,
        )
        self._notes = Notes(catalogue)
        self._shelf = Shelf(directory, ledger, in_thread, self._removal)
        self._drafting = Drafting(
            ledger, self._room, self._kept, self._shelf, self._tasks, clock, boot
        )
        self._sweep = Sweep(directory, ledger, in_thread, self.doom, self._drafting.adopt)
        self._entries: dict[Target, Entry] = {}
        self._by_id: dict[int, Entry] = {}
        self._variants: dict[Target, dict[Target, Entry]] = {}
        self._next_id = directory.first_id
        self._swapping = DeferredLock()
        self._stopped = False
        self._unsynced = Unsynced(
            directory,
            catalogue,
            in_thread,
            self._tasks,
            self.trouble,
            boot,
            durable,
            syncing or Disk(),
        )
        renewal = Renewal(
            directory,
            catalogue,
            in_thread,
            self._room,
            self._removal,
            self.trouble,
            self._forget_all,
        )
        self._housekeeping = Housekeeping(
            directory.root,
            self._kept,
            self._notes,
            self._room,
            self._removal,
            renewal,
            self._unsynced,
            self.trouble,
            self._tasks,
            clock,
            lambda: self._drafting.unwritten,
        )
        metrics.stored.set_function(lambda: ledger.used)
        metrics.entries.set_function(lambda: len(self._entries))
        metrics.kept.set_function(lambda: len(self._kept))

    async def start(self) -> None:
        """
        Bring back every entry of the last run, and begin to sweep.

        A `stop` meanwhile ends it: it returns, and nothing is begun.

        :raises StoreError: when the catalogue cannot be opened.
        """
        await self._tasks.start(self._start())

    async def _start(self) -> None:
        records = await self._catalogue.load()
        await self._unsynced.load()
        if self._stopped:
            return
        for record in records:
            self._restore(record)
        await self._housekeeping.look()
        if self._stopped:
            return
        self.log.info(
            "the cache may take {capacity} octets; {entries} entries take {stored}",
            capacity=self._ledger.capacity,
            entries=len(self._entries),
            stored=self._ledger.stored,
        )
        sweeping = self._sweep.run(list(self._entries.values()))
        self._tasks.unattended(self._housekeeping.attempt(Work.LOOK, sweeping))
        self._housekeeping.begin()

    async def stop(self) -> None:
        """Put drafts aside, let what is under way end, write down what is not, release the lock."""
        self._stopped = True
        self._room.closed = True
        self._sweep.stopped = True
        self._housekeeping.end()
        self._drafting.put_all_aside()
        await self._tasks.idle()
        self._removal.close()
        try:
            await self._housekeeping.write_down()
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
        return len(self._drafting)

    def find(self, target: Target) -> Entry | None:
        """Look an entry up; this is no use of it, see `touch`."""
        return self._entries.get(target)

    def variants(self, target: Target) -> tuple[Entry, ...]:
        """Give what is stored of a target that is named without its variant."""
        found = self._variants.get(target)
        return () if found is None else tuple(found.values())

    @property
    def kept(self) -> int:
        """How many files wait to be completed."""
        return len(self._kept)

    def find_kept(self, target: Target) -> Draft | None:
        """Look the draft up that was put aside for a target."""
        return self._kept.find(target)

    def drop_kept(self, target: Target) -> None:
        """Give the draft up that was put aside for a target, if there is one."""
        self._kept.drop(target)

    async def begin(
        self,
        target: Target,
        head: Head,
        length: int | None,
        *,
        kind: Kind,
        generation: str = "",
        provenance: Provenance | None = None,
    ) -> Draft:
        """
        Make room for a body and open a file for it.

        What is stored under the target stays until the draft is committed; what was put aside goes.

        :param provenance: lets the draft be put aside when the body is interrupted.
        :raises CacheFull: when there is no room, eviction tried.
        :raises OSError: when the file cannot be made.
        """
        number = self._next_id
        self._next_id += 1
        record = DraftRecord(
            number, target, kind, head, 0, length, generation, provenance, self._drafting.boot
        )
        return await self._drafting.begin(record)

    async def resume(self, target: Target) -> Draft | None:
        """
        Take up the draft that was put aside for a target, with room for its rest.

        None where there is none, or none that can be continued.
        """
        return await self._drafting.resume(target)

    async def make_room(self, draft: Draft, octets: int) -> None:
        """
        Reserve so much for what a draft is to take next.

        :raises CacheFull: when there is no room, eviction tried.
        """
        await self._drafting.make_room(draft, octets)

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
            found = [self._entries.get(record.target) for record in records]
            replaced = {entry.id for entry in found if entry is not None}
            self._checkpoint("before-catalogue")
            await self._catalogue.swap(records, replaced, self._unsynced.mark)
            self._unsynced.committed(record.id for record in records)
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
            settle=self._unsynced.settle,
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
        self._unsynced.forget(entry.id)
        # The row before the file: the removal keeps this order.
        if not row_is_gone:
            self._removal.rows((entry.id,))
        entry.blob.doom()

    def _forget_all(self) -> None:
        """Let go of all that a directory had that is not there any more."""
        for entry in list(self._entries.values()):
            self._retire(entry, row_is_gone=True)
        self._kept.drop_all()

    def _forget_variant(self, target: Target) -> None:
        others = self._variants.get(target.url)
        if target.variant and others is not None:
            del others[target]
            if not others:
                del self._variants[target.url]

    def _unreadable(self, entry: Entry, error: OSError) -> None:
        if entry.state is State.LIVE:
            self.trouble.met(Work.READ, error, entry.target)
            self._retire(entry)

    def _evict(self, number: int) -> None:
        self._retire(self._by_id[number])
        self._metrics.evictions.inc()
