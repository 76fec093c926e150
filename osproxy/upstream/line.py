"""
A connection to an upstream, as it lies between the transport and Twisted's client.

What comes is judged by the `osproxy.upstream.exchange` of the last request, and what was not asked
for ends the connection. It is read in large pieces.
"""

from __future__ import annotations

from socket import MSG_PEEK
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from osproxy.upstream.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

#: Octets that are read from a socket at once; with Twisted's 64 KiB a fill takes twice the CPU.
READ_AT_ONCE = 256 << 10


class Line(ProtocolWrapper):
    """A connection that carries one exchange after the other."""

    factory: LineFactory

    def makeConnection(self, transport: Any) -> None:
        """See `twisted.internet.interfaces.IProtocol`."""
        self._exchange: Exchange | None = None
        self._bottom = transport
        # Beneath TLS there is another transport, which has the socket.
        while hasattr(self._bottom, "transport"):
            self._bottom = self._bottom.transport
        if hasattr(self._bottom, "bufferSize"):
            self._bottom.bufferSize = READ_AT_ONCE
        self.factory.count(1)
        super().makeConnection(transport)

    def begin(self, method: str, head: bytes) -> Exchange:
        """
        Send the head of a request, whose response is then expected.

        A connection that was kept and is not silent is ended instead: what lies there already
        would be taken for the response (RFC 9112 section 9.2). For Twisted's client this is a
        connection that was closed meanwhile, so that it asks again on a new one.
        """
        kept = self._exchange is not None
        self._exchange = Exchange(method)
        if kept and not self._silent():
            self.abortConnection()
        else:
            self.write(head)
        return self._exchange

    def dataReceived(self, data: bytes) -> None:
        """See `twisted.internet.interfaces.IProtocol`."""
        exchange = self._exchange
        if exchange is None or exchange.over:
            # RFC 9112 section 9.2: nobody has asked for it.
            self.abortConnection()
            return
        # Also if there is nothing to hand on: that a response has begun must be known, since only
        # a request without any is sent again.
        super().dataReceived(exchange.take(data))
        if exchange.fault is not None:
            self.abortConnection()

    def hush(self) -> None:
        """Send no more of a request: an upstream that has answered may have ceased to read it."""
        self._bottom.stopWriting()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """See `twisted.internet.interfaces.IProtocol`."""
        self.factory.count(-1)
        if self._exchange is not None:
            self._exchange.end(cleanly=bool(reason.check(ConnectionDone)))
        super().connectionLost(reason)

    def loseConnection(self) -> None:
        """See `twisted.internet.interfaces.ITransport`."""
        if self._exchange is not None and self._exchange.sending:
            # The response is there, and the rest of the request of no use.
            self.abortConnection()
        else:
            super().loseConnection()

    def stopProducing(self) -> None:
        """See `twisted.internet.interfaces.IPushProducer`: nobody wants the rest of a response."""
        self.abortConnection()

    def abortConnection(self) -> None:
        """See `twisted.internet.interfaces.ITCPTransport`."""
        transport: Any = self.transport
        transport.abortConnection()

    def _silent(self) -> bool:
        """Whether neither octets nor an end wait to be read."""
        try:
            self._bottom.getHandle().recv(1, MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False


class LineFactory(WrappingFactory):
    """
    Makes connections lines.

    :ivar count: is told of one more, or of one less.
    """

    protocol = Line
    # A line in the log at each connection would drown the others.
    noisy = False

    def __init__(self, inner: Any, count: Callable[[int], None]) -> None:
        inner.noisy = False
        self.count = count
        super().__init__(inner)
