"""A front whose cache is played by the test, and the bodies it hands out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from attrs import define, field
from prometheus_client import CollectorRegistry
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort
from twisted.python.failure import Failure
from zope.interface import implementer

from osproxy.config.clients import networks, peers
from osproxy.http.cachestatus import CacheStatus
from osproxy.metrics import Metrics
from osproxy.model import Answer, Backend, BodyBroken, Head, Notice, Representation
from osproxy.repo.kinds import Kind
from osproxy.shedding import Shedding
from osproxy.web.access import Access
from osproxy.web.accounting import Accounting
from osproxy.web.bandwidth import Bandwidth
from osproxy.web.challenges import Challenges
from osproxy.web.channel import Channel
from osproxy.web.connections import Connections
from osproxy.web.gate import Gate
from osproxy.web.lane import Lane
from osproxy.web.limits import Limits
from osproxy.web.pages.own import OwnPages, Status
from osproxy.web.resource import Root
from osproxy.web.respond import Responder
from osproxy.web.routing import Routes
from osproxy.web.site import ClientSite
from tests.store.doubles import at_once
from tests.web.clients import Wire
from tests.web.reading import Got, request, responses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IAddress, IReactorTime

    from osproxy.cache.cache import Cache
    from osproxy.model import Asked, FileBody, PassingBody, Relayed, Target
    from osproxy.threads import InThread
    from osproxy.web.accesslog import AccessLog
    from osproxy.web.record import Record

NOW = 36_000.0
MODIFIED = ("Last-Modified", "Thu, 01 Jan 1970 01:00:00 GMT")
TYPED = ("Content-Type", "application/x-rpm")
HEAD_OF_FILE = Head('"ours"', (TYPED, MODIFIED), '"theirs"', "mirror.example", NOW - 100)
BACKENDS = (
    Backend("/", "https://authority.example", ("cdn.example", "other.example:8000")),
    Backend("/pack", "https://pack.example", ("pack.example",)),
    Backend("/pack/age", "https://age.example"),
)
_OFFSET = 4096


class File:
    """
    A body in a file, which grows as the test writes it.

    :ivar closed: how often it was given up.
    """

    def __init__(self, path: str, length: int | None = None, readers: int = 1) -> None:
        self.offset = _OFFSET
        self._readers = readers
        self.length = length
        self.available = 0
        self.closed = 0
        self.troubles: list[OSError] = []
        self._file = Path(path).open("w+b", buffering=0)  # noqa: SIM115
        self._ended = False
        self._trouble: Exception | None = None
        self._waiting: list[Deferred[None]] = []

    def write(self, data: bytes) -> None:
        """Let the file grow."""
        os.pwrite(self._file.fileno(), data, self.offset + self.available)
        self.available += len(data)
        self._tell()

    def end(self) -> None:
        """Let the file be complete."""
        self._ended = True
        self._tell()

    def fail(self, trouble: Exception) -> None:
        """Let the rest not come."""
        self._trouble = trouble
        self._tell()

    def shorten(self, octets: int) -> None:
        """Cut the file behind the back of whoever reads it."""
        os.ftruncate(self._file.fileno(), self.offset + octets)

    def fileno(self) -> int:
        """See `osproxy.model.FileBody`."""
        return self._file.fileno()

    async def wait(self, position: int) -> bool:
        """See `osproxy.model.FileBody`."""
        while self.available <= position:
            if self._trouble is not None:
                raise self._trouble
            if self._ended:
                return False
            waiter: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(waiter)
            await waiter
        return True

    def unreadable(self, error: OSError) -> None:
        """See `osproxy.model.FileBody`."""
        self.troubles.append(error)

    def close(self) -> None:
        """See `osproxy.model.FileBody`."""
        self.closed += 1
        if self.closed == self._readers:
            self._file.close()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)


def stored(path: str, content: bytes) -> File:
    """Make a file that is complete."""
    body = File(path, len(content))
    body.write(content)
    body.end()
    return body


@define(eq=False)
class Passing:
    """A body that is not kept: what the test sends goes to whoever takes it."""

    length: int | None = None
    closed: int = 0
    paused: bool = False
    sink: Callable[[bytes], None] | None = None
    over: Deferred[None] = field(factory=Deferred)

    async def deliver(self, sink: Callable[[bytes], None]) -> None:
        """See `osproxy.model.PassingBody`."""
        self.sink = sink
        await self.over

    def send(self, data: bytes) -> None:
        """Let octets come."""
        assert self.sink is not None
        self.sink(data)

    def pause(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self.paused = True

    def resume(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self.paused = False

    def close(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self.closed += 1


class Onward:
    """Where the rest of a diverted body comes from; remembers which octets were asked for."""

    def __init__(self, *bodies: Passing) -> None:
        self.bodies = bodies
        self.asked: list[tuple[int, int | None]] = []

    async def __call__(self, position: int, stop: int | None) -> PassingBody:
        """See `osproxy.model.BodyDiverted`."""
        self.asked.append((position, stop))
        return self.bodies[len(self.asked) - 1]


def answer_of(
    body: FileBody | bytes | None, length: int | None, head: Head = HEAD_OF_FILE
) -> Answer:
    """Answer with a file that is stored."""
    hit = CacheStatus(hit=True, ttl=30)
    return Answer(Representation(head, body, length), hit, Kind.PACKAGE, 100, head.source)


def relay_of(content: Relayed, detail: str | None = None) -> Answer:
    """Answer with what an upstream said."""
    status = CacheStatus(fwd="bypass", fwd_status=content.status, detail=detail)
    return Answer(content, status, Kind.IMAGE, source="mirror.example")


@define(eq=False)
class Played:
    """
    The cache.

    :ivar files: what it answers at once, by target; others wait until the test answers them.
    :ivar waits: makes what they wait for, where its cancelling is to come to something.
    """

    files: dict[str, Callable[[Asked], Answer]] = field(factory=dict)
    asked: list[tuple[Backend, Target, Asked]] = field(factory=list)
    waiting: list[Deferred[Answer]] = field(factory=list)
    cancelled: list[Deferred[Answer]] = field(factory=list)
    waits: Callable[[], Deferred[Answer]] | None = None

    async def obtain(self, backend: Backend, target: Target, asked: Asked) -> Answer:
        """See `osproxy.cache.cache.Cache.obtain`."""
        self.asked.append((backend, target, asked))
        if str(target) in self.files:
            return self.files[str(target)](asked)
        waiter: Deferred[Answer] = Deferred(self.cancelled.append)
        if self.waits is not None:
            waiter = self.waits()
        self.waiting.append(waiter)
        return await waiter

    def put(self, path: str, make: Callable[[], Answer]) -> None:
        """Have an answer made for each who asks for this path."""
        self.files[path] = lambda asked: make()


class Front:
    """
    A root resource and its site.

    :ivar records: what the access log was told.
    :ivar challenges: those of no directory, unless the test gives one.
    """

    def __init__(
        self,
        clock: IReactorTime,
        *,
        clients: str = "all",
        deny: str = "",
        trusted: str = "",
        backends: Sequence[Backend] = BACKENDS,
        in_thread: InThread = at_once,
        cache: Cache | None = None,
        pseudonym: str = "osproxy-1",
    ) -> None:
        """
        Make it.

        :param cache: a real one, in place of the one that is played.
        """
        self.cache = Played()
        self.metrics = Metrics(CollectorRegistry())
        self.shedding = Shedding(clock, self.metrics.refused)
        self.records: list[Record] = []
        status = Status("1", 0.0, 0, 0, 0, 0, 0)
        self.challenges = Challenges(None, in_thread)
        responder = Responder(in_thread, clock.seconds, pseudonym)
        accounting = Accounting(cast("AccessLog", self), self.metrics)
        self.root = Root(
            cache or cast("Cache", self.cache),
            Routes(backends),
            Access(networks(clients), networks(deny), peers(trusted)),
            OwnPages(lambda: True, lambda: status, self.metrics),
            self.challenges,
            Limits(clock, self.shedding, Bandwidth(clock, 0, 0)),
            responder,
            accounting,
            clock,
            pseudonym=pseudonym,
            body_size=100,
        )
        self.connections = Connections(100, 100)
        lane = Lane(self.root, cache, responder, accounting, clock) if cache is not None else None
        self.site = ClientSite(
            self.root, self.connections, clock, Gate(1 << 20), self.shedding, lane=lane
        )

    def add(self, record: Record) -> None:
        """See `osproxy.web.accesslog.AccessLog.add`."""
        self.records.append(record)

    def connect(
        self, peer: IAddress | None = None, host: IAddress | None = None
    ) -> tuple[Channel, Wire]:
        """Let a client connect in memory."""
        wire = Wire(
            hostAddress=host or IPv4Address("TCP", "192.0.2.9", 8080),
            peerAddress=peer or IPv4Address("TCP", "192.0.2.1", 4000),
        )
        channel = self.site.buildProtocol(wire.getPeer())
        assert isinstance(channel, Channel)
        channel.makeConnection(wire)
        return channel, wire

    def ask(self, target: str, *fields: str, method: str = "GET", **addresses: IAddress) -> Got:
        """Send one request in memory and return its response."""
        channel, wire = self.connect(**addresses)
        channel.dataReceived(request(target, *fields, method=method))
        (got,) = responses(wire.value(), heads=method == "HEAD")
        channel.connectionLost(Failure(ConnectionDone()))
        return got

    def count(self, outcome: str, kind: str) -> tuple[float, float]:
        """Tell how many requests and octets were counted."""
        labels = {"outcome": outcome, "kind": kind}
        value = self.metrics.registry.get_sample_value
        return (
            value("osproxy_requests_total", labels) or 0.0,
            value("osproxy_sent_bytes_total", labels) or 0.0,
        )


@implementer(IListeningPort)
@define(eq=False)
class FakePort:
    """A listener that accepts nobody, and knows whether it would."""

    reading: bool = True
    numberAccepts: int = 100  # noqa: N815
    socket: object = None

    def startListening(self) -> None:  # noqa: N802
        """Do nothing."""

    def stopListening(self) -> None:  # noqa: N802
        """Do nothing."""

    def getHost(self) -> IAddress:  # noqa: N802
        """Give some address."""
        return IPv4Address("TCP", "192.0.2.9", 8080)

    def stopReading(self) -> None:  # noqa: N802
        """Accept nobody."""
        self.reading = False

    def startReading(self) -> None:  # noqa: N802
        """Accept again."""
        self.reading = True


def notice(status: int = 200, body: bytes = b"here\n") -> Answer:
    """Answer with a line of ours."""
    return Answer(Notice(status, body), CacheStatus(fwd="uri-miss"), Kind.UNKNOWN)


def broken(text: str = "the upstream broke off") -> BodyBroken:
    """Make what a body raises whose rest will not come."""
    return BodyBroken(text)
