"""
A line without a network: what is sent by it, and what comes of what is received.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport

from osproxy.upstream.line import Line, LineFactory

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress
    from twisted.python.failure import Failure


class Client(Protocol):
    """Stands for Twisted's client."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        """Take note of octets."""
        self.received.append(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Take note of the end."""
        self.lost = reason


class Clients(Factory):
    """Makes a client."""

    def buildProtocol(self, addr: IAddress | None) -> Client:
        """See `twisted.internet.interfaces.IProtocolFactory`."""
        return Client()


class Wire(StringTransport):
    """
    A transport without a network.

    :ivar aborted: whether what was still to be sent was dropped with it.
    :ivar silenced: whether nothing more is sent.
    """

    aborted = False
    silenced = False
    handle: Any = None

    def abortConnection(self) -> None:
        """See `twisted.internet.interfaces.ITCPTransport`."""
        self.aborted = True

    def stopWriting(self) -> None:  # noqa: N802
        """See `twisted.internet.abstract.FileDescriptor`."""
        self.silenced = True

    def stopProducing(self) -> None:
        """See `twisted.internet.interfaces.IPushProducer`."""
        raise AssertionError("that would wait for what is still to be sent")

    def getHandle(self) -> Any:  # noqa: N802
        """See `twisted.internet.interfaces.ISystemHandle`."""
        return self.handle


def lined() -> tuple[Line, Wire, Client]:
    """Make a line, with what is at its ends."""
    line: Any = LineFactory(Clients(), lambda _: None).buildProtocol(None)
    wire = Wire()
    line.makeConnection(wire)
    return line, wire, line.wrappedProtocol
