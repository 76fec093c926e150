"""
Connections that a proxy hands on, and says whose they are before anything else.

From those who are named a PROXY header has to come; from others none is read, and what looks like
one is a bad request. It comes before TLS, so that this is next to the socket, and whatever is above
sees a transport whose other end is the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from attrs import define
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    ILoggingContext,
    IProtocolFactory,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import directlyProvides, implementer, providedBy

from osproxy.config.clients import allows
from osproxy.shedding import Reason
from osproxy.web.channel import HEAD_TIMEOUT
from osproxy.web.gate import ACCEPTS_A_TURN
from osproxy.web.proxyheader import BadHeader, read
from osproxy.web.sockets import address_text

if TYPE_CHECKING:
    from twisted.internet.interfaces import (
        IAddress,
        IDelayedCall,
        IProtocol,
        IReactorTime,
        ITransport,
    )
    from twisted.python.failure import Failure

    from osproxy.config.clients import Peer
    from osproxy.shedding import Shedding
    from osproxy.web.site import ClientSite

# Those who wait for their header, however few others there may be: who was accepted in one turn is
# read in the next.
_MAY_WAIT = 4 * ACCEPTS_A_TURN


@define(eq=False)
class Proxies:
    """
    Who begins connections with a PROXY header, for all listeners.

    :ivar named: they may become others; connections that are there stay what they are.
    :ivar site: what is behind the listeners, and has only so many places and descriptors.
    :ivar waiting: how many connections there are whose header has not come.
    """

    named: tuple[Peer, ...]
    site: ClientSite
    shedding: Shedding
    waiting: int = 0

    @property
    def clock(self) -> IReactorTime:
        """The time that a header has."""
        return self.site.reactor

    def wrap(self, factory: IProtocolFactory) -> IProtocolFactory:
        """Put the reading of headers in front of what a listener makes, where it is due."""
        return _Choosing(self, factory, _ProxiedFactory(factory, self))

    def excess(self, transport: ITransport) -> Reason | None:
        """Say why a new connection cannot wait for its header, if it cannot."""
        if self.site.short_of_descriptors(transport):
            return Reason.DESCRIPTORS
        at_most = max(_MAY_WAIT, self.site.connections.spare)
        return Reason.PROXY_HEADER if self.waiting >= at_most else None


@implementer(IProtocolFactory, ILoggingContext)
@define(eq=False)
class _Choosing:
    """Makes nothing new for connections of others than proxies."""

    _proxies: Proxies
    _direct: IProtocolFactory
    _proxied: _ProxiedFactory

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """Make a connection's protocol."""
        proxied = allows(self._proxies.named, address_text(addr))
        return (self._proxied if proxied else self._direct).buildProtocol(addr)

    def logPrefix(self) -> str:  # noqa: N802
        """Name who listens, for the log."""
        return "osproxy"

    def doStart(self) -> None:  # noqa: N802
        """Begin to listen."""
        self._direct.doStart()

    def doStop(self) -> None:  # noqa: N802
        """Listen no more."""
        self._direct.doStop()


class _Proxied(ProtocolWrapper):
    """
    One connection of a proxy.

    Who is above is told of it when the header has come, and not at all if none does.
    """

    factory: _ProxiedFactory
    transport: Any
    wrappedProtocol: Any  # noqa: N815

    def __init__(self, factory: _ProxiedFactory, inner: IProtocol) -> None:
        ProtocolWrapper.__init__(self, factory, inner)
        self._begun: bytearray | None = bytearray()
        self._client: IAddress | None = None
        self._due: IDelayedCall | None = None

    def makeConnection(self, transport: ITransport) -> None:
        """Wait for the header, as long as for the head of a request."""
        directlyProvides(self, providedBy(transport))
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)
        proxies = self.factory.proxies
        reason = proxies.excess(transport)
        if reason is not None:
            self._refuse(reason, "leaves too many without one")
            return
        proxies.waiting += 1
        self._due = proxies.clock.callLater(HEAD_TIMEOUT, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        """Read on in the header, or hand on what comes behind it."""
        if self._begun is None:
            self.wrappedProtocol.dataReceived(data)
            return
        if self._due is None:
            return
        self._begun += data
        try:
            header = read(bytes(self._begun))
        except BadHeader as error:
            self._refuse(Reason.PROXY_HEADER, f"has sent {error}")
            return
        if header is not None:
            self._begin(header.source, bytes(self._begun[header.length :]))

    def getPeer(self) -> IAddress:  # noqa: N802
        """Give the address of the client; of the proxy where that has named none."""
        return self._client or cast("IAddress", self.transport.getPeer())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell who is above, if it was told of the connection."""
        self._waits_no_more()
        if self._begun is None:
            ProtocolWrapper.connectionLost(self, reason)
        else:
            self.factory.unregisterProtocol(self)

    def readConnectionLost(self) -> None:
        """Hand on that the client has ended its side; see `_begin`."""
        self.wrappedProtocol.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Hand on that our side is ended."""
        self.wrappedProtocol.writeConnectionLost()

    def _begin(self, source: tuple[str, int] | None, rest: bytes) -> None:
        self._waits_no_more()
        self._begun = None
        if source is not None:
            kind = IPv6Address if ":" in source[0] else IPv4Address
            self._client = kind("TCP", *source)
        if IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            # Whether it does, Twisted asks who is next to the socket.
            directlyProvides(self, providedBy(self.transport), IHalfCloseableProtocol)
        self.wrappedProtocol.makeConnection(self)
        if rest:
            self.wrappedProtocol.dataReceived(rest)

    def _too_late(self) -> None:
        self._refuse(Reason.PROXY_HEADER, f"has sent none that is whole for {HEAD_TIMEOUT:.0f} s")

    def _refuse(self, reason: Reason, trouble: str) -> None:
        self._waits_no_more()
        proxy = address_text(self.transport.getPeer())
        subject = f"{proxy} {trouble}" if reason is Reason.PROXY_HEADER else proxy
        self.factory.proxies.shedding.shed(reason, subject)
        self.transport.abortConnection()

    def _waits_no_more(self) -> None:
        due, self._due = self._due, None
        if due is not None:
            self.factory.proxies.waiting -= 1
            if due.active():
                due.cancel()


class _ProxiedFactory(WrappingFactory[_Proxied]):
    protocol = _Proxied

    def __init__(self, factory: IProtocolFactory, proxies: Proxies) -> None:
        super().__init__(factory)
        self.proxies = proxies
