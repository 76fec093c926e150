"""
Connections of clients: strict HTTP/1 in, and limits on all a client could make us wait for.

What a client sends is taken apart by `osproxy.web.incoming`, one request at a time. Twisted's
channel, which is there for the response, is handed the first line of each, so that nothing is left
to be read differently: it never sees a field, nor a body. Here is when a request has its turn, when
a connection is read from, how it ends, and when to lose patience. What is asked is answered in
`osproxy.web.resource`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import IHalfCloseableProtocol, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from osproxy.http.lines import FIELD_LINE_AT_MOST, HEAD_AT_MOST, BadMessage
from osproxy.http.messages import RequestHead, serialise_request
from osproxy.web.incoming import Incoming, bare
from osproxy.web.sockets import Outflow, address_text, keep_alive, socket_beneath, tune

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure
    from twisted.web.http import Request
    from twisted.web.http_headers import Headers
    from twisted.web.resource import IResource

HEAD_TIMEOUT = 30.0
IDLE_TIMEOUT = 60.0
CLIENT_TIMEOUT = 120.0

LINGER = 2.0
"""Seconds that a client has to end its side once it has taken all, and sends no more."""

READ_AHEAD = 64 * 1024
"""Octets that may wait for their turn, or for who takes them; a read more can come on top."""

DROPPED_AT_MOST = 64 * 1024
"""Octets of a body that are read although nobody wants them, to keep the connection."""

# What stands for a head that could not be read: in the access log, and before Twisted.
_UNREADABLE = RequestHead("-", b"-", (1, 1), ())

_CUT = "{peer} {what} for {seconds:.0f} s and is cut"
_log = Logger()


class Phase(Enum):
    """What a connection is at."""

    IDLE = "between requests"
    RECEIVING = "a request has begun to come, or the rest of one is dropped"
    ANSWERING = "a response is under way"
    CLOSING = "what is queued is sent, what comes is dropped"


class Watch(Protocol):
    """What a connection is told by who watches over all of them, see `osproxy.web.site`."""

    reactor: IReactorTime
    resource: IResource
    head_timeout: float
    idle_timeout: float
    client_timeout: float
    draining: bool

    def admit(self, channel: Channel) -> bool:
        """Register a new connection, or refuse it."""

    def forget(self, channel: Channel) -> None:
        """Give up the place of one that has ended."""

    def serves(self, channel: Channel) -> bool:
        """Whether its requests are answered, or told that there are too many."""

    def answer(self, octets: bytes, channel: Channel, began: float) -> bool:
        """Answer a request at once that has come alone and whole; say whether that was done."""


@implementer(IHalfCloseableProtocol)
class Channel(HTTPChannel):
    """
    One client's connection.

    :ivar number: tells connections apart, and the requests of one connection together.
    :ivar origin: the address it counts against: the client's, or that of the balancer before us.
    :ivar phase: what it is at.
    :ivar half_closed: whether the client has ended its side.
    """

    site: Watch
    # A connection of the reactor's, or one wrapped around it.
    transport: Any
    # Each an `osproxy.web.request.ClientRequest`, of which there is one at a time.
    requests: list[Any]

    # Twisted's own limits lie beyond ours, which count what came and not what is handed on.
    MAX_LENGTH = 2 * FIELD_LINE_AT_MOST
    totalHeadersSize = 2 * HEAD_AT_MOST

    def __init__(self) -> None:
        HTTPChannel.__init__(self)
        self.number = 0
        self.origin = ""
        self.phase = Phase.IDLE
        self._since = self._linger_until = self._fed_at = 0.0
        self._patience = HEAD_TIMEOUT
        self._outflow: Outflow | None = None
        self._incoming = Incoming(self._invite, self._flow)
        self._head = _UNREADABLE
        self._refusal: BadMessage | None = None
        self._advancing = self._waits = self._full = self.half_closed = self._lingers = False

    @property
    def busy(self) -> bool:
        """Whether a response is under way."""
        return self.phase is Phase.ANSWERING

    @property
    def served(self) -> bool:
        """Whether requests are answered, or told that there are too many connections."""
        return self.site.serves(self)

    @property
    def waiting_since(self) -> float | None:
        """Since when a request has been waited for, or its end; None while something else is."""
        waits = self.phase in (Phase.IDLE, Phase.RECEIVING) and not self._queued
        return self._since if waits else None

    @property
    def held(self) -> int:
        """Octets that have come and wait."""
        return self._incoming.held

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

    # What comes.

    def dataReceived(self, data: bytes) -> None:
        """Take what a client sends."""
        now = self.site.reactor.seconds()
        if self.phase is Phase.CLOSING:
            self._since = min(now, self._linger_until)
            return
        self._fed_at = now
        if self.phase is Phase.IDLE and self._at_once(data, now):
            return
        self._incoming.receive(data)
        self._advance()

    def _at_once(self, data: bytes, now: float) -> bool:
        """Have a request answered without more ado, where nothing else is to be thought of."""
        alone = self._incoming.fresh and not (self._full or self.half_closed)
        if not alone or not self.site.answer(data, self, now):
            return False
        self._since, self._patience = now, self.site.idle_timeout
        if self._outflow is not None:
            self._outflow.moved_at = now
        return True

    def readConnectionLost(self) -> None:
        """
        Answer what a client asked before it ended its side (RFC 9293 section 3.6), and no more.

        Whenever Twisted has the transport read on, this is told again.
        """
        self.half_closed = True
        if self.phase is Phase.CLOSING:
            self.transport.loseConnection()
        else:
            if self._outflow is not None:
                keep_alive(self._outflow.socket)
            self._incoming.end()
            self._advance()

    def writeConnectionLost(self) -> None:
        """Wait for the client to end its side, too."""

    def _advance(self) -> None:
        """Have requests that have come answered, as far as it is their turn."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._next():
                pass
        finally:
            self._advancing = False
        self._regulate()

    def _next(self) -> bool:
        """Have the next request answered if it has come and may be; say whether it was."""
        # Responses that the client does not take are not added to.
        if self.phase in (Phase.ANSWERING, Phase.CLOSING) or self._full:
            return False
        incoming = self._incoming
        if incoming.unfinished:
            if incoming.broken:
                self.loseConnection()
            return False
        try:
            head = incoming.next()
            if head is None and incoming.begun and self.half_closed:
                raise BadMessage("an end within the head")
        except BadMessage as error:
            self._ask(_UNREADABLE, error)
            return True
        if head is not None:
            self._ask(head)
            return True
        if self.half_closed:
            self.loseConnection()
        elif incoming.begun != (self.phase is Phase.RECEIVING):
            self._enter(Phase.RECEIVING if incoming.begun else Phase.IDLE)
        return False

    def _ask(self, head: RequestHead, refusal: BadMessage | None = None) -> None:
        self._head, self._refusal = head, refusal
        HTTPChannel.dataReceived(self, serialise_request(bare(head)))

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Tell whether the connection outlives this response."""
        return self._head.persistent and self._refusal is None and not self.site.draining

    def allContentReceived(self) -> None:
        """Have the request answered; its answer may take as long as the client takes octets."""
        now = self._enter(Phase.ANSWERING)
        if self._outflow is not None:
            self._outflow.moved_at = now
        self.requests[-1].begin(self._head, self._incoming.content, self._refusal)
        HTTPChannel.allContentReceived(self)

    # When to read.

    def pauseProducing(self) -> None:
        """Note that the client takes less than there is for it."""
        self._full = True
        HTTPChannel.pauseProducing(self)

    def resumeProducing(self) -> None:
        """Go on, with the next request as well."""
        self._full = False
        HTTPChannel.resumeProducing(self)
        self._advance()

    def _flow(self) -> None:
        self._fed_at = self.site.reactor.seconds()
        self._regulate()

    def _regulate(self) -> None:
        """Read no more while enough waits; what Twisted has us pause for is its own affair."""
        if self.phase is Phase.CLOSING or self.half_closed:
            return
        if self.held > READ_AHEAD:
            self._waits = True
            self.transport.pauseProducing()
        elif self._waits:
            self._waits = False
            if self.busy or not self._full:
                self.transport.resumeProducing()

    def _invite(self) -> None:
        """Tell a client that it may send its content (RFC 9110 section 10.1.1)."""
        if self.requests and not self.requests[0].startedWriting:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # How responses begin and end.

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Say that the connection ends where it will, be it for content that nobody takes."""
        content = self._incoming.content
        if content is not None and (not content.taken or content.trouble is not None):
            self.persistent = self.persistent and content.ends_within(DROPPED_AT_MOST)
        if not self.persistent:
            headers.setRawHeaders(b"Connection", [b"close"])
        HTTPChannel.writeHeaders(self, version, code, reason, headers)

    def requestDone(self, request: Request) -> None:
        """Wait for the next request, or go on with it if it is here."""
        content = self._incoming.content
        if content is not None:
            content.close()
            self.persistent = self.persistent and content.ends_within(DROPPED_AT_MOST)
        if self.phase is Phase.ANSWERING:
            self._enter(Phase.RECEIVING if self._incoming.unfinished else Phase.IDLE)
            self._patience = self.site.idle_timeout
        HTTPChannel.requestDone(self, request)
        self._advance()

    def loseConnection(self) -> None:
        """Close, once what is queued has been taken; slowly where the client may still send."""
        incoming = self._incoming
        sending = incoming.unfinished or self.held > 0 or self._refusal is not None
        self._close(lingering=sending)

    def _close(self, *, lingering: bool) -> None:
        """
        Close; in stages where there is something to be read first.

        What comes to a closed socket makes the kernel throw away what the client has yet to read,
        so that our side is closed first, and the client's read from (RFC 9112 section 9.6).
        """
        self._linger_until = self._enter(Phase.CLOSING) + self.site.head_timeout
        if not self.half_closed:
            # The end of TLS has to be read in any case.
            self.transport.resumeProducing()
        by_halves = ITCPTransport.providedBy(self.transport) and not self.isSecure()
        if lingering and by_halves and not self.half_closed:
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()
        else:
            HTTPChannel.loseConnection(self)

    def abort(self) -> None:
        """Break the connection now: what is not sent is lost, and the client can tell."""
        self.transport.abortConnection()

    def drain(self) -> None:
        """Take no further request; close once nothing is under way."""
        if self.phase is Phase.ANSWERING:
            self.persistent = False
        elif self.phase is Phase.IDLE or self._incoming.unfinished:
            self.loseConnection()

    def give_way(self) -> None:
        """Close while nothing is under way, be it within a request."""
        self._close(lingering=False)

    # When to lose patience.

    def sweep(self, now: float, measure: bool) -> None:
        """Close the connection if something is overdue; ``measure`` whether its client stalls."""
        # A clock that was set back must not give anybody longer than before.
        self._since, self._fed_at = min(self._since, now), min(self._fed_at, now)
        waited = now - self._since
        if self.phase is Phase.RECEIVING:
            if waited >= self.site.head_timeout:
                _log.debug("{peer} did not finish its request", peer=self.peer)
                self._close(lingering=False)
        elif self.phase is Phase.IDLE and waited >= self._patience and not self._queued:
            self.loseConnection()
        elif self.phase is Phase.CLOSING:
            # What was written is sent at the end of a turn, however long that is: not before.
            sent, self._lingers = self._lingers, True
            # Who was told that there is no room must not take its time to read it.
            if sent and waited >= LINGER and not (self._queued and self.served):
                self.abort()
        elif (silent := self._silent(now)) >= self.site.client_timeout:
            self._cut("has sent nothing", silent)
        elif measure and self._outflow is not None:
            stalled = self._outflow.stalled(now)
            if stalled >= self.site.client_timeout:
                self._cut("has taken nothing", stalled)
            elif self.half_closed and self._outflow.gone:
                self.abort()

    def _silent(self, now: float) -> float:
        """Say for how many seconds content is waited for of which none comes."""
        content = self._incoming.content
        return now - self._fed_at if content is not None and content.wanted else 0.0

    def _cut(self, what: str, seconds: float) -> None:
        _log.info(_CUT, peer=self.peer, what=what, seconds=seconds)
        self.abort()

    @property
    def _queued(self) -> int:
        return 0 if self._outflow is None else self._outflow.queued

    def _enter(self, phase: Phase) -> float:
        self.phase = phase
        self._since = self.site.reactor.seconds()
        return self._since
