"""Tests of `osproxy.web.site`."""

from __future__ import annotations

import socket

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import ISystemHandle
from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from osproxy.web.channel import Channel
from tests.web.clients import HEAD, Server, Wire
from tests.web.doubles import FakePort
from tests.web.support import logged


class WatchTests(SynchronousTestCase):
    """One watch over all connections."""

    def setUp(self) -> None:
        """Make a server."""
        self.server = Server()

    def test_one_that_cannot_be_judged(self) -> None:
        """An error over one connection is logged and does not end the watch over others."""

        class Broken(Channel):
            """A channel that cannot be looked at."""

            def sweep(self, now: float, measure: bool) -> None:
                """Fail."""
                raise ValueError(now)

        self.server.site.protocol = Broken
        self.server.connect()
        self.server.site.protocol = Channel
        _, wire = self.server.connect()
        self.server.pass_time(30)
        self.assertTrue(wire.disconnecting)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 30)

    def test_no_timer_without_connections(self) -> None:
        """When the last connection has ended nothing is left to watch."""
        channel, _ = self.server.connect()
        channel.connectionLost()
        self.assertEqual(self.server.clock.getDelayedCalls(), [])


class PlacesTests(SynchronousTestCase):
    """Who may connect how often, and how connections are told apart."""

    def setUp(self) -> None:
        """Make a server for two connections an address."""
        self.server = Server(limit=2)

    def test_too_many(self) -> None:
        """The third connection of an address over a limit of two is closed at once."""
        wires = [self.server.connect()[1] for _ in range(3)]
        self.assertEqual([wire.aborted for wire in wires], [False, False, True])

    def test_place_is_given_up(self) -> None:
        """When one of them ends the address may connect again."""
        first, _ = self.server.connect()
        self.server.connect()
        first.connectionLost()
        _, wire = self.server.connect()
        self.assertFalse(wire.aborted)

    def test_refusals_are_logged_once_a_minute(self) -> None:
        """However many connections are refused, the log says so once a minute."""
        events = logged(self)
        for _ in range(2):
            for _ in range(5):
                self.server.connect()
            self.server.clock.advance(60)
        said = [event for event in events if "unsaid" in event]
        self.assertEqual([event["unsaid"] for event in said], [0, 2])

    def test_mapped_address(self) -> None:
        """An IPv4 client is the same whether it comes to an IPv4 or an IPv6 socket."""
        self.server.connect(IPv4Address("TCP", "192.0.2.1", 1))
        channel, _ = self.server.connect(IPv6Address("TCP", "::ffff:192.0.2.1", 2))
        _, refused = self.server.connect(IPv4Address("TCP", "192.0.2.1", 3))
        self.assertEqual(channel.peer, "192.0.2.1")
        self.assertTrue(refused.aborted)

    def test_numbers(self) -> None:
        """Connections are numbered in the order in which they came."""
        self.assertEqual([self.server.connect()[0].number for _ in range(2)], [1, 2])


class CrowdTests(SynchronousTestCase):
    """What becomes of those who come when there is no room."""

    def setUp(self) -> None:
        """Make a server for four connections, and a port that it listens on."""
        self.server = Server(limit=1_000, most=4)
        self.port = FakePort()
        self.server.site.gate.add(self.port)

    def fill(self) -> list[Channel]:
        """Let as many connect as are let in, with a response under way each."""
        channels = []
        for number in range(4 + self.server.connections.spare):
            channel, wire = self.server.connect(IPv4Address("TCP", f"10.0.0.{number}", 1))
            self.assertFalse(wire.aborted)
            channel.dataReceived(HEAD)
            channels.append(channel)
        return channels

    def test_shut(self) -> None:
        """Nobody is accepted while there is no room, and those who come all the same are cut."""
        self.fill()
        self.assertFalse(self.port.reading)
        self.assertTrue(self.server.connect()[1].aborted)

    def test_open_again(self) -> None:
        """Once enough have left, the listeners accept again, within a second."""
        events = logged(self)
        channels = self.fill()
        channels.pop().connectionLost()
        self.server.pass_time(1)
        self.assertFalse(self.port.reading)
        while not self.server.connections.roomy:
            channels.pop().connectionLost()
        self.server.pass_time(1)
        self.assertTrue(self.port.reading)
        self.assertEqual([e for e in events if "accepted again" in e["log_format"]][1:], [])

    def test_all_gone(self) -> None:
        """When all have left, the listeners accept again at once: nobody watches any more."""
        for channel in self.fill():
            channel.connectionLost()
        self.assertTrue(self.port.reading)
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_slow_heads_make_room(self) -> None:
        """Clients that send their heads slowly go, so that others are accepted."""
        slow = [
            self.server.connect(IPv4Address("TCP", f"10.0.0.{number}", 1))
            for number in range(4 + self.server.connections.spare)
        ]
        for channel, _ in slow:
            channel.dataReceived(b"GET / HT")
        self.assertFalse(self.port.reading)
        self.server.pass_time(1)
        closing = [channel for channel, wire in slow if wire.disconnecting]
        self.assertGreaterEqual(len(closing), self.server.connections.spare // 2)
        for channel in closing:
            channel.connectionLost()
        self.server.pass_time(1)
        self.assertTrue(self.port.reading)

    def test_descriptors(self) -> None:
        """Where descriptors run out nobody is accepted, until there are some again."""
        self.server.connect()
        beneath = socket.socket()
        self.addCleanup(beneath.close)
        self.server.site.gate.descriptors = 0
        wire = Wire(peerAddress=IPv4Address("TCP", "192.0.2.1", 1))
        directlyProvides(wire, ISystemHandle)
        wire.getHandle = lambda: beneath  # type: ignore[attr-defined]
        channel = self.server.site.buildProtocol(wire.getPeer())
        assert channel is not None
        channel.makeConnection(wire)
        self.assertTrue(wire.aborted)
        self.assertFalse(self.port.reading)
        self.server.pass_time(1)
        self.assertFalse(self.port.reading)
        self.server.site.gate.descriptors = 1 << 20
        self.server.pass_time(1)
        self.assertTrue(self.port.reading)

    def test_no_room(self) -> None:
        """Where the system accepts nobody, that is said once, and tried again now and then."""
        events = logged(self)
        for _ in range(3):
            self.server.site.gate.no_room("Too many open files in system")
            self.assertFalse(self.port.reading)
            self.server.pass_time(1)
            self.assertTrue(self.port.reading)
        (said,) = [formatEvent(event) for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(
            said,
            "file descriptors run out: nobody can be accepted (Too many open files in system)",
        )


class EndTests(SynchronousTestCase):
    """How all of them end."""

    def setUp(self) -> None:
        """Make a server."""
        self.server = Server()

    def test_newcomer(self) -> None:
        """A connection that comes after that is refused."""
        self.server.site.drain()
        _, wire = self.server.connect()
        self.assertTrue(wire.aborted)

    def test_when_idle(self) -> None:
        """One can wait until the last connection has ended."""
        channel, _ = self.server.connect()
        self.server.site.drain()
        idle = self.server.site.when_idle()
        self.assertNoResult(idle)
        channel.connectionLost()
        self.successResultOf(idle)

    def test_cut(self) -> None:
        """Connections that are left can be broken, and are counted."""
        channel, wire = self.server.connect()
        channel.dataReceived(HEAD)
        self.assertEqual(self.server.connections.busy, 1)
        self.assertEqual(self.server.site.cut(), 1)
        self.assertTrue(wire.aborted)


class ProtocolsTests(SynchronousTestCase):
    """What is offered to TLS clients."""

    def test_http_1_only(self) -> None:
        """HTTP/2 is not offered."""
        self.assertEqual(Server().site.acceptableProtocols(), [b"http/1.1"])
