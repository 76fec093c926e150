"""A site on a clock, and clients in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from osproxy.metrics import Metrics
from osproxy.shedding import Shedding
from osproxy.web.channel import Channel
from osproxy.web.connections import Connections
from osproxy.web.gate import Gate
from osproxy.web.site import ClientSite

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IReactorTime
    from twisted.web.http import Request
    from twisted.web.resource import IResource

    from osproxy.web.request import ClientRequest

HEAD = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


class Answers(Resource):
    """Keeps requests until the test answers them."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[ClientRequest] = []
        self.waiting: list[Deferred[ClientRequest]] = []

    def render(self, request: ClientRequest) -> int:
        """Keep the request."""
        self.asked.append(request)
        waiting, self.waiting = self.waiting, []
        for waiter in waiting:
            waiter.callback(request)
        return NOT_DONE_YET

    def when_asked(self) -> Deferred[ClientRequest]:
        """Fire with the next request."""
        waiter: Deferred[ClientRequest] = Deferred()
        self.waiting.append(waiter)
        return waiter


class Wire(StringTransport):
    """A transport in memory that says when it was closed or broken."""

    aborted = False

    def abortConnection(self) -> None:
        """Remember that the connection was broken."""
        self.aborted = True
        self.disconnecting = True

    def resumeProducing(self) -> None:
        """Read on, unless it was closed: as a socket, and unlike its parent, which raises."""
        if not self.disconnecting:
            super().resumeProducing()


def site_of(
    resource: IResource,
    connections: Connections,
    clock: IReactorTime,
    metrics: Metrics | None = None,
) -> ClientSite:
    """Make a site whose descriptors last."""
    shedding = Shedding(clock, (metrics or Metrics(CollectorRegistry())).refused)
    return ClientSite(resource, connections, clock, Gate(1 << 20), shedding)


class Server:
    """A site on a clock, and the clients that connect to it in memory."""

    def __init__(self, limit: int = 10, most: int = 100) -> None:
        self.clock = Clock()
        self.answers = Answers()
        self.connections = Connections(limit, most)
        self.metrics = Metrics(CollectorRegistry())
        self.site = site_of(self.answers, self.connections, self.clock, self.metrics)

    def connect(self, address: IAddress | None = None) -> tuple[Channel, Wire]:
        """Let a client connect."""
        wire = Wire(peerAddress=address or IPv4Address("TCP", "192.0.2.1", 4000))
        channel = self.site.buildProtocol(wire.getPeer())
        assert isinstance(channel, Channel)
        channel.makeConnection(wire)
        return channel, wire

    def pass_time(self, seconds: int) -> None:
        """Let time go by, a second at a time."""
        self.clock.pump([1] * seconds)


def answer(request: Request, body: bytes = b"body") -> None:
    """Answer a request."""
    request.setHeader(b"content-length", b"%d" % len(body))
    request.write(body)
    request.finish()
