"""
Is what is stored still what was written? Entries are read back in the background to find out.

Which ones, and how fast, is said by `osproxy.store.schedule`; what is looked at in a file, by
`osproxy.store.inspection`. One file is read at a time, by a thread that yields to all others. What
is found damaged, twice, is dropped: its readers are cut before they have a whole file that is
wrong, and it is fetched again if it is in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.defer import DeferredLock, TimeoutError
from twisted.logger import Logger

from osproxy.store.blobs import State
from osproxy.store.inspection import Damaged, inspect
from osproxy.store.ioclass import be_idle
from osproxy.store.records import Record
from osproxy.store.schedule import pause
from osproxy.store.trouble import DISK_ERRORS, Work
from osproxy.waiting import Tasks, Waiters

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime

    from osproxy.metrics import Metrics
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.entries import Entry
    from osproxy.store.schedule import Candidate, Schedule
    from osproxy.store.store import Store
    from osproxy.threads import InThread

#: What was used within so many seconds is fetched again when it is lost.
IN_USE_FOR = 24 * 3600.0
_BATCH = 64
# Between two looks whether all entries are listed; after a start that takes seconds.
_UNTIL_LISTED = 1.0
# After an error that is no file's fault.
_REST = 60.0


class Busy(Exception):
    """Everything is being verified already."""


class Stopped(Exception):
    """Not everything was verified: the server stops, or nobody waits for it any more."""


class _Interrupted(Exception):
    """A file was not read to its end."""


@define(eq=False)
class Order:
    """
    The wish to have everything verified now, and how far that has come.

    :ivar rate: octets a second at most; None for as fast as can be.
    :ivar found: told of each damaged entry.
    :ivar files: files to verify in all; ``octets`` likewise.
    :ivar given_up: whether nobody waits any more.
    """

    rate: int | None
    found: Callable[[Entry, Damaged], None]
    files: int = field(init=False, default=0)
    octets: int = field(init=False, default=0)
    files_done: int = field(init=False, default=0)
    given_up: bool = field(init=False, default=False)
    _octets_of_files: int = field(init=False, default=0)
    _octets_within: int = field(init=False, default=0)

    @property
    def octets_done(self) -> int:
        """Octets of those files, and of the one that is being read."""
        return self._octets_of_files + self._octets_within

    def give_up(self) -> None:
        """Say that nobody waits any more."""
        self.given_up = True

    def expect(self, files: int, octets: int) -> None:
        """Say how much there is to verify."""
        self.files, self.octets = files, octets

    def moved(self, octets: int) -> None:
        """Say how far the file is read that is being read; a second look brings it no further."""
        self._octets_within = max(self._octets_within, octets)

    def done(self, candidate: Candidate) -> None:
        """Say that a file is done."""
        self.files_done += 1
        self._octets_of_files += candidate.size
        self._octets_within = 0


class Scrub:
    """
    Verifies what a store has.

    :param in_thread: runs one function at a time.
    :param refetch: has an entry that was in use, and is dropped, fetched again, if it can.
    """

    log = Logger()

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        in_thread: InThread,
        clock: IReactorTime,
        metrics: Metrics,
        schedule: Schedule,
        refetch: Callable[[Entry], bool],
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._in_thread = in_thread
        self._clock = clock
        self._metrics = metrics
        self._schedule = schedule
        self._refetch = refetch
        self._tasks = Tasks(self.log)
        self._one_file = DeferredLock()
        self._woken = Waiters()
        self._order: Order | None = None
        self._verified: dict[int, float] = {}
        self._stopped = False

    def start(self) -> None:
        """Begin to verify in the background, if that is wanted; the store is open."""
        if self._schedule.rate:
            self._tasks.unattended(self._run())

    async def stop(self) -> None:
        """End after the bite that is being read, and write down what was verified."""
        self._stopped = True
        self._woken.wake()
        await self._tasks.idle()
        try:
            await self._write_down()
        except DISK_ERRORS as error:
            self._store.trouble.met(Work.CATALOGUE, error, "what was verified")

    def everything(self, order: Order) -> Deferred[None]:
        """
        Verify all that is stored now.

        It is not to be cancelled: there is `Order.give_up`.

        :raises Busy: when that is under way.
        :raises Stopped: when it is not brought to its end.
        """
        return self._tasks.start(self._everything(order))

    # In the background.

    async def _run(self) -> None:
        await self._listed(None)
        while not self._stopped:
            try:
                rest = await self._round()
            except DISK_ERRORS as error:
                self._store.trouble.met(Work.VERIFY, error, "what is stored")
                rest = _REST
            except Exception:
                self.log.failure("verifying what is stored")
                rest = _REST
            await self._sleep(rest)

    async def _round(self) -> float:
        """Verify some of what is due, and say for how long there is nothing more."""
        # First, since what was verified would else be named again.
        await self._write_down()
        now = self._clock.seconds()
        found = await self._catalogue.least_verified(now, _BATCH)
        due = self._schedule.due(found, now)
        for one in due:
            if self._stopped:
                break
            await self._verify(one, None)
        return 0.0 if due else self._schedule.rest(found, now)

    async def _listed(self, order: Order | None) -> None:
        """Wait until no row is without its entry only because its turn has not come."""
        while not (self._store.listed or self._is_over(order)):
            await self._sleep(_UNTIL_LISTED)

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0 or self._stopped:
            return
        try:
            await self._woken.wait().addTimeout(seconds, self._clock)
        except TimeoutError:
            return

    # When somebody asks.

    async def _everything(self, order: Order) -> None:
        if self._order is not None:
            raise Busy
        if self._stopped:
            raise Stopped
        self._order = order
        # A pause that the usual pace demands is over.
        self._woken.wake()
        try:
            await self._listed(order)
            if self._is_over(order):
                raise Stopped
            found = await self._catalogue.least_verified(self._clock.seconds())
            order.expect(len(found), await self._in_thread(_octets_of, found))
            for one in found:
                await self._verify(one, order)
                if self._is_over(order):
                    raise Stopped
                order.done(one)
                if len(self._verified) >= _BATCH:
                    await self._write_down()
        finally:
            self._order = None
        await self._write_down()

    def _is_over(self, order: Order | None) -> bool:
        return self._stopped or (order is not None and order.given_up)

    # One entry.

    async def _verify(self, candidate: Candidate, order: Order | None) -> None:
        await self._one_file.acquire()
        try:
            entry = await self._store.entry(candidate.id)
            if entry is not None:
                await self._verify_entry(entry, order)
            # A row that no entry has any more is on its way out.
            self._verified[candidate.id] = self._clock.seconds()
        except _Interrupted:
            return
        finally:
            self._one_file.release()

    async def _verify_entry(self, entry: Entry, order: Order | None) -> None:
        wanted: list[tuple[Entry, bool]] = []
        entry.blob.lease()
        try:
            damaged = await self._look(entry, order)
            if damaged is not None:
                # What was wrong may have been the memory, and not the disk.
                damaged = await self._look(entry, order)
                wanted = await self._going(entry)
        finally:
            entry.blob.release()
        if damaged is not None and entry.state is State.LIVE:
            self._drop(entry, damaged, wanted)
            if order is not None:
                for one, _ in wanted:
                    order.found(one, damaged)

    async def _going(self, entry: Entry) -> list[tuple[Entry, bool]]:
        """Name those that go with a file, and say of each whether it is in use."""
        # A name is dropped alone, since its body is another's.
        going = [entry] if entry.body is not entry.blob else await self._store.sharers(entry)
        found = []
        for one in going:
            used = await self._catalogue.last_used(one.id)
            found.append((one, used is not None and self._clock.seconds() - used < IN_USE_FOR))
        return found

    async def _look(self, entry: Entry, order: Order | None) -> Damaged | None:
        """
        Read a file, and say what is wrong with it.

        :raises _Interrupted: when it is not worth going on.
        """
        reading = inspect(entry.blob.path, _record_of(entry))
        position = 0
        try:
            while True:
                began = self._clock.seconds()
                octets = await self._in_thread(_step, reading)
                if octets is None:
                    return None
                self._metrics.verified.inc(octets)
                position += octets
                if order is not None:
                    order.moved(position)
                await self._sleep(pause(octets, self._clock.seconds() - began, self._rate))
                if self._is_over(order) or entry.state is not State.LIVE:
                    raise _Interrupted
        except Damaged as damaged:
            return damaged
        finally:
            reading.close()

    @property
    def _rate(self) -> int | None:
        """Whoever waits for everything says how fast."""
        return self._schedule.rate if self._order is None else self._order.rate

    def _drop(self, entry: Entry, damaged: Damaged, going: list[tuple[Entry, bool]]) -> None:
        leased = entry.blob.leased
        self._metrics.damaged.inc(len(going))
        entry.blob.spoilt = True
        self._store.drop(entry)
        for one, used in going:
            fetched = (used or leased) and self._refetch(one)
            self.log.error(
                "{target} is damaged: {damaged}; it is dropped{further}",
                target=one.target,
                damaged=damaged,
                further=" and fetched again" if fetched else "",
            )

    async def _write_down(self) -> None:
        verified, self._verified = self._verified, {}
        if not verified:
            return
        try:
            await self._catalogue.note_verified(verified)
        except BaseException:
            # The next time, with what was verified since.
            self._verified = {**verified, **self._verified}
            raise


def _octets_of(candidates: list[Candidate]) -> int:
    return sum(one.size for one in candidates)


def _step(reading: Generator[int]) -> int | None:
    """Read a bite, in whichever thread this is."""
    be_idle()
    return next(reading, None)


def _record_of(entry: Entry) -> Record:
    whole = entry.body is entry.blob and not entry.blob.nameless
    return Record(
        entry.id,
        entry.target,
        entry.kind,
        entry.head,
        entry.offset,
        entry.length,
        entry.digest,
        entry.stored_at,
        entry.checked_at,
        entry.generation,
        body=None if whole else entry.body.id,
    )
