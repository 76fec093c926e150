"""
A cache on a real store, an upstream that is played behind it, and what its clients do.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.cache import Cache
from osproxy.cache.fills import Fills
from osproxy.cache.generations import Generations
from osproxy.model import Asked, Backend, BodyDiverted, Notice, Relayed, Representation, Target
from osproxy.store.ledger import BLOCK
from tests.cache.origin import BACKEND, Origin, Told
from tests.store.doubles import Place, find

if TYPE_CHECKING:
    from osproxy.cache.fill import Fill
    from osproxy.model import Answer, FileBody, PassingBody
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.upstream.origin import Upstream

DATE = ("Date", "Thu, 01 Jan 1970 10:00:00 GMT")
MODIFIED = ("Last-Modified", "Thu, 01 Jan 1970 01:00:00 GMT")


def addressed(body: bytes) -> str:
    """Name a file by its checksum."""
    return f"/oss/repodata/{hashlib.sha256(body).hexdigest()}-primary.xml.gz"


@define(eq=False)
class Bench:
    """
    A cache on a real directory, an upstream that is played, and a clock.

    :ivar instead: another upstream, in place of the one that is played.
    :ivar stay_open: files that stay open though nobody reads them.
    """

    path: Path
    origin: Origin = field(factory=Origin)
    cache_size: int = 64 << 20
    instead: Upstream | None = None
    stay_open: int = 0
    place: Place = field(init=False)
    upstream: Upstream = field(init=False)
    store: Store = field(init=False)
    fills: Fills = field(init=False)
    generations: Generations = field(init=False)
    cache: Cache = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Wire the parts as the server does, and start."""
        self.place = Place(self.path, cache_size=self.cache_size, stay_open=self.stay_open)
        self.place.clock.advance(36_000)
        self.origin.clock = self.place.clock
        self.start()

    def start(self) -> None:
        """Start, or start again after a stop."""
        self.build()
        _done(Deferred.fromCoroutine(self.cache.start()))

    def build(self) -> None:
        """Wire the parts."""
        clock, in_thread = self.place.clock, self.place.in_thread
        self.store = self.place.store()
        metrics = self.place.metrics
        self.fills = Fills(self.store, in_thread, clock, metrics)
        self.generations = Generations(self.store, in_thread, clock, metrics)
        self.upstream = self.instead or cast("Upstream", self.origin)
        self.cache = Cache(self.store, self.upstream, self.fills, self.generations, clock, metrics)

    def stop(self) -> None:
        """Stop in the order of the server."""
        _done(Deferred.fromCoroutine(self.cache.stop()))
        _done(Deferred.fromCoroutine(self.store.stop()))

    def get(
        self,
        path: str,
        *fields: tuple[str, str],
        backend: Backend = BACKEND,
        head: bool = False,
        query: str | None = None,
        connection: int = 1,
        client: str = "192.0.2.1",
    ) -> Deferred[Answer]:
        """Ask the cache for a file."""
        asked = Asked("HEAD" if head else "GET", query, fields, client, connection)
        return Deferred.fromCoroutine(
            self.cache.obtain(backend, Target(backend.prefix, path), asked)
        )

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.place.clock.advance(seconds)


class CacheTestCase(SynchronousTestCase):
    """A bench, and the ledger equation at the end of every test."""

    cache_size = 64 << 20
    stay_open = 0

    def setUp(self) -> None:
        """Have a cache that is started."""
        self.bench = Bench(
            Path(self.mktemp()), cache_size=self.cache_size, stay_open=self.stay_open
        )
        self.origin = self.bench.origin

    def tearDown(self) -> None:
        """Stop, and find that every lease and every reservation was given back."""
        self.bench.stop()
        self.assert_settled()
        self.assertEqual(self.bench.place.clock.getDelayedCalls(), [])

    def assert_settled(self) -> None:
        """Nobody reads, nothing is being written, and what is stored or kept lies on the disk."""
        ledger, files = self.bench.place.ledger, self.bench.place.files()
        entries, drafts = (
            sum(
                -(-size // BLOCK) * BLOCK for name, size in files.items() if name.startswith(folder)
            )
            for folder in ("entries/", "drafts/")
        )
        self.assertEqual((ledger.reserved, ledger.awaiting), (drafts, 0))
        self.assertEqual(ledger.stored, entries)
        for name in files:
            key = int(Path(name).stem, 16)
            self.assertFalse(key in ledger and ledger.leased(key), name)

    def begin(self, path: str, told: Told, *fields: tuple[str, str]) -> Answer:
        """Ask for a file, and let the head of the upstream's reply come."""
        asked = self.bench.get(path, *fields)
        self.origin.next().answer(told)
        return self.successResultOf(asked)

    def store(self, path: str, body: bytes, *fields: tuple[str, str]) -> None:
        """Have a file stored."""
        answer = self.begin(path, told := Told(200, fields, len(body)))
        told.send(body)
        told.finish()
        self.assertEqual(octets(answer), body)
        self.assertEqual(self.stored(path), body)

    def stored(self, path: str) -> bytes | None:
        """Return what is stored under a path."""
        entry = find(self.bench.store, Target("/", path))
        if entry is None:
            return None
        lease = self.successResultOf(Deferred.fromCoroutine(entry.open()))
        try:
            return os.pread(lease.fileno(), lease.length, lease.offset)
        finally:
            lease.close()

    def entry_of(self, path: str) -> Entry:
        """Find what must be stored under a path."""
        entry = find(self.bench.store, Target("/", path))
        assert entry is not None
        return entry

    def fill_of(self, path: str) -> Fill:
        """Find the fill of a path that must be under way."""
        fill = self.bench.fills.find(Target("/", path))
        assert fill is not None
        return fill

    def served(self, path: str, *fields: tuple[str, str]) -> tuple[bytes, str]:
        """Ask for a file that is answered at once; return it with its cache status."""
        answer = self.successResultOf(self.bench.get(path, *fields))
        return octets(answer), answer.cache_status.serialise()

    def status_of(self, answer: Answer) -> int:
        """Return the status of an answer that has no file."""
        assert isinstance(answer.content, Notice | Relayed), answer
        return answer.content.status


def read(answer: Answer, start: int = 0, stop: int | None = None) -> Deferred[bytes]:
    """Read a body as a client does: as it comes, onward from elsewhere, and close it."""
    return Deferred.fromCoroutine(_read(body_of(answer), start, stop))


async def _read(body: FileBody, position: int, stop: int | None) -> bytes:
    content: list[bytes] = []
    try:
        while stop is None or position < stop:
            if body.available <= position and not await body.wait(position):
                break
            limit = body.available if stop is None else min(body.available, stop)
            content.append(os.pread(body.fileno(), limit - position, body.offset + position))
            position = limit
    except BodyDiverted as diverted:
        content.append(await taken(await diverted.onward(position, stop)))
    finally:
        body.close()
    return b"".join(content)


def passed(answer: Answer) -> Deferred[bytes]:
    """Take a body that passes through as a client does, and close it."""
    assert isinstance(answer.content, Relayed), answer
    assert answer.content.body is not None
    return Deferred.fromCoroutine(taken(answer.content.body))


def close(answer: Answer) -> None:
    """Leave without a look at the body."""
    body = getattr(answer.content, "body", None)
    if body is not None and not isinstance(body, bytes):
        body.close()


async def taken(body: PassingBody) -> bytes:
    """Take a body that passes through, and close it."""
    content: list[bytes] = []
    try:
        await body.deliver(content.append)
    finally:
        body.close()
    return b"".join(content)


def _done(deferred: Deferred[Any]) -> None:
    failures: list[Any] = []
    results: list[Any] = []
    deferred.addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    assert results, "it is not done yet"


def body_of(answer: Answer) -> FileBody:
    """Return the body of a representation."""
    assert isinstance(answer.content, Representation), answer
    body = answer.content.body
    assert body is not None and not isinstance(body, bytes)
    return body


def octets(answer: Answer) -> bytes:
    """Read what is available of the body of a representation, and close it."""
    assert isinstance(answer.content, Representation), answer
    body = answer.content.body
    if isinstance(body, bytes):
        return body
    assert body is not None
    content = os.pread(body.fileno(), body.available, body.offset)
    body.close()
    return content
