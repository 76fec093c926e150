"""Tests of `osproxy.web.channel`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.lines import FIELD_LINE_AT_MOST
from osproxy.web.channel import Phase
from tests.web.clients import HEAD, Server, answer


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

    def test_silent_from_the_start(self) -> None:
        """A client that connects and says nothing is closed after 30 s."""
        _, wire = self.server.connect()
        self.server.pass_time(29)
        self.assertFalse(wire.disconnecting)
        self.server.pass_time(1)
        self.assertTrue(wire.disconnecting)

    def test_clock_set_back(self) -> None:
        """By a clock that is set back it has no more than that."""
        self.server.clock.rightNow = 5000.0
        channel, wire = self.server.connect()
        channel.dataReceived(b"GET /")
        for now in (1000, 1029):
            channel.sweep(now, False)
        self.assertFalse(wire.disconnecting)
        channel.sweep(1030, False)
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

    def test_not_sent_yet(self) -> None:
        """However long a turn of the reactor takes, what was written in it is sent."""
        channel, wire = self.server.connect()
        channel.loseConnection()
        self.server.clock.rightNow += 30
        channel.sweep(self.server.clock.seconds(), False)
        self.assertFalse(wire.aborted)
        channel.sweep(self.server.clock.seconds(), False)
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


class SizeTests(SynchronousTestCase):
    """How much a client may send."""

    def test_many_small_requests(self) -> None:
        """The limit is for one request, not for all of a connection."""
        server = Server()
        channel, wire = server.connect()
        for number in range(3000):
            channel.dataReceived(HEAD)
            answer(server.answers.asked[number])
        self.assertFalse(wire.disconnecting)

    def test_largest_head(self) -> None:
        """A head that is as large as it may be is read, and more so by Twisted than by us."""
        server = Server()
        channel, _ = server.connect()
        fields = [b"X:" + b"x" * (FIELD_LINE_AT_MOST - 2)] * 3
        fields += [b"Host:x"] + [b"Y:y"] * 96
        channel.dataReceived(b"\r\n".join((b"GET /a HTTP/1.1", *fields, b"", b"")))
        self.assertEqual(len(server.answers.asked[0].head.fields), 100)


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
