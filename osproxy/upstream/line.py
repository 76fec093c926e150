"""
What a connection tells of a response that Twisted's client does not hand on.

Twisted keeps some fields to itself, and takes every end of a connection for the same. A `Line` lies
between it and the transport and sees both; whoever has a response finds its line by `Reading`.
Neither changes what is said. They are used in `osproxy.upstream.agent`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import define
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.components import proxyForInterface
from twisted.python.failure import Failure
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from osproxy.http.fields import Fields

#: Octets that are read from a socket at once; with Twisted's 64 KiB a fill takes twice the CPU.
READ_AT_ONCE = 256 << 10
#: Octets that a head may have; Twisted sets a limit to each line of it, but none to their number.
LONGEST_HEAD = 128 << 10

# As Twisted sees them, which takes lines without CR as well.
_END = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_INTERIM = re.compile(rb"[^ ]* 1[0-9][0-9](?![0-9])")


class Head:
    """
    The head of a response, gathered from octets; heads of interim responses are passed over.

    :ivar complete: whether it is all there.
    """

    def __init__(self) -> None:
        self._octets = bytearray()
        self.complete = False

    @property
    def too_long(self) -> bool:
        """Whether it has no end where it should have."""
        return not self.complete and len(self._octets) > LONGEST_HEAD

    def take(self, data: bytes) -> None:
        """Take octets; what follows the head is left out."""
        if self.complete:
            return
        begin = max(0, len(self._octets) - 2)
        self._octets += data
        while end := _END.search(self._octets, begin):
            if not _INTERIM.match(self._octets):
                del self._octets[end.start() :]
                self.complete = True
                return
            del self._octets[: end.end()]
            begin = 0

    def fields(self) -> Fields:
        """Give its fields as they came."""
        lines = _FOLD.sub(b" ", bytes(self._octets)).decode("latin-1").split("\n")[1:]
        pairs = (line.partition(":") for line in lines)
        return tuple((name, value.strip()) for name, _, value in pairs)


@define(eq=False)
class Reading:
    """The line whose octets are being looked at in this turn of the reactor."""

    line: Line | None = None


class Line(ProtocolWrapper):
    """
    A connection that is read in large pieces.

    :ivar head: of the response to the last request.
    :ivar broken: whether it was broken off rather than closed.
    """

    factory: LineFactory
    broken = False

    def makeConnection(self, transport: Any) -> None:
        """See `twisted.internet.interfaces.IProtocol`."""
        self.head = Head()
        socket = transport
        # Beneath TLS there is another transport, which has the socket.
        while hasattr(socket, "transport"):
            socket = socket.transport
        if hasattr(socket, "bufferSize"):
            socket.bufferSize = READ_AT_ONCE
        super().makeConnection(transport)

    def write(self, data: bytes) -> None:
        """See `twisted.internet.interfaces.ITransport`."""
        self.writeSequence((data,))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """See `twisted.internet.interfaces.ITransport`."""
        # One request follows the other: what comes after it is said is the answer.
        self.head = Head()
        super().writeSequence(data)

    def dataReceived(self, data: bytes) -> None:
        """See `twisted.internet.interfaces.IProtocol`."""
        head = self.head
        head.take(data)
        reading = self.factory.reading
        before, reading.line = reading.line, self
        try:
            super().dataReceived(data)
        finally:
            reading.line = before
        if head.too_long:
            self.abort()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """See `twisted.internet.interfaces.IProtocol`."""
        self.broken = not reason.check(ConnectionDone)
        super().connectionLost(reason)

    def abort(self) -> None:
        """End the connection, whatever is under way on it."""
        transport: Any = self.transport
        transport.abortConnection()


class LineFactory(WrappingFactory):
    """Makes connections lines."""

    protocol = Line
    # A line in the log at each connection would drown the others.
    noisy = False

    def __init__(self, inner: Any, reading: Reading) -> None:
        inner.noisy = False
        super().__init__(inner)
        self.reading = reading


class Unmeasured(proxyForInterface(IResponse)):  # type: ignore[misc]
    """A response of unknown length, which may end with its connection."""

    def __init__(self, original: IResponse, line: Line) -> None:
        super().__init__(original)
        self._line = line

    def deliverBody(self, protocol: IProtocol) -> None:
        """See `twisted.web.iweb.IResponse`."""
        self.original.deliverBody(_Ending(protocol, self._line))


class _Ending(proxyForInterface(IProtocol)):  # type: ignore[misc]
    """Tells a connection that was broken off from one that was closed (RFC 9112 section 8)."""

    def __init__(self, original: IProtocol, line: Line) -> None:
        super().__init__(original)
        self._line = line

    def connectionLost(self, reason: Failure) -> None:
        if self._line.broken and reason.check(PotentialDataLoss):
            reason = Failure(ConnectionLost())
        self.original.connectionLost(reason)
