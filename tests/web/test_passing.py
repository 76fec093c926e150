"""Tests of `osproxy.web.passing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Relayed
from tests.web.doubles import File, Front, Passing, answer_of, relay_of
from tests.web.reading import request, responses

if TYPE_CHECKING:
    from osproxy.web.channel import Channel
    from tests.web.clients import Wire


class PassOnTests(SynchronousTestCase):
    """Tests of `pass_on`: bodies that are not kept."""

    def setUp(self) -> None:
        """Have a client ask for what is not kept."""
        self.front = Front(Clock())
        self.body = Passing(10)
        self.front.cache.put("/a", lambda: relay_of(Relayed(200, (), self.body)))
        self.channel, self.wire = self.connect()

    def connect(self) -> tuple[Channel, Wire]:
        """Let a client ask."""
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a"))
        return channel, wire

    def test_back_pressure(self) -> None:
        """When the client does not read, the source is asked to wait, and then to go on."""
        self.body.send(b"abc")
        self.channel.pauseProducing()
        self.channel.pauseProducing()
        self.assertTrue(self.body.paused)
        self.channel.resumeProducing()
        self.assertFalse(self.body.paused)

    def test_nothing_held(self) -> None:
        """What comes is handed to the client at once."""
        self.body.send(b"abc")
        self.assertTrue(self.wire.value().endswith(b"abc"))

    def test_whole(self) -> None:
        """After the last octet the source is given up, and the connection serves the next."""
        self.body.send(b"0123456789")
        self.body.over.callback(None)
        self.channel.dataReceived(request("/-/healthy"))
        first, second = responses(self.wire.value())
        self.assertEqual((first.body, second.body), (b"0123456789", b"ok\n"))
        self.assertEqual(self.body.closed, 1)

    def test_gone(self) -> None:
        """A transport that is lost gives the source up once, with the request."""
        self.channel.stopProducing()
        self.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.body.closed, 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_of_another(self) -> None:
        """A client that leaves ends its own passage and nobody else's."""
        other = Passing(10)
        self.front.cache.put("/a", lambda: relay_of(Relayed(200, (), other)))
        _, wire = self.connect()
        self.channel.connectionLost(Failure(ConnectionLost()))
        other.send(b"0123456789")
        other.over.callback(None)
        self.assertEqual([got.whole for got in responses(wire.value())], [True])
        self.assertEqual((self.body.closed, other.closed), (1, 1))

    def test_file_of_the_same(self) -> None:
        """A reader of a file leaves the other readers of it alone."""
        body = File(self.mktemp(), 10, readers=2)
        self.front.cache.put("/b", lambda: answer_of(body, 10))
        channels = [self.front.connect() for _ in range(2)]
        for channel, _ in channels:
            channel.dataReceived(request("/b"))
        body.write(b"01234")
        channels[0][0].connectionLost(Failure(ConnectionLost()))
        body.write(b"56789")
        (got,) = responses(channels[1][1].value())
        self.assertEqual((got.body, got.whole), (b"0123456789", True))


class PacedTests(SynchronousTestCase):
    """Bodies that are not kept, where the bandwidth is limited."""

    def setUp(self) -> None:
        """Have a client ask that may have 1,000 octets a second, and 16 KiB of them at once."""
        self.clock = Clock()
        self.front = Front(self.clock)
        self.front.root.limits.bandwidth.limit(1_000, 0)
        self.body = Passing(20_000)
        self.front.cache.put("/a", lambda: relay_of(Relayed(200, (), self.body)))
        self.channel, self.wire = self.front.connect()
        self.channel.dataReceived(request("/a"))

    def got(self) -> int:
        """Count the octets of the body that the client has."""
        return len(bytes(self.wire.value()).partition(b"\r\n\r\n")[2])

    def test_within_the_burst(self) -> None:
        """What may be sent is sent at once, and the source is not held up."""
        self.body.send(b"x" * 16_000)
        self.assertEqual((self.got(), self.body.paused), (16_000, False))

    def test_held(self) -> None:
        """What is too much waits, and so does the source, until it may be sent."""
        self.body.send(b"x" * 16_000)
        self.body.send(b"x" * 2_000)
        self.body.send(b"x" * 500)
        self.assertEqual((self.got(), self.body.paused), (16_000, True))
        self.clock.pump([0.1] * 18)
        self.assertEqual((self.got(), self.body.paused), (18_000, True))
        self.clock.pump([0.1] * 6)
        self.assertEqual((self.got(), self.body.paused), (18_500, False))

    def test_end_waits(self) -> None:
        """The response ends when the last octet was sent, not when it came."""
        self.body.send(b"x" * 20_000)
        self.body.over.callback(None)
        self.assertTrue(self.channel.busy)
        self.clock.pump([0.1] * 40)
        self.assertEqual(self.got(), 20_000)
        self.assertFalse(self.channel.busy)
        self.assertEqual(self.body.closed, 1)

    def test_full_and_held(self) -> None:
        """The source waits for the client as well as for the pace."""
        self.body.send(b"x" * 17_000)
        self.channel.pauseProducing()
        self.clock.pump([0.1] * 20)
        self.assertEqual((self.got(), self.body.paused), (17_000, True))
        self.channel.resumeProducing()
        self.assertFalse(self.body.paused)

    def test_gone(self) -> None:
        """With the client goes what was held for it, and the timer."""
        self.body.send(b"x" * 20_000)
        self.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.body.closed, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])
