"""
Small real things to test the store with.

Two ways to run what would run in a thread: at once, or when the test says so. The second is how
races are played: nothing happens between two steps that the test does not make happen.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from attrs import define, field
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.versions import Version
from osproxy.metrics import Metrics
from osproxy.model import Head, Target
from osproxy.repo.kinds import Kind
from osproxy.store.admission import WonderGuard
from osproxy.store.catalogue import Catalogue
from osproxy.store.eviction import POLICIES, Eviction
from osproxy.store.layout import Directory, open_directory
from osproxy.store.ledger import BLOCK, Ledger
from osproxy.store.pins import Pins
from osproxy.store.records import Provenance
from osproxy.store.store import Store
from osproxy.store.syncing import Disk

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from unittest import TestResult

    from twisted.logger import LogEvent

    from osproxy.store.drafts import Draft
    from osproxy.store.entries import Entry, Lease
    from osproxy.store.files import Checkpoint
    from osproxy.store.syncing import Syncing
    from osproxy.threads import InThread

_P = ParamSpec("_P")
_T = TypeVar("_T")

MIB = 1024 * 1024
HEAD = Head(
    etag='"a1"',
    fields=(("Content-Type", "application/x-rpm"),),
    upstream_etag='"up"',
    source="mirror.example",
    date=1000.0,
)
#: Of a body with a strong validator.
TAGGED = Provenance(Version('"up"', None, settled=False))


def at_once(function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
    """Run the function here and now."""
    return execute(function, *args, **kwargs)


@define(eq=False)
class WhenTold:
    """Keep functions until the test runs them, in any order."""

    waiting: deque[tuple[Deferred[Any], Callable[[], Any]]] = field(init=False, factory=deque)

    def __call__(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """Take a function."""
        result: Deferred[_T] = Deferred()
        self.waiting.append((result, lambda: function(*args, **kwargs)))
        return result

    def run(self, count: int = 1) -> None:
        """Run those that have waited longest, as a thread would: cancelled or not."""
        for _ in range(count):
            result, function = self.waiting.popleft()
            done: Deferred[Any] = execute(function)
            done.chainDeferred(result)

    def run_all(self) -> None:
        """Run until nothing waits."""
        while self.waiting:
            self.run()


@define(eq=False)
class Failing:
    """Run at once, but raise instead where the test wants it."""

    trouble: dict[str, Exception] = field(factory=dict)

    def __call__(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """Run the function, or fail in its place."""
        names = [getattr(part, "__name__", "") for part in (function, *args)]
        for name in names:
            if name in self.trouble:
                trouble = self.trouble[name]
                return execute(_raised, trouble)
        return execute(function, *args, **kwargs)


@define(eq=False)
class Slow(WhenTold):
    """Run at once, but what is named so only when the test wants it."""

    name: str

    def __call__(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """Run the function, or keep it."""
        if any(getattr(part, "__name__", "") == self.name for part in (function, *args)):
            return WhenTold.__call__(self, function, *args, **kwargs)
        return execute(function, *args, **kwargs)


FILES = 1024
"""So many files a disk can have in all of which it is said how many more it can have."""


def _raised(trouble: Exception) -> Any:
    raise trouble


@define(eq=False)
class Place:
    """
    A cache directory in which stores are started and killed.

    :ivar free: octets that the disk has free; None for what the real one has.
    :ivar free_files: how many more files can be made on it; None for any number.
    :ivar disk: octets that a disk has in all of which one of these is said; 0 if it does not know.
    :ivar stay_free: octets that are to stay free, and the same part of `FILES`.
    :ivar boot: of the machine.
    :ivar recent: entries that stay in memory though nobody holds them.
    :ivar stay_open: files that stay open though nobody reads them.
    :ivar eviction: the name of the policy.
    :ivar pins: what is never evicted.
    """

    path: Path
    cache_size: int = 64 * MIB
    clock: Clock = field(factory=Clock)
    in_thread: InThread = at_once
    in_database: InThread = at_once
    checkpoint: Checkpoint = field(default=lambda name: None)
    free: int | None = None
    free_files: int | None = None
    disk: int = 1 << 40
    stay_free: int = 0
    boot: str = "this boot"
    durable: bool = False
    syncing: Syncing = field(factory=Disk)
    recent: int = 1000
    stay_open: int = 0
    eviction: str = "lru"
    image_space: Callable[[int], int] = field(default=lambda capacity: capacity)
    pins: tuple[str, ...] = ()
    directory: Directory = field(init=False)
    ledger: Ledger = field(init=False)
    catalogue: Catalogue = field(init=False)
    metrics: Metrics = field(init=False)

    def store(self) -> Store:
        """Wire a store, as a start of the server does."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.directory = open_directory(self.path)
        self.ledger = Ledger(
            self.cache_size,
            eviction=Eviction(POLICIES[self.eviction]),
            image_space=self.image_space,
        )
        self.catalogue = Catalogue(
            self.directory.catalogue, self._in_database, durable=self.durable
        )
        self.metrics = Metrics(CollectorRegistry())
        return Store(
            self.directory,
            self.ledger,
            self.catalogue,
            self._in_thread,
            self.clock,
            self.metrics,
            cache_size=self.cache_size,
            free_space=lambda total: self.stay_free,
            boot=self.boot,
            durable=self.durable,
            syncing=self.syncing,
            pins=Pins(self.pins),
            guard=WonderGuard(3600.0),
            checkpoint=lambda name: self.checkpoint(name),
            recent=self.recent,
            open_files=self.stay_open,
        )

    # Through these, a test can change its mind in the middle.
    def _in_thread(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        if function is os.statvfs and (self.free, self.free_files) != (None, None):
            function = cast("Callable[_P, _T]", self._statvfs)
        return self.in_thread(function, *args, **kwargs)

    def _statvfs(self, path: Path) -> os.statvfs_result:
        blocks = (self.disk if self.free is None else self.free) // BLOCK
        space = (BLOCK, BLOCK, self.disk // BLOCK, blocks, blocks)
        # One that says that it can have no file at all has as many as it likes.
        more = self.free_files or 0
        files = (0 if self.free_files is None else FILES, more, more)
        return os.statvfs_result((*space, *files, 0, 255))

    def _in_database(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        return self.in_database(function, *args, **kwargs)

    def kill(self) -> None:
        """End as a process ends that is killed: locks fall, nothing else is done."""
        self.directory.close()

    def descriptors(self) -> list[str]:
        """The files below the place that this process has open."""
        found = []
        for number in os.listdir("/proc/self/fd"):
            # The descriptor of the listing itself is closed by now.
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"/proc/self/fd/{number}"))
        return [path for path in found if path.startswith(f"{self.path.resolve()}/")]

    def open_files(self) -> list[str]:
        """The drafts and entries that this process has open."""
        root = self.path.resolve() / "osproxy"
        folders = (f"{root}/drafts/", f"{root}/entries/")
        return [path for path in self.descriptors() if path.startswith(folders)]

    def files(self) -> dict[str, int]:
        """The files of drafts and entries that lie on the disk, with their sizes, links once."""
        root = self.path / "osproxy"
        found: dict[tuple[int, int], Path] = {}
        for folder in ("drafts", "entries"):
            for path in sorted((root / folder).rglob("*")):
                if path.is_file():
                    found.setdefault((path.stat().st_dev, path.stat().st_ino), path)
        return {str(path.relative_to(root)): path.stat().st_size for path in found.values()}


def run(work: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
    """Start a coroutine."""
    return Deferred.fromCoroutine(work)


def find(store: Store, wanted: Target) -> Entry | None:
    """Look an entry up for which nothing need be waited for."""
    results: list[Entry | None] = []
    run(store.find(wanted)).addCallbacks(results.append, lambda failure: failure.raiseException())
    (entry,) = results
    return entry


def target(name: str) -> Target:
    """Name a file of the default backend."""
    return Target("/", f"/{name}")


def sha256(body: bytes) -> str:
    """The digest that a commit is told."""
    return hashlib.sha256(body).hexdigest()


def body_named(name: str, length: int = 5000) -> bytes:
    """Make a body that no other name has."""
    return name.encode().ljust(length, b"x")


async def draft_of(store: Store, name: str, body: bytes, kind: Kind = Kind.PACKAGE) -> Draft:
    """Write a whole draft."""
    draft = await store.begin(target(name), HEAD, len(body), kind=kind)
    draft.write(body)
    return draft


async def part_of(
    store: Store,
    name: str,
    body: bytes,
    length: int | None,
    provenance: Provenance | None = TAGGED,
) -> Draft:
    """Write the beginning of a draft."""
    draft = await store.begin(target(name), HEAD, length, kind=Kind.PACKAGE, provenance=provenance)
    draft.write(body)
    return draft


async def put(
    store: Store, name: str, body: bytes, checked_at: float = 5.0, kind: Kind = Kind.PACKAGE
) -> Entry:
    """Store a body."""
    draft = await draft_of(store, name, body, kind)
    (entry,) = await store.commit([(draft, sha256(body))], checked_at)
    return entry


def said(events: Iterable[LogEvent], word: str) -> list[str]:
    """Format those of the events that have this word."""
    return [text for text in map(formatEvent, events) if word in text]


def said_by(case: SynchronousTestCase) -> Callable[[], list[str]]:
    """Gather what is logged as a warning or worse until the test ends; the result gives it."""
    observer = EventLoggingObserver()
    globalLogPublisher.addObserver(observer)
    case.addCleanup(globalLogPublisher.removeObserver, observer)

    def lines() -> list[str]:
        return [formatEvent(it) for it in observer if it["log_level"] >= LogLevel.warn]

    return lines


def close_left(root: Path) -> None:
    """Close what stores that were killed, or never stopped, have left open below a directory."""
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            path = os.readlink(f"/proc/self/fd/{number}")
            # Databases are closed by those who have opened them.
            if path.startswith(f"{root}/") and "/catalogue." not in path:
                os.close(int(number))


class StoreTestCase(SynchronousTestCase):
    """A directory, and what is asked of it again and again."""

    def setUp(self) -> None:
        """Have a place for a cache."""
        self.place = Place(Path(self.mktemp()) / "cache")

    def run(self, result: TestResult | None = None) -> TestResult | None:
        """Run a test, and close what it has left open when all that it cleans up is cleaned up."""
        try:
            done: TestResult | None = super().run(result)
            return done
        finally:
            # Of this test, and of no other.
            close_left(Path(self.mktemp()).parent.parent.resolve())

    def started(self) -> Store:
        """Start a store."""
        store = self.place.store()
        self.successResultOf(run(store.start()))
        return store

    def put(
        self,
        store: Store,
        name: str,
        body: bytes | None = None,
        kind: Kind = Kind.PACKAGE,
    ) -> None:
        """Store a body; one that no other name has, where none is given."""
        whole = body_named(name) if body is None else body
        self.successResultOf(run(put(store, name, whole, kind=kind)))

    def put_aside(
        self,
        store: Store,
        name: str,
        body: bytes,
        length: int | None,
        provenance: Provenance | None = TAGGED,
    ) -> Draft:
        """Put the beginning of a body aside."""
        draft = self.successResultOf(run(part_of(store, name, body, length, provenance)))
        draft.put_aside()
        return draft

    def entry_of(self, store: Store, name: str = "a") -> Entry:
        """Find what must be stored."""
        entry = find(store, target(name))
        assert entry is not None
        return entry

    def read(self, lease: Lease) -> bytes:
        """Read all of a body."""
        return os.pread(lease.fileno(), lease.length, lease.offset)

    def body_of(self, store: Store, name: str) -> bytes | None:
        """Read what is stored under a name."""
        entry = find(store, target(name))
        if entry is None:
            return None
        lease = self.successResultOf(run(entry.open()))
        try:
            return self.read(lease)
        finally:
            lease.close()

    def assert_agrees(self) -> None:
        """B6: what the ledger says is what lies on the disk."""
        on_disk = sum(-(-size // BLOCK) * BLOCK for size in self.place.files().values())
        ledger = self.place.ledger
        self.assertEqual(ledger.stored + ledger.reserved + ledger.awaiting, on_disk)
        self.assertLessEqual(ledger.used, ledger.capacity)
