"""
All connections of clients, of all listeners: who gets in, and the watch over them.

There is no timer per connection or request: each keeps a stamp, and one sweep looks at all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.server import Site

from osproxy.shedding import Reason
from osproxy.web.channel import CLIENT_TIMEOUT, HEAD_TIMEOUT, IDLE_TIMEOUT, Channel
from osproxy.web.request import ClientRequest
from osproxy.web.sockets import socket_beneath

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime, ITransport
    from twisted.web.http import Request
    from twisted.web.resource import IResource

    from osproxy.shedding import Shedding
    from osproxy.web.connections import Connections
    from osproxy.web.gate import Gate
    from osproxy.web.lane import Lane

_SWEEP_EVERY = 1.0
_MAKE_ROOM_EVERY = 0.25
_MEASURE_EVERY = 5.0

_log = Logger()


class ClientSite(Site):
    """
    Makes the channels of all listeners, plain and TLS, and keeps watch over them.

    :ivar lane: answers what it can at once; None where all is answered by the resource.
    :ivar draining: whether connections end with the response that is under way.
    """

    protocol = Channel  # type: ignore[assignment]
    requestFactory = ClientRequest
    noisy = False

    def __init__(
        self,
        resource: IResource,
        connections: Connections,
        reactor: IReactorTime,
        gate: Gate,
        shedding: Shedding,
        *,
        lane: Lane | None = None,
        head_timeout: float = HEAD_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
        client_timeout: float = CLIENT_TIMEOUT,
    ) -> None:
        # No timeout of Twisted's: each octet of a head would put it off.
        Site.__init__(self, resource, timeout=None, reactor=reactor)
        self.connections = connections
        self.lane = lane
        self.gate = gate
        gate.no_room = self._no_room
        self._shedding = shedding
        self.head_timeout = head_timeout
        self.idle_timeout = idle_timeout
        self.client_timeout = client_timeout
        self.draining = False
        self._made = 0
        self._measure_at = 0.0
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = reactor
        self._making_room = LoopingCall(self._make_room)
        self._making_room.clock = reactor

    def admit(self, channel: Channel) -> bool:
        """Register a new connection, or refuse it; accept no further ones while that is so."""
        if self.draining:
            return False
        if self.short_of_descriptors(channel.transport):
            reason: Reason | None = Reason.DESCRIPTORS
        else:
            reason = self.connections.add(channel, self.reactor.seconds())
        if reason is not None:
            self._shedding.shed(reason, channel.origin)
        if self.connections.full:
            self._shut()
        if reason is not None:
            return False
        self._made += 1
        channel.number = self._made
        if not self._sweeping.running:
            self._sweeping.start(_SWEEP_EVERY, now=False)
        return True

    def short_of_descriptors(self, transport: ITransport | None) -> bool:
        """Whether a connection that was accepted was one too many; then accept no further ones."""
        self.gate.calm()
        beneath = socket_beneath(transport)
        if beneath is None or not self.gate.short(beneath.fileno()):
            return False
        # With nobody connected there would be nobody to wait for.
        if len(self.connections):
            self._shut()
        return True

    def forget(self, channel: Channel) -> None:
        """Give up the place of a connection that has ended."""
        self.connections.remove(channel)
        if not len(self.connections) and self._sweeping.running:
            self._sweeping.stop()
            self._open()

    def serves(self, channel: Channel) -> bool:
        """Whether requests of a connection are answered, or told that there are too many."""
        return self.connections.serves(channel)

    def answer(self, octets: bytes, channel: Channel, began: float) -> bool:
        """Answer a request at once that has come alone and whole; say whether that was done."""
        if self.lane is None or self.draining:
            return False
        return self.lane.answer(octets, channel, began)

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
        # If the clock was set back, it is further away than it can be.
        measure = not 0 < self._measure_at - now <= _MEASURE_EVERY
        if measure:
            self._measure_at = now + _MEASURE_EVERY
        for connection in self.connections:
            try:
                connection.sweep(now, measure)
            except Exception:
                # One connection that cannot be judged must not end the watch over the others.
                _log.failure("cannot judge a connection")
        self.connections.settle(now)

    def _no_room(self, why: str) -> None:
        self._shedding.shed(Reason.DESCRIPTORS, f"nobody can be accepted ({why})")
        self._shut()

    def _shut(self) -> None:
        if not self.gate.shut:
            self.gate.close()
            self._making_room.start(_MAKE_ROOM_EVERY, now=False)

    def _open(self) -> None:
        if self.gate.shut:
            self.gate.open()
            self._making_room.stop()

    def _make_room(self) -> None:
        """Accept again if there is room; else see that there will be, as far as nobody minds."""
        if self.connections.roomy and not self.gate.short():
            self._open()
            return
        now = self.reactor.seconds()
        for _ in range(len(self.connections) // 2):
            if not self.connections.make_room(now):
                return
