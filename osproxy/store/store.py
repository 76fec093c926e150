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

from twisted.logger import Logger

from osproxy.store.admission import WonderGuard
from osproxy.store.blobs import Shelf, State
from osproxy.store.committing import Committing
from osproxy.store.drafting import Drafting
from osproxy.store.gauges import show
from osproxy.store.housekeeping import Housekeeping
from osproxy.store.inventory import Inventory
from osproxy.store.kept import Kept
from osproxy.store.loading import Loading
from osproxy.store.notes import Notes
from osproxy.store.openfiles import OpenFiles
from osproxy.store.pins import Pins
from osproxy.store.rebuild import Rebuild
from osproxy.store.records import DraftRecord
from osproxy.store.removal import Removal
from osproxy.store.renewal import Renewal
from osproxy.store.residents import RECENT, Residents
from osproxy.store.room import Room
from osproxy.store.sharing import Sharing
from osproxy.store.stock import Stock
from osproxy.store.sweep import Sweep
from osproxy.store.syncing import Disk
from osproxy.store.trouble import Trouble, Work
from osproxy.store.unsynced import Unsynced
from osproxy.waiting import Tasks, detached

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime

    from osproxy.metrics import Metrics
    from osproxy.model import Head, Target
    from osproxy.repo.kinds import Kind
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.drafts import Draft
    from osproxy.store.entries import Entry
    from osproxy.store.files import Checkpoint
    from osproxy.store.layout import Directory
    from osproxy.store.ledger import Ledger
    from osproxy.store.records import Provenance
    from osproxy.store.syncing import Syncing
    from osproxy.threads import InThread


class Store:
    """
    All entries of one cache directory.

    :param free_space: how much of a disk of a given size is to stay free.
    :param durable: whether files are synced before they are entries.
    :param boot: names this boot of the machine, empty where that is not known.
    :param pins: what is never evicted.
    :param guard: what was asked for lately.
    :param checkpoint: told each step of a commit, ``before-`` and ``after-`` ``header``,
        ``rename``, ``catalogue``, ``visible``; the first two in a thread.
    :param settled: called when memory was taken that will stay taken, again and again in a start.
    :param recent: how many entries stay in memory that nobody holds.
    :param open_files: how many of their files stay open that nobody reads.
    :ivar kept: the drafts that wait to be completed.
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
        pins: Pins | None = None,
        guard: WonderGuard | None = None,
        durable: bool = False,
        syncing: Syncing | None = None,
        checkpoint: Checkpoint = lambda name: None,
        settled: Callable[[], None] = lambda: None,
        recent: int = RECENT,
        open_files: int = 0,
    ) -> None:
        self._directory = directory
        self._ledger = ledger
        self._catalogue = catalogue
        self._clock = clock
        self._metrics = metrics
        self._pins = pins or Pins()
        self._tasks = Tasks(self.log)
        self.trouble = trouble = Trouble(clock, metrics.troubles)
        self._removal = Removal(ledger, catalogue, in_thread, self._tasks, trouble)
        self.kept = Kept(ledger)
        self._room = Room(
            ledger,
            self._removal,
            catalogue,
            self._pins,
            in_thread,
            clock,
            self._evict,
            self.kept,
            cache_size,
            free_space,
        )
        self._guard = WonderGuard(0.0) if guard is None else guard
        self._notes = Notes(catalogue, ledger.hotness, self._guard)
        self._shelf = Shelf(directory, ledger, in_thread, self._removal, OpenFiles(open_files))
        self._drafting = Drafting(
            ledger, self._room, self.kept, self._shelf, self._tasks, clock, boot
        )
        self._unsynced = Unsynced(
            directory, catalogue, in_thread, self._tasks, trouble, boot, durable, syncing or Disk()
        )
        sharing = Sharing(ledger)
        self._stock = stock = Stock(
            self._shelf,
            Residents(recent),
            sharing,
            self._notes,
            self._unsynced,
            self._removal,
            trouble,
        )
        self._inventory = Inventory(self._shelf, catalogue, stock, self._room, self._pins, trouble)
        sweep = Sweep(directory, ledger, in_thread, catalogue, stock, self._drafting.adopt)
        rebuild = Rebuild(
            directory, ledger, catalogue, in_thread, stock, self._inventory, self._unsynced
        )
        self._loading = Loading(
            catalogue, self._inventory, self._room, rebuild, sweep, in_thread, settled
        )
        self._next_id = directory.first_id
        self._committing = Committing(
            self._shelf,
            catalogue,
            clock,
            self._pins,
            stock,
            self._inventory,
            self._drafting,
            self._unsynced,
            self._removal,
            self._room,
            sharing,
            self._number,
            checkpoint,
        )
        self._stopped = False
        renewal = Renewal(
            directory, catalogue, in_thread, self._room, self._removal, trouble, self._forget_all
        )
        self._housekeeping = Housekeeping(
            directory.root,
            self._loading,
            self.kept,
            self._notes,
            self._room,
            self._removal,
            renewal,
            self._unsynced,
            trouble,
            self._tasks,
            clock,
            lambda: self._drafting.unwritten,
        )
        show(metrics, ledger, catalogue, self._room, self._inventory, self._drafting, self.kept)

    async def start(self) -> None:
        """
        Bring back what the last run had, or begin to, and begin to sweep.

        A `stop` meanwhile ends it: it returns, and nothing is begun.

        :raises StoreError: when the catalogue cannot be opened.
        """
        await self._tasks.start(self._start())

    async def _start(self) -> None:
        extent = await self._loading.prepare()
        self._unsynced.load(extent.unsynced)
        self._guard.restore(await self._catalogue.asked())
        if self._stopped:
            return
        self._next_id = max(self._next_id, extent.last + 1)
        await self._housekeeping.look()
        if self._stopped:
            return
        self.log.info(
            "the cache may take {capacity} octets; {entries} entries take {stored}",
            capacity=self._ledger.capacity,
            entries=len(self._inventory),
            stored=self._ledger.stored + self._room.unknown.octets,
        )
        self._housekeeping.begin()

    async def stop(self) -> None:
        """Put drafts aside, let what is under way end, write down what is not, release the lock."""
        self._stopped = True
        self._room.closed = True
        self._loading.stop()
        self._housekeeping.end()
        self._drafting.put_all_aside()
        await self._tasks.idle()
        self._removal.close()
        self._shelf.open_files.close()
        try:
            await self._housekeeping.write_down()
        finally:
            await self._housekeeping.attempt(Work.CATALOGUE, self._catalogue.close())
            self._directory.close()

    @property
    def entries(self) -> int:
        """How many files can be served."""
        return len(self._inventory)

    @property
    def drafts(self) -> int:
        """How many files are being written."""
        return len(self._drafting)

    async def find(self, target: Target) -> Entry | None:
        """
        Look an entry up; this is no use of it, see `touch`.

        Only for one that is not in memory the catalogue is asked. From one await to the next it
        may be let go of again, and cannot be opened then.
        """
        return await self._inventory.find(target)

    def at_hand(self, target: Target) -> Entry | None:
        """Look an entry up for which nothing need be waited for; see `find`."""
        return self._inventory.at_hand(target)

    @property
    def listed(self) -> bool:
        """Whether all entries of earlier runs are known."""
        return self._inventory.complete

    async def entry(self, number: int) -> Entry | None:
        """Look an entry up by the number of its file, among those that are listed."""
        return await self._inventory.entry(number)

    async def all_of(self, target: Target) -> list[Entry]:
        """Look up what is stored of a target's URL, whatever the variant."""
        return await self._inventory.all_of(target)

    def admits(self, target: Target) -> bool:
        """
        Say whether a file that is not stored was asked for before, and note that it is now.

        What is pinned, or here in part, is let in at once.
        """
        asked = self._guard.asked_before(target, self._clock.seconds())
        return asked or self._pins.hold(target) or self.kept.find(target) is not None

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
        boot = self._drafting.boot
        record = DraftRecord(
            self._number(), target, kind, head, 0, length, generation, provenance, boot
        )
        return await self._drafting.begin(record)

    def _number(self) -> int:
        number = self._next_id
        self._next_id += 1
        return number

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

        They become visible, and what they replace disappears, all in one reactor turn. A draft that
        is equal to what is stored becomes another name of that, and is discarded. When it
        fails, all of the drafts are discarded. When it is cancelled, it goes on to its end.
        """
        return await detached(
            self._tasks.start(self._committing.commit(list(drafts), checked_at)), self.log
        )

    async def name(
        self, entry: Entry, target: Target, kind: Kind, head: Head, checked_at: float
    ) -> Entry | None:
        """
        Make an entry of a target that has the body of another entry, replacing what is there.

        None where that cannot be: the body has gone, or there is no room, or no link. When it is
        cancelled, it goes on to its end.

        :raises OSError: when it is gone in the last moment.
        :raises sqlite3.Error: when the catalogue cannot be written.
        """
        named = self._committing.name(entry, target, kind, head, checked_at)
        return await detached(self._tasks.start(named), self.log)

    async def sharers(self, entry: Entry) -> list[Entry]:
        """Look up all entries that have the body of this one, itself among them."""
        return await self._inventory.sharers(entry)

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
            self._stock.touch(entry)
            self._notes.used(entry)

    def doom(self, entry: Entry) -> None:
        """Take an entry out of sight; its readers keep it until they are done."""
        self._stock.retire(entry.id)

    def drop(self, entry: Entry) -> None:
        """Take an entry out of sight whose file is damaged, and all that have their body in it."""
        self._stock.clear(entry.id)

    def doom_all(self, target: Target) -> None:
        """Take out of sight, at once, what is stored of a target's URL, whatever the variant."""
        self._stock.forget(target)

    def _forget_all(self) -> None:
        """Let go of all that a directory had that is not there any more."""
        self._loading.stop()
        self._inventory.forget_all()
        self.kept.drop_all()

    def _evict(self, number: int) -> None:
        self._stock.clear(number)
        self._metrics.evictions.inc()
