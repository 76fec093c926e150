"""Tests of `osproxy.web.limits`, by what clients are told."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.values import Rate
from tests.web.doubles import Front, answer_of, notice, stored
from tests.web.reading import request, responses


class RatesTests(SynchronousTestCase):
    """How often may be asked."""

    def setUp(self) -> None:
        """Let a client ask twice at once, and then once in four seconds."""
        self.clock = Clock()
        self.front = Front(self.clock)
        self.front.cache.put("/a", notice)
        self.front.root.limits.each = Rate(0.25, 2)

    def statuses(self, times: int, address: str = "192.0.2.1") -> list[int]:
        """Ask so many times."""
        peer = IPv4Address("TCP", address, 1)
        return [self.front.ask("/a", peer=peer).status for _ in range(times)]

    def test_too_often(self) -> None:
        """A request too many is told when to come again, and then is answered."""
        self.assertEqual(self.statuses(2), [200, 200])
        got = self.front.ask("/a")
        self.assertEqual((got.status, got["Retry-After"]), (503, "4"))
        self.clock.advance(1.5)
        self.assertEqual(self.front.ask("/a")["Retry-After"], "3")
        self.clock.advance(2.5)
        self.assertEqual(self.statuses(2), [200, 503])
        self.assertEqual(len(self.front.cache.asked), 3)

    def test_same_connection(self) -> None:
        """A request that is refused does not end its connection."""
        channel, wire = self.front.connect()
        for _ in range(3):
            channel.dataReceived(request("/a"))
        self.assertEqual([got.status for got in responses(wire.value())], [200, 200, 503])
        self.assertFalse(wire.disconnecting)

    def test_others(self) -> None:
        """One client's requests are not another's; those of one IPv6 network are one's."""
        self.statuses(3)
        self.assertEqual(self.statuses(1, "192.0.2.2"), [200])
        ways = [IPv6Address("TCP", f"2001:db8::{number}", 1) for number in (1, 2, 3)]
        self.assertEqual([self.front.ask("/a", peer=it).status for it in ways], [200, 200, 503])

    def test_own_pages(self) -> None:
        """Who looks after the server is always answered."""
        self.statuses(3)
        for _ in range(5):
            self.assertEqual(self.front.ask("/-/healthy").status, 200)
            self.assertEqual(self.front.ask("/-/ready").status, 200)

    def test_in_all(self) -> None:
        """There is a limit for all of them together, too."""
        self.front.root.limits.each, self.front.root.limits.total = None, Rate(1, 3)
        self.assertEqual([*self.statuses(2), *self.statuses(2, "192.0.2.2")], [200, 200, 200, 503])

    def test_counted(self) -> None:
        """Refusals are counted by what they are for."""
        self.statuses(5)
        value = self.front.metrics.registry.get_sample_value
        self.assertEqual(value("osproxy_refused_total", {"reason": "client-requests"}), 3)


class CrowdTests(SynchronousTestCase):
    """Connections for which there is no room."""

    def setUp(self) -> None:
        """Serve two connections, which have responses under way."""
        self.clock = Clock()
        self.front = Front(self.clock)
        self.front.connections.most = 2
        self.busy = []
        for number in range(2):
            channel, _ = self.front.connect(IPv4Address("TCP", f"10.0.0.{number}", 1))
            channel.dataReceived(request("/slow"))
            self.busy.append(channel)

    def test_told(self) -> None:
        """A third is told so, and closed, and the other two are not."""
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a"))
        (got,) = responses(wire.value())
        self.assertEqual((got.status, got["Retry-After"]), (503, "5"))
        self.assertEqual(got["Connection"], "close")
        self.assertTrue(wire.disconnecting)
        self.assertEqual(len(self.front.cache.asked), 2)

    def test_takes_its_time(self) -> None:
        """It must not take its time to read so: after 2 s it is cut."""
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a"))
        self.clock.pump([1] * 2)
        self.assertTrue(wire.aborted)

    def test_own_pages(self) -> None:
        """It may ask after the server's health."""
        self.assertEqual(self.front.ask("/-/healthy").status, 200)

    def test_room(self) -> None:
        """Once one of them has left it is served."""
        self.front.cache.put("/a", notice)
        channel, wire = self.front.connect()
        self.busy[0].connectionLost()
        channel.dataReceived(request("/a"))
        self.assertEqual([got.status for got in responses(wire.value())], [200])


class BandwidthTests(SynchronousTestCase):
    """How fast bodies go out."""

    def setUp(self) -> None:
        """Send 10,000 octets a second to each client."""
        self.clock = Clock()
        self.front = Front(self.clock)
        self.front.root.limits.bandwidth.limit(0, 10_000)

    def test_file(self) -> None:
        """A file takes its time, comes whole, and leaves no timer."""
        content = bytes(range(250)) * 200
        body = stored(self.mktemp(), content)
        self.front.cache.put("/a", lambda: answer_of(body, len(content)))
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a"))
        sizes = []
        for _ in range(40):
            sizes.append(len(bytes(wire.value()).partition(b"\r\n\r\n")[2]))
            self.clock.pump([0.01] * 10)
        self.assertLessEqual(sizes[0], 16_384)
        for second in (1, 2, 3):
            self.assertLessEqual(sizes[10 * second], 16_384 + 10_000 * second)
            self.assertGreater(sizes[10 * second], 10_000 * second)
        (got,) = responses(wire.value())
        self.assertEqual((got.body, body.closed), (content, 1))
        channel.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_memory(self) -> None:
        """What is in memory waits as well."""
        self.front.cache.put("/a", lambda: answer_of(b"x" * 15_000, 15_000))
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a") + request("/a"))
        self.assertEqual(len(responses(wire.value())), 1)
        self.clock.pump([0.1] * 20)
        self.assertEqual(len(responses(wire.value())), 2)

    def test_gone(self) -> None:
        """A client that leaves while it waits leaves nothing behind."""
        body = stored(self.mktemp(), bytes(50_000))
        self.front.cache.put("/a", lambda: answer_of(body, 50_000))
        channel, _ = self.front.connect()
        channel.dataReceived(request("/a"))
        channel.connectionLost()
        self.assertEqual(body.closed, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
