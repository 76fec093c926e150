"""Tests of `osproxy.web.site`."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.trial.unittest import SynchronousTestCase

from osproxy.web.channel import Channel
from tests.web.clients import HEAD, Server
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
        said = [event for event in events if "refused" in event]
        self.assertEqual([event["refused"] for event in said], [1, 4])

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
