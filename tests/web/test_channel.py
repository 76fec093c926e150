"""Tests of `osproxy.web.channel`."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.trial.unittest import SynchronousTestCase

from osproxy.web.channel import Channel, Phase
from tests.web.clients import HEAD, Server, answer
from tests.web.support import logged


class PatienceTests(SynchronousTestCase):
    """How long a client may take for its part."""

    def setUp(self) -> None:
        """Make a server."""
        self.server = Server()

    def test_slow_head(self) -> None:
        """A head that is not whole after 30 s ends the connection, though octets keep coming."""
        channel, wire = self.server.connect()
        for octet in b"GET /a HTTP/1.1\r\nX: " + b"x" * 9:
            channel.dataReceived(bytes([octet]))
            self.assertFalse(wire.disconnecting)
            self.server.pass_time(1)
        channel.dataReceived(b"x")
        self.server.pass_time(1)
        self.assertTrue(wire.disconnecting)

    def test_slow_body(self) -> None:
        """The body of a request has to come within the same 30 s."""
        channel, wire = self.server.connect()
        channel.dataReceived(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n")
        for _ in range(30):
            channel.dataReceived(b"x")
            self.server.pass_time(1)
        self.assertTrue(wire.disconnecting)

    def test_silent_from_the_start(self) -> None:
        """A client that connects and says nothing is closed after 30 s."""
        _, wire = self.server.connect()
        self.server.pass_time(29)
        self.assertFalse(wire.disconnecting)
        self.server.pass_time(1)
        self.assertTrue(wire.disconnecting)

    def test_idle(self) -> None:
        """A connection that is kept alive is closed 60 s after its last response."""
        channel, wire = self.server.connect()
        self.server.pass_time(20)
        channel.dataReceived(HEAD)
        answer(self.server.answers.asked[0])
        self.server.pass_time(59)
        self.assertFalse(wire.disconnecting)
        self.server.pass_time(1)
        self.assertTrue(wire.disconnecting)

    def test_head_after_idling(self) -> None:
        """The 30 s of a later head begin with its first octet, not with the last response."""
        channel, wire = self.server.connect()
        channel.dataReceived(HEAD)
        answer(self.server.answers.asked[0])
        self.server.pass_time(55)
        channel.dataReceived(HEAD[:5])
        self.server.pass_time(29)
        self.assertFalse(wire.disconnecting)
        self.server.pass_time(1)
        self.assertTrue(wire.disconnecting)

    def test_response_under_way(self) -> None:
        """While a response is under way no time limit of requests applies."""
        channel, wire = self.server.connect()
        channel.dataReceived(HEAD)
        self.server.pass_time(300)
        self.assertFalse(wire.disconnecting)
        answer(self.server.answers.asked[0])
        self.assertTrue(wire.value().endswith(b"body"))

    def test_pipelined_half(self) -> None:
        """Half a request behind a whole one has 30 s from when its turn comes."""
        channel, wire = self.server.connect()
        channel.dataReceived(HEAD + HEAD[:20])
        self.server.pass_time(40)
        answer(self.server.answers.asked[0])
        self.assertIs(channel.phase, Phase.RECEIVING)
        self.server.pass_time(30)
        self.assertTrue(wire.disconnecting)

    def test_half_behind_one_answered_at_once(self) -> None:
        """That holds as well when the whole one is answered without waiting."""
        self.server.answers.when_asked().addCallback(answer)
        channel, wire = self.server.connect()
        channel.dataReceived(HEAD + HEAD[:20])
        self.assertIs(channel.phase, Phase.RECEIVING)
        self.server.pass_time(30)
        self.assertTrue(wire.disconnecting)

    def test_pipelined(self) -> None:
        """Requests sent at once are answered one after the other."""
        channel, wire = self.server.connect()
        channel.dataReceived(HEAD + HEAD)
        self.assertEqual(len(self.server.answers.asked), 1)
        answer(self.server.answers.asked[0])
        answer(self.server.answers.asked[1])
        self.assertEqual(wire.value().count(b"200 OK"), 2)
        self.assertIs(channel.phase, Phase.IDLE)

    def test_broken_after_closing(self) -> None:
        """A connection that its client does not end within 2 s of ours is broken."""
        channel, wire = self.server.connect()
        channel.loseConnection()
        self.server.pass_time(1)
        self.assertFalse(wire.aborted)
        self.server.pass_time(1)
        self.assertTrue(wire.aborted)

    def test_finished_after_closing(self) -> None:
        """A response that ends after its connection was closed does not open it again."""
        channel, _ = self.server.connect()
        channel.dataReceived(HEAD)
        channel.loseConnection()
        answer(self.server.answers.asked[0])
        self.assertIs(channel.phase, Phase.CLOSING)

    def test_nothing_taken_after_closing(self) -> None:
        """What a client sends after we have closed is not listened to."""
        channel, _ = self.server.connect()
        channel.loseConnection()
        channel.dataReceived(HEAD)
        self.assertEqual(self.server.answers.asked, [])

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


class SizeTests(SynchronousTestCase):
    """How much a client may send."""

    def test_endless_body(self) -> None:
        """A request with a body of more than 64 KiB is refused while it comes."""
        for method, refusal in (
            (b"POST", b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n"),
            (b"GET", b"HTTP/1.1 413 "),
        ):
            channel, wire = Server().connect()
            channel.dataReceived(
                method + b" /a HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
            )
            for _ in range(5):
                channel.dataReceived(b"x" * 16384)
            self.assertTrue(wire.value().startswith(refusal), wire.value())
            self.assertTrue(wire.disconnecting)

    def test_many_small_requests(self) -> None:
        """The limit is for one request, not for all of a connection."""
        server = Server()
        channel, wire = server.connect()
        for number in range(3000):
            channel.dataReceived(HEAD)
            answer(server.answers.asked[number])
        self.assertFalse(wire.disconnecting)

    def test_long_head(self) -> None:
        """A head of more than 16 KiB ends the connection."""
        channel, wire = Server().connect()
        channel.dataReceived(b"GET /a HTTP/1.1\r\n" + b"X: y\r\n" * 4000)
        self.assertTrue(wire.disconnecting)


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


class DrainTests(SynchronousTestCase):
    """How connections end when the server stops."""

    def setUp(self) -> None:
        """Make a server."""
        self.server = Server()

    def test_idle(self) -> None:
        """An idle connection is closed."""
        _, wire = self.server.connect()
        self.server.site.drain()
        self.assertTrue(wire.disconnecting)

    def test_under_way(self) -> None:
        """A response under way is finished, says that it is the last, and ends its connection."""
        channel, wire = self.server.connect()
        channel.dataReceived(HEAD)
        self.server.site.drain()
        self.assertFalse(wire.disconnecting)
        answer(self.server.answers.asked[0])
        self.assertIn(b"Connection: close\r\n", wire.value())
        self.assertTrue(wire.value().endswith(b"body"))
        self.assertTrue(wire.disconnecting)

    def test_request_half_sent(self) -> None:
        """A request that has begun to come is answered, as the last one."""
        channel, wire = self.server.connect()
        channel.dataReceived(HEAD[:9])
        self.server.site.drain()
        channel.dataReceived(HEAD[9:])
        answer(self.server.answers.asked[0])
        self.assertIn(b"Connection: close\r\n", wire.value())
        self.assertTrue(wire.disconnecting)

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
