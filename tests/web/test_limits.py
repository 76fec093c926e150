"""Tests of `osproxy.web.limits`, by what clients are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.values import Rate
from osproxy.web.limits import WAITING, WAITING_OF_ONE
from tests.web.doubles import Front, answer_of, notice, stored
from tests.web.reading import request, responses

if TYPE_CHECKING:
    from osproxy.web.channel import Channel
    from tests.web.clients import Wire


class RatesTestCase(SynchronousTestCase):
    """
    Has a server with limits.

    :ivar rate: how often a client may ask.
    """

    rate = Rate(0.125, 2)

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.front = Front(self.clock)
        self.front.cache.put("/a", notice)
        self.front.root.limits.each = self.rate

    def begin(self, address: str = "192.0.2.1") -> tuple[Channel, Wire]:
        """Ask by a connection of its own."""
        channel, wire = self.front.connect(IPv4Address("TCP", address, 1))
        channel.dataReceived(request("/a"))
        return channel, wire

    def told(self, connections: list[tuple[Channel, Wire]]) -> list[int]:
        """Say what those who asked so were told, each once."""
        return [got.status for _, wire in connections for got in responses(wire.value())]

    def refused(self, reason: str = "client-requests") -> float | None:
        """Count what was refused."""
        value = self.front.metrics.registry.get_sample_value
        return value("osproxy_refused_total", {"reason": reason})


class RatesTests(RatesTestCase):
    """How often may be asked: twice at once, and then once in eight seconds."""

    def statuses(self, times: int, address: str = "192.0.2.1") -> list[int]:
        """Ask so many times."""
        peer = IPv4Address("TCP", address, 1)
        return [self.front.ask("/a", peer=peer).status for _ in range(times)]

    def test_too_often(self) -> None:
        """A request too many is told when to come again, and then is answered."""
        self.assertEqual(self.statuses(2), [200, 200])
        got = self.front.ask("/a")
        self.assertEqual((got.status, got["Retry-After"]), (503, "8"))
        self.clock.advance(2.5)
        self.assertEqual(self.front.ask("/a")["Retry-After"], "6")
        self.clock.advance(5.5)
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
        self.front.root.limits.each, self.front.root.limits.total = None, self.rate
        self.assertEqual([*self.statuses(1), *self.statuses(2, "192.0.2.2")], [200, 200, 503])
        self.assertEqual(self.refused("requests"), 1)

    def test_refused_for_others(self) -> None:
        """Who is refused because of others has not used up what is its own."""
        self.front.root.limits.total = Rate(0.125, 1)
        self.assertEqual(self.statuses(1, "192.0.2.2"), [200])
        self.assertEqual(self.statuses(3), [503] * 3)
        self.front.root.limits.total = None
        self.assertEqual(self.statuses(2), [200] * 2)

    def test_counted(self) -> None:
        """Refusals are counted by what they are for."""
        self.statuses(5)
        self.assertEqual(self.refused(), 3)


class AtOnceTests(RatesTestCase):
    """Requests that are answered at once, or left to those who may wait."""

    def taken(self, address: str = "192.0.2.1") -> bool:
        """Ask for one."""
        return self.front.root.limits.take_at_once(address)

    def test_each(self) -> None:
        """So many of a client's are counted; what may not pass yet is not, nor is it refused."""
        self.assertEqual([self.taken() for _ in range(4)], [True, True, False, False])
        self.assertTrue(self.taken("192.0.2.2"))
        self.clock.advance(8)
        self.assertEqual([self.taken() for _ in range(2)], [True, False])
        self.assertEqual(self.refused(), 0)

    def test_in_all(self) -> None:
        """So it is with all of them; who may not pass for the others' sake is not counted."""
        self.front.root.limits.total = Rate(1, 1)
        self.assertTrue(self.taken("192.0.2.2"))
        for _ in range(5):
            self.assertFalse(self.taken())
        self.front.root.limits.total = None
        self.assertEqual([self.taken() for _ in range(3)], [True, True, False])

    def test_given_back(self) -> None:
        """What was of no use does not count, whoever limits it."""
        self.front.root.limits.total = Rate(0.125, 2)
        for _ in range(5):
            self.assertTrue(self.taken())
            self.front.root.limits.give_back("192.0.2.1")
        self.assertEqual([self.taken() for _ in range(3)], [True, True, False])

    def test_networks(self) -> None:
        """Who counts as one client is counted as one."""
        addresses = ("2001:db8::1", "2001:db8::2", "2001:db8::3")
        self.assertEqual([self.taken(address) for address in addresses], [True, True, False])
        self.front.root.limits.give_back("2001:db8::4")
        self.assertTrue(self.taken("2001:db8::5"))

    def test_pace(self) -> None:
        """Where bodies have a pace nothing passes at once."""
        self.front.root.limits.each = None
        self.assertTrue(self.taken())
        for total, each in ((1, 0), (0, 1)):
            self.front.root.limits.bandwidth.limit(total, each)
            self.assertFalse(self.taken())


class PatienceTests(RatesTestCase):
    """Who asks a little too often waits a little: twice at once, and then twice a second."""

    rate = Rate(2, 2)

    def test_waits(self) -> None:
        """Each is answered in its turn, half a second after the one before."""
        asked = [self.begin() for _ in range(5)]
        self.assertEqual(self.told(asked), [200] * 2)
        for answered in (3, 4, 5):
            self.clock.advance(0.5)
            self.assertEqual(self.told(asked[:answered]), [200] * answered)
            self.assertEqual(self.told(asked[answered:]), [])
        self.assertEqual(self.refused(), 0)

    def test_in_all(self) -> None:
        """So is who would have to wait for others."""
        limits = self.front.root.limits
        limits.each, limits.total = None, self.rate
        asked = [self.begin(f"192.0.2.{number}") for number in range(4)]
        self.assertEqual(self.told(asked), [200] * 2)
        self.clock.advance(1)
        self.assertEqual(self.told(asked), [200] * 4)

    def test_too_long(self) -> None:
        """Who would have to wait for more than five seconds is refused at once."""
        asked = [self.begin() for _ in range(13)]
        self.assertEqual(self.told(asked), [200, 200, 503])
        self.clock.pump([0.5] * 10)
        self.assertEqual(sorted(self.told(asked)), [200] * 12 + [503])

    def test_too_many(self) -> None:
        """Of one client no more wait than it has reason to have; others may."""
        self.front.root.limits.each = Rate(100, 1)
        asked = [self.begin() for _ in range(WAITING_OF_ONE + 3)]
        self.assertEqual(self.told(asked), [200, 503, 503])
        others = [self.begin("192.0.2.2") for _ in range(2)]
        self.clock.advance(1)
        self.assertEqual(self.told(others), [200] * 2)
        self.assertEqual(self.told([self.begin() for _ in range(2)]), [200])

    def test_too_many_in_all(self) -> None:
        """However many clients there are, only so many wait."""
        limits = self.front.root.limits
        limits.each, limits.total = None, Rate(1_000, 1)
        self.front.connections.most = self.front.connections.limit = 2 * WAITING
        asked = [self.begin(f"10.0.{n // 8}.1") for n in range(WAITING + 3)]
        self.assertEqual(self.told(asked), [200, 503, 503])

    def test_gone(self) -> None:
        """A client that leaves while it waits leaves no timer, and its place to the next."""
        asked = [self.begin() for _ in range(4)]
        for channel, _ in asked[2:]:
            channel.connectionLost()
        self.assertEqual(len(self.front.cache.asked), 2)
        late = [self.begin()]
        self.clock.advance(0.5)
        self.assertEqual(self.told(late), [200])

    def test_shut_down(self) -> None:
        """Nor does one that is cut."""
        asked = [self.begin() for _ in range(4)]
        self.front.site.cut()
        for channel, _ in asked:
            channel.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])


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
