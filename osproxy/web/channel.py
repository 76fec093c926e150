"""
Connections of clients: HTTP/1 with limits on all that a client could make us wait for.

Twisted's channel parses and keeps responses in order; here is when to lose patience. There is no
timer per connection or request: each keeps a stamp, and one sweep looks at all of them. What is
asked is answered in `osproxy.web.resource`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from twisted.internet.protocol import connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.http import HTTPChannel
from twisted.web.server import Site

from osproxy.web.sockets import Outflow, address_text, socket_beneath, tune

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime, ITCPTransport
    from twisted.python.failure import Failure
    from twisted.web.http import Request
    from twisted.web.resource import IResource

    from osproxy.web.connections import Connections

HEAD_TIMEOUT = 30.0
IDLE_TIMEOUT = 60.0
CLIENT_TIMEOUT = 120.0

LINGER = 2.0
"""Seconds that a client has to end its side once it has taken all: TLS waits for its word."""

REQUEST_AT_MOST = 64 * 1024
"""Octets of a request, its body too: a GET has none, and another method is refused anyway."""

_TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\n"
_NOT_ALLOWED = b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n"
_SWEEP_EVERY = 1.0
_MEASURE_EVERY = 5.0
_COMPLAIN_EVERY = 60.0

_log = Logger()


class Phase(Enum):
    """What a connection is at."""

    IDLE = "between requests"
    RECEIVING = "a request has begun to come"
    ANSWERING = "a response is under way"
    CLOSING = "what is queued is sent, nothing is read"


class Channel(HTTPChannel):
    """
    One client's connection.

    :ivar number: tells connections apart, and the requests of one connection together.
    :ivar origin: the address it counts against: the client's, or that of the balancer before us.
    :ivar phase: what it is at.
    """

    site: ClientSite
    transport: ITCPTransport

    def __init__(self) -> None:
        HTTPChannel.__init__(self)
        self.number = 0
        self.origin = ""
        self.phase = Phase.IDLE
        self._since = 0.0
        self._patience = HEAD_TIMEOUT
        self._received = 0
        self._method = b""
        self._outflow: Outflow | None = None

    @property
    def busy(self) -> bool:
        """Whether a response is under way."""
        return self.phase is Phase.ANSWERING

    @property
    def peer(self) -> str:
        """The client's address; behind a balancer that tells, the one it told."""
        return address_text(self.transport.getPeer())

    def connectionMade(self) -> None:
        """Begin, unless the client has too many connections or we are about to stop."""
        self.origin = self.peer
        if not self.site.admit(self):
            self.transport.abortConnection()
            return
        now = self._enter(Phase.IDLE)
        # A client that has said nothing yet is about to send its head.
        self._patience = self.site.head_timeout
        beneath = socket_beneath(self.transport)
        if beneath is not None:
            tune(beneath)
            self._outflow = Outflow(beneath, now)
        HTTPChannel.connectionMade(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the requests, and give the place up."""
        HTTPChannel.connectionLost(self, reason)
        self.site.forget(self)

    def dataReceived(self, data: bytes) -> None:
        """Take what a client sends, until it is more than a request can need."""
        if self.phase is Phase.CLOSING:
            return
        if self.phase is Phase.IDLE:
            self._begin()
            self._method = data.partition(b" ")[0]
        self._received += len(data)
        HTTPChannel.dataReceived(self, data)
        if self.phase is Phase.IDLE and self.requests:
            # The last of several requests in one piece, and not yet whole.
            self._begin()
        elif self.phase is Phase.RECEIVING and self._received > REQUEST_AT_MOST:
            # A body belongs to a method that is refused; with GET it is the body that is too much.
            refusal = _TOO_LARGE if self._method in (b"GET", b"HEAD") else _NOT_ALLOWED
            self.transport.write(refusal + b"Connection: close\r\n\r\n")
            self.loseConnection()

    def allContentReceived(self) -> None:
        """Have the request answered; its answer may take as long as the client takes octets."""
        now = self._enter(Phase.ANSWERING)
        if self._outflow is not None:
            self._outflow.moved_at = now
        if self.site.draining:
            self.drain()
        HTTPChannel.allContentReceived(self)

    def requestDone(self, request: Request) -> None:
        """Wait for the next request, or go on with it if it is here."""
        if self.phase is Phase.ANSWERING:
            self._enter(Phase.IDLE)
            self._patience = self.site.idle_timeout
        HTTPChannel.requestDone(self, request)

    def loseConnection(self) -> None:
        """Close, once what is queued has been taken."""
        self._enter(Phase.CLOSING)
        HTTPChannel.loseConnection(self)

    def abort(self) -> None:
        """Break the connection now: what is not sent is lost, and the client can tell."""
        self.transport.abortConnection()

    def drain(self) -> None:
        """Take no further request; close once nothing is under way."""
        if self.phase is Phase.IDLE:
            self.loseConnection()
        elif self.phase is Phase.ANSWERING:
            self.persistent = False
            self.requests[0].responseHeaders.setRawHeaders(b"connection", [b"close"])

    def sweep(self, now: float, measure: bool) -> None:
        """Close the connection if something is overdue; ``measure`` whether its client stalls."""
        waited = now - self._since
        if self.phase is Phase.RECEIVING:
            if waited >= self.site.head_timeout:
                _log.debug("{peer} did not finish its request", peer=self.peer)
                self.loseConnection()
        elif self.phase is Phase.IDLE and waited >= self._patience and not self._queued:
            self.loseConnection()
        elif self.phase is Phase.CLOSING and waited >= LINGER and not self._queued:
            self.abort()
        elif measure and self._outflow is not None:
            stalled = self._outflow.stalled(now)
            if stalled >= self.site.client_timeout:
                _log.info(
                    "{peer} has taken nothing for {seconds:.0f} s and is cut",
                    peer=self.peer,
                    seconds=stalled,
                )
                self.abort()

    @property
    def _queued(self) -> int:
        return 0 if self._outflow is None else self._outflow.queued

    def _begin(self) -> None:
        self._enter(Phase.RECEIVING)
        self._received = 0

    def _enter(self, phase: Phase) -> float:
        self.phase = phase
        self._since = self.site.reactor.seconds()
        return self._since


class ClientSite(Site):
    """
    Makes the channels of all listeners, plain and TLS, and keeps watch over them.

    :ivar draining: whether connections end with the response that is under way.
    """

    protocol = Channel  # type: ignore[assignment]
    noisy = False

    def __init__(
        self,
        resource: IResource,
        connections: Connections,
        reactor: IReactorTime,
        *,
        requestFactory: type[Request] | None = None,
        head_timeout: float = HEAD_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
        client_timeout: float = CLIENT_TIMEOUT,
    ) -> None:
        # No timeout of Twisted's: each octet of a head would put it off.
        Site.__init__(self, resource, requestFactory, timeout=None, reactor=reactor)
        self.connections = connections
        self.head_timeout = head_timeout
        self.idle_timeout = idle_timeout
        self.client_timeout = client_timeout
        self.draining = False
        self._made = 0
        self._complain_at = 0.0
        self._measure_at = 0.0
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = reactor

    def admit(self, channel: Channel) -> bool:
        """Register a new connection, or refuse it; say so once a minute at most."""
        if self.draining:
            return False
        if not self.connections.add(channel):
            now = self.reactor.seconds()
            if now >= self._complain_at:
                self._complain_at = now + _COMPLAIN_EVERY
                _log.warn(
                    "{origin} has {limit} connections and got no more ({refused} refused so far)",
                    origin=channel.origin,
                    limit=self.connections.limit,
                    refused=self.connections.refused,
                )
            return False
        self._made += 1
        channel.number = self._made
        if not self._sweeping.running:
            self._sweeping.start(_SWEEP_EVERY, now=False)
        return True

    def forget(self, channel: Channel) -> None:
        """Give up the place of a connection that has ended."""
        self.connections.remove(channel)
        if not len(self.connections) and self._sweeping.running:
            self._sweeping.stop()

    def drain(self) -> None:
        """Close what is idle; let what is under way be the last of its connection."""
        self.draining = True
        for connection in self.connections:
            connection.drain()

    def cut(self) -> int:
        """Break the connections that are left, and say how many."""
        left = len(self.connections)
        for connection in self.connections:
            connection.abort()
        return left

    def when_idle(self) -> Deferred[None]:
        """Fire once no connection is left."""
        return self.connections.when_empty()

    def acceptableProtocols(self) -> list[bytes]:
        """Offer HTTP/1.1 alone: HTTP/2 costs several times the CPU for bodies."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Need nothing of Twisted's access log."""

    def stopFactory(self) -> None:
        """Keep watching: connections outlive the listeners while they drain."""

    def log(self, request: Request) -> None:
        """Leave the access log to `osproxy.web.accesslog`."""

    def _sweep(self) -> None:
        now = self.reactor.seconds()
        measure = now >= self._measure_at
        if measure:
            self._measure_at = now + _MEASURE_EVERY
        for connection in self.connections:
            try:
                connection.sweep(now, measure)
            except Exception:
                # One connection that cannot be judged must not end the watch over the others.
                _log.failure("cannot judge a connection")
