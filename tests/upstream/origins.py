"""
An origin on a loopback port that says what the test tells it, octet by octet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from twisted.internet import reactor as real_reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import directlyProvides, providedBy

from osproxy.metrics import Metrics
from osproxy.shedding import Shedding
from osproxy.upstream.agent import ExactAgent
from osproxy.upstream.origin import Upstream
from osproxy.upstream.trust import policy
from osproxy.upstream.turns import Turns
from osproxy.web.tls import Renewable, certificate
from tests.web.support import listen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twisted.internet.interfaces import IAddress
    from twisted.python.failure import Failure
    from twisted.trial.unittest import TestCase

    from tests.web.certificates import Files

CONNECT_TIMEOUT, HEAD_TIMEOUT, STALL_TIMEOUT = 10.0, 15.0, 30.0
TURNS = 100


class Connection(Protocol):
    """One client's connection, as the origin sees it."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.received = b""
        self.closed: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Answer whatever requests are complete."""
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            self.origin.asked(self, head)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Tell who waits for it."""
        self.closed.callback(None)

    def say(self, data: bytes) -> None:
        """Send octets."""
        assert self.transport is not None
        self.transport.write(data)

    def hang_up(self) -> None:
        """Close the connection behind what was said."""
        assert self.transport is not None
        self.transport.loseConnection()


class Origin(Factory):
    """
    Answers each request with the next of ``replies``; None answers nothing.

    :ivar requests: heads of requests, in order, and on which connection each came.
    """

    noisy = False

    def __init__(self, *replies: bytes | None, close: bool = False) -> None:
        self.replies = list(replies)
        self.close = close
        self.connections: list[Connection] = []
        self.requests: list[tuple[Connection, bytes]] = []
        self._waiting: list[Deferred[Connection]] = []

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        """Take note of a connection."""
        connection = Connection(self)
        self.connections.append(connection)
        return connection

    def asked(self, connection: Connection, head: bytes) -> None:
        """Take note of a request and answer it."""
        self.requests.append((connection, head))
        reply = self.replies.pop(0)
        if reply is not None:
            connection.say(reply)
        if self.close:
            connection.hang_up()
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(connection)

    def when_asked(self) -> Deferred[Connection]:
        """Fire at the next request."""
        waiter: Deferred[Connection] = Deferred()
        self._waiting.append(waiter)
        return waiter

    @property
    def heads(self) -> list[str]:
        """The heads of the requests alone."""
        return [head.decode("latin-1") for _, head in self.requests]


class ClockedReactor:
    """The real reactor's sockets, on a clock that the test advances."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.callLater = self.clock.callLater
        self.getDelayedCalls = self.clock.getDelayedCalls
        self.seconds = self.clock.seconds
        directlyProvides(self, providedBy(real_reactor))

    def __getattr__(self, name: str) -> Any:
        """Leave the rest to the real one."""
        return getattr(real_reactor, name)


class Network:
    """An upstream client whose connections are closed when the test ends."""

    def __init__(self, case: TestCase, authorities: Path | None = None) -> None:
        self.case = case
        self.reactor = ClockedReactor()
        self.clock = self.reactor.clock
        self.metrics = Metrics(CollectorRegistry())
        self.agent = ExactAgent(
            self.reactor,
            policy(authorities),
            connect_timeout=CONNECT_TIMEOUT,
            head_timeout=HEAD_TIMEOUT,
        )
        shedding = Shedding(self.clock, self.metrics.refused)
        turns, uploads = (Turns(self.clock, shedding, TURNS) for _ in range(2))
        self.upstream = Upstream(
            self.agent, self.reactor, STALL_TIMEOUT, self.metrics, turns, uploads
        )
        case.addCleanup(self._close)
        self._origins: list[Origin] = []

    def serve(self, origin: Origin, files: Files | None = None) -> str:
        """Let an origin listen, with TLS if there are files, and tell its URL."""
        self._origins.append(origin)
        factory: Any = origin
        if files is not None:
            context = Renewable(certificate(files.pems))
            factory = TLSMemoryBIOFactory(context, isClient=False, wrappedFactory=origin)
            factory.noisy = False
        scheme = "http" if files is None else "https"
        return f"{scheme}://127.0.0.1:{listen(self.case, factory)}"

    async def settle(self) -> None:
        """Let pass whatever is on its way: an exchange that begins now ends after it."""
        await (await self.upstream.ask(self.serve(Origin(plain(b"x"))))).read(1)

    async def _close(self) -> None:
        await self.agent.close()
        for origin in self._origins:
            for connection in origin.connections:
                assert connection.transport is not None
                if not connection.closed.called:
                    connection.transport.abortConnection()  # type: ignore[attr-defined]
                    await connection.closed
        self.case.assertEqual(self.clock.getDelayedCalls(), [], "a timer was left")


class Sink:
    """Gathers what is delivered, and tells when there is enough."""

    def __init__(self) -> None:
        self.content = b""
        self._waiting: list[tuple[int, Deferred[None]]] = []

    def __call__(self, data: bytes) -> None:
        """Take octets."""
        self.content += data
        waiting, self._waiting = self._waiting, []
        for length, waiter in waiting:
            if len(self.content) >= length:
                waiter.callback(None)
            else:
                self._waiting.append((length, waiter))

    def when_has(self, length: int) -> Deferred[None]:
        """Fire when so many octets have come."""
        waiter: Deferred[None] = Deferred()
        self._waiting.append((length, waiter))
        self(b"")
        return waiter


def started(coroutine: Any) -> Deferred[Any]:
    """Let a coroutine run beside the test."""
    running: Deferred[Any] = Deferred.fromCoroutine(coroutine)
    return running


def plain(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """Make a whole reply of known length."""
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def moved(location: str, status: bytes = b"302 Found") -> bytes:
    """Make a redirect."""
    return plain(b"moved", b"Location: " + location.encode("latin-1"), status=status)


def raising(error: Exception) -> Callable[[bytes], None]:
    """Make a sink that cannot take anything."""

    def sink(_: bytes) -> None:
        raise error

    return sink
