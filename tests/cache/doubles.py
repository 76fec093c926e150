"""
An upstream whose every step the test performs, and a cache on a real store in front of it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.cache import Cache
from osproxy.cache.fills import Fills
from osproxy.cache.generations import Generations
from osproxy.http.fields import first
from osproxy.model import Asked, Backend, BodyDiverted, Notice, Relayed, Representation, Target
from osproxy.store.ledger import BLOCK
from osproxy.upstream.origin import Unreachable
from osproxy.upstream.turns import OURS, Asker
from tests.store.doubles import Place, find

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.cache.fill import Fill
    from osproxy.http.fields import Fields
    from osproxy.model import Answer, FileBody, PassingBody
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.upstream.origin import Reply, Upstream

BACKEND = Backend("/", "https://authority.example")
DATE = ("Date", "Thu, 01 Jan 1970 10:00:00 GMT")
MODIFIED = ("Last-Modified", "Thu, 01 Jan 1970 01:00:00 GMT")


@define(eq=False)
class Told:
    """One reply of the upstream's; its body comes when the test sends it."""

    status: int = 200
    fields: Fields = ()
    length: int | None = None
    host: str = "authority.example"
    url: str = ""
    hops: int = 0
    protocol: str = "1.1"
    redirect: str | None = None
    alias_of: str | None = None
    requested_at: float = 0.0
    received_at: float = 0.0
    abandoned: bool = False
    paused: bool = False
    _sink: Callable[[bytes], None] | None = None
    _over: Deferred[None] | None = None
    _early: list[bytes] = field(factory=list)
    _ended: bool = False

    async def deliver(self, sink: Callable[[bytes], None]) -> None:
        """See `osproxy.upstream.origin.Reply.deliver`."""
        for data in self._early:
            try:
                sink(data)
            except Exception:
                self.abandoned = True
                raise
        if self._ended:
            return
        self._sink = sink
        self._over = Deferred(lambda _: self.abandon())
        await self._over

    async def read(self, limit: int) -> bytes:
        """See `osproxy.upstream.origin.Reply.read`."""
        content: list[bytes] = []
        await self.deliver(content.append)
        return b"".join(content)

    def send(self, data: bytes) -> None:
        """Let octets of the body come."""
        if self.abandoned:
            return
        if self._sink is None:
            self._early.append(data)
            return
        try:
            self._sink(data)
        except Exception as error:
            over, self._over = self._over, None
            self.abandoned = True
            if over is not None and not over.called:
                over.errback(error)

    def finish(self) -> None:
        """Let the body end well."""
        self._ended = True
        over, self._over = self._over, None
        if over is not None:
            over.callback(None)

    def fail(self, error: Exception) -> None:
        """Let the body end before its end."""
        over, self._over = self._over, None
        assert over is not None
        over.errback(error)

    def pause(self) -> None:
        """See `osproxy.upstream.origin.Reply.pause`."""
        self.paused = True

    def resume(self) -> None:
        """See `osproxy.upstream.origin.Reply.resume`."""
        self.paused = False

    def abandon(self) -> None:
        """See `osproxy.upstream.origin.Reply.abandon`."""
        self.abandoned = True


def addressed(body: bytes) -> str:
    """Name a file by its checksum."""
    return f"/oss/repodata/{hashlib.sha256(body).hexdigest()}-primary.xml.gz"


def whole(body: bytes, *fields: tuple[str, str], status: int = 200) -> Told:
    """Make a reply that is complete at once."""
    told = Told(status, fields, len(body))
    told.send(body)
    told.finish()
    return told


@define(eq=False)
class Question:
    """One request to the upstream, open until the test answers it."""

    url: str
    method: str
    fields: Fields
    https_only: bool
    body: PassingBody | None = None
    verbatim: bool = False
    asker: Asker = OURS
    _clock: Clock = field(factory=Clock)
    _answer: Deferred[Reply] = field(factory=Deferred)
    asked_at: float = field(init=False, default=0.0)

    @property
    def head(self) -> bool:
        """Whether it was asked by HEAD."""
        return self.method == "HEAD"

    @property
    def path(self) -> str:
        """The path that was asked for."""
        return self.url.removeprefix(BACKEND.authority)

    def field(self, name: str) -> str | None:
        """Return a field of the request."""
        return first(self.fields, name)

    def __attrs_post_init__(self) -> None:
        """Note when it was asked."""
        self.asked_at = self._clock.seconds()

    def answer(self, told: Told) -> Told:
        """Let the reply's head come."""
        told.requested_at, told.received_at = self.asked_at, self._clock.seconds()
        self._answer.callback(cast("Reply", told))
        return told

    def fail(self, error: Exception | None = None) -> None:
        """Let there be no reply."""
        self._answer.errback(error or unreachable())


def unreachable() -> Unreachable:
    """Make the error of an upstream that refuses connections."""
    return Unreachable("authority.example", "refused", "authority.example refuses connections")


@define(eq=False)
class Origin:
    """
    The upstream.

    :ivar asked: requests that were not answered yet.
    :ivar files: what it answers at once, by path; None is a 404.
    :ivar log: all requests, method and path.
    """

    asked: list[Question] = field(factory=list)
    files: dict[str, bytes | None] = field(factory=dict)
    log: list[str] = field(factory=list)
    down: bool = False
    clock: Clock = field(factory=Clock)

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        fields: Fields = (),
        body: PassingBody | None = None,
        https_only: bool = False,
        verbatim: bool = False,
        asker: Asker = OURS,
    ) -> Reply:
        """See `osproxy.upstream.origin.Upstream.ask`."""
        question = Question(url, method, fields, https_only, body, verbatim, asker, self.clock)
        self.log.append(f"{method} {question.path}")
        if self.down:
            raise unreachable()
        if question.path in self.files:
            content = self.files[question.path]
            return cast("Reply", whole(b"", status=404) if content is None else whole(content))
        self.asked.append(question)
        return await question._answer

    def next(self) -> Question:
        """Return the oldest request that waits."""
        return self.asked.pop(0)


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
