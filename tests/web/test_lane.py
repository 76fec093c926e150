"""Tests of `osproxy.web.lane`: it answers as the resource does, where it answers at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.clients import networks, peers
from osproxy.config.values import Rate
from osproxy.model import Backend
from osproxy.web.access import Access
from osproxy.web.routing import Routes
from tests.cache.doubles import Bench
from tests.web.doubles import Front
from tests.web.reading import request, responses

if TYPE_CHECKING:
    from osproxy.web.record import Record

FILES = {
    "/a-1-1.noarch.rpm": b"package",
    "/a-1-1%2Bb.noarch.rpm": b"another",
    "/x/linux": b"kernel",
    "/x/empty.xml": b"",
    "/x/large.xml": bytes(70_000),
    "/dir/": b"listing",
    "/repodata/repomd.xml": b"<repomd/>",
    "/no%20rule": b"unknown",
}
BACKENDS = (Backend("/", "https://authority.example"), Backend("/sub", "https://sub.example"))
RPM = "/a-1-1.noarch.rpm"

_PATHS = st.sampled_from(
    (
        *FILES,
        *("//a-1-1.noarch.rpm", "/x/../a-1-1.noarch.rpm", "/a-1-1.noarch%2Erpm", "/../a"),
        *("/-/healthy", "/geoip", "/wp-admin/", "/missing.rpm", f"{RPM}?x", f"{RPM}.metalink"),
        *("/sub/a-1-1.noarch.rpm", "http://authority.example/a-1-1.noarch.rpm"),
    )
)
_FIELDS = st.lists(
    st.sampled_from(
        (
            *("User-Agent: dnf", "Accept: */*", "X-ZYpp-AnonymousId: 1", "Referer: http://x/"),
            *("Range: bytes=1-2", 'If-None-Match: "x"', "Cache-Control: no-cache"),
            *("Connection: close", "Connection: keep-alive", "Expect: x", "Via: 1.1 osproxy-1"),
            *("X-Forwarded-For: 192.0.2.7", "Content-Length: 0"),
        )
    ),
    max_size=3,
    unique=True,
)


class Files(dict[str, bytes | None]):
    """Those of an origin that has an answer to everything."""

    def __contains__(self, path: object) -> bool:
        """Have an answer."""
        return True

    def __missing__(self, path: str) -> None:
        """Say that there is no such file."""


class LaneCase(SynchronousTestCase):
    """A server with files that are stored and open."""

    def setUp(self) -> None:
        """Have them."""
        self.bench = Bench(Path(self.mktemp()), stay_open=100)
        self.addCleanup(self.bench.stop)
        self.clock = self.bench.place.clock
        self.bench.origin.files = Files(FILES)
        self.front = Front(self.clock, backends=BACKENDS, cache=self.bench.cache)
        self.lane = self.front.site.lane
        assert self.lane is not None
        for _ in range(2):
            for path in self.bench.origin.files:
                self.front.ask(path)
        self.front.records.clear()
        self.clock.advance(5.5)
        self.began = self.clock.seconds()

    def ask(
        self, octets: bytes, *, lane: bool = True, peer: str = "192.0.2.1"
    ) -> tuple[bytes, list[Record], bool]:
        """Send octets by a connection of their own: what comes, what is logged, is it closed."""
        self.front.site.lane = self.lane if lane else None
        self.front.records.clear()
        channel, wire = self.front.connect(IPv4Address("TCP", peer, 4000))
        channel.dataReceived(octets)
        closed = wire.disconnecting
        channel.connectionLost(Failure(ConnectionDone()))
        return wire.value(), [*self.front.records], closed

    def answered(self, octets: bytes | None = None, peer: str = "192.0.2.1") -> bool:
        """Whether the lane answers a request by itself."""
        channel, _ = self.front.connect(IPv4Address("TCP", peer, 4000))
        assert self.lane is not None
        asked = request(RPM) if octets is None else octets
        done = self.lane.answer(asked, channel, self.clock.seconds())
        channel.connectionLost(Failure(ConnectionDone()))
        return done


class SameTests(LaneCase):
    """Nobody can tell which way a request has gone."""

    def test_to_the_octet(self) -> None:
        """Octets, log and metrics are the same."""
        for path in (RPM, "/a-1-1%2Bb.noarch.rpm", "/x/linux", "/x/empty.xml", "/dir/"):
            with self.subTest(path=path):
                asked = request(path, "User-Agent: dnf", "Referer: http://x/")
                self.assertTrue(self.answered(asked))
                one, other = (self.ask(asked, lane=lane) for lane in (True, False))
                self.assertEqual(one, other)
                (got,) = responses(one[0])
                self.assertEqual((got.status, got.body), (200, FILES[path]))
                self.assertEqual(got["Age"], "5")

    @settings(max_examples=200)
    @given(_PATHS, _FIELDS, st.sampled_from(("GET", "HEAD", "POST")), st.integers(0, 1000))
    def test_whatever_is_asked(
        self, path: str, fields: list[str], method: str, seconds: int
    ) -> None:
        """So it is for whatever is asked, whenever; of what is left to others there is no trace."""
        self.clock.rightNow = self.began + seconds
        self.front.records.clear()
        asked = request(path, *fields, method=method)
        if not self.answered(asked):
            self.assertEqual(self.front.records, [])
            return
        self.assertEqual(self.ask(asked), self.ask(asked, lane=False))

    def test_counted(self) -> None:
        """Each is counted once."""
        before = self.front.count("hit", "package")
        self.assertTrue(self.answered())
        self.assertEqual(self.front.count("hit", "package"), (before[0] + 1, before[1] + 7))

    def test_one_after_the_other(self) -> None:
        """A connection may have plain requests and others in turn, at once and in pieces."""
        plain, other = request(RPM), request(RPM, "Range: bytes=1-2")
        whole, _, _ = self.ask(plain + other + plain + plain, lane=False)
        for pieces in (
            [plain, other, plain, plain],
            [plain + other, plain + plain],
            [plain[:9], plain[9:] + other[:3], other[3:], plain, plain],
            [b"\r\n", plain, other, plain, plain],
        ):
            self.front.site.lane = self.lane
            channel, wire = self.front.connect()
            for piece in pieces:
                channel.dataReceived(piece)
            self.assertEqual(wire.value(), whole)
            channel.connectionLost(Failure(ConnectionDone()))


class EmptyLinesTests(LaneCase):
    """Empty lines between requests."""

    def test_before_each(self) -> None:
        """Some may come before each request, however many requests there are."""
        channel, wire = self.front.connect()
        for _ in range(10):
            for piece in (b"\r\n", b"\r\n", request(RPM)):
                channel.dataReceived(piece)
        self.assertEqual([got.status for got in responses(wire.value())], [200] * 10)
        channel.connectionLost(Failure(ConnectionDone()))


class ConnectionTests(LaneCase):
    """What becomes of a connection that is answered so."""

    def test_idle(self) -> None:
        """It is idle from then on: it has as long as it has between any two requests."""
        channel, wire = self.front.connect()
        channel.dataReceived(request(RPM))
        self.clock.pump([1] * 59)
        channel.dataReceived(request(RPM))
        self.clock.pump([1] * 59)
        self.assertFalse(wire.disconnecting)
        self.clock.pump([1] * 2)
        self.assertTrue(wire.disconnecting)
        self.assertEqual(len(responses(wire.value())), 2)

    def test_full(self) -> None:
        """A client that does not take what there is for it is answered when it does."""
        channel, wire = self.front.connect()
        channel.pauseProducing()
        channel.dataReceived(request(RPM))
        self.assertEqual(wire.value(), b"")
        channel.resumeProducing()
        (got,) = responses(wire.value())
        self.assertEqual(got.status, 200)
        channel.connectionLost(Failure(ConnectionDone()))


class LeftToOthersTests(LaneCase):
    """What is not answered here."""

    def test_not_at_hand(self) -> None:
        """What is large, an index, unknown, stale or not there is left to others."""
        self.assertTrue(self.answered())
        for path in ("/x/large.xml", "/repodata/repomd.xml", "/no%20rule", "/b.rpm", "/-/healthy"):
            self.assertFalse(self.answered(request(path)), path)
        self.clock.advance(900)
        self.assertFalse(self.answered())

    def test_own(self) -> None:
        """What lies at an origin where our own pages are is had by its whole URL only."""
        path = "/-/a-1-1.noarch.rpm"
        self.bench.origin.files[path] = b"file"
        backend = evolve(BACKENDS[0], hosts=("authority.example",))
        self.front.root.routes = Routes((backend,))
        for _ in range(2):
            got = self.front.ask(f"http://authority.example{path}")
            self.assertEqual((got.status, got.body), (200, b"file"))
        self.assertFalse(self.answered(request(path)))

    def test_challenge(self) -> None:
        """What an authority may ask for is left to others while there are answers to it."""
        path = "/.well-known/acme-challenge/x"
        self.bench.origin.files[f"{path}.rpm"] = b"file"
        for _ in range(2):
            self.front.ask(f"{path}.rpm")
        self.assertTrue(self.answered(request(f"{path}.rpm")))
        self.front.challenges.directory = Path(self.mktemp())
        self.assertFalse(self.answered(request(f"{path}.rpm")))

    def test_pace(self) -> None:
        """Where bodies have a pace, all is left to those who keep it."""
        for total, each in ((1000, 0), (0, 1000)):
            self.front.root.limits.bandwidth.limit(total, each)
            self.assertFalse(self.answered())
        self.front.root.limits.bandwidth.limit(0, 0)
        self.assertTrue(self.answered())

    def test_rates(self) -> None:
        """Where requests are counted, each is once, and those that are too many are left."""
        self.front.root.limits.each = Rate(0.001, 3)
        for _ in range(5):
            self.assertFalse(self.answered(request("/missing.rpm")))
        self.assertEqual([self.answered() for _ in range(4)], [True, True, True, False])
        (got,) = responses(self.ask(request(RPM))[0])
        self.assertEqual(got.status, 503)

    def test_no_place(self) -> None:
        """A connection that has no place is told so by others."""
        self.front.connections.most = 0
        self.assertFalse(self.answered())

    def test_draining(self) -> None:
        """When it is about to end, others say so."""
        channel, wire = self.front.connect()
        self.front.site.draining = True
        channel.dataReceived(request(RPM))
        (got,) = responses(wire.value())
        self.assertEqual(got["Connection"], "close")


class SettingsTests(LaneCase):
    """Settings that change."""

    def test_access(self) -> None:
        """Who may not ask is told so by others, from the moment on in which that changes."""
        self.assertTrue(self.answered())
        self.front.root.access = Access(networks("192.0.2.0/24"), networks("192.0.2.1"))
        self.assertFalse(self.answered())
        self.assertTrue(self.answered(peer="192.0.2.2"))
        self.assertFalse(self.answered(peer="198.51.100.1"))
        self.front.root.access = Access(networks("all"))
        self.assertTrue(self.answered())

    def test_access_to_a_backend(self) -> None:
        """A backend may have a list of its own."""
        (first, second) = BACKENDS
        self.front.root.routes = Routes((evolve(first, clients=networks("192.0.2.2")), second))
        self.assertFalse(self.answered())
        self.assertTrue(self.answered(peer="192.0.2.2"))

    def test_backends(self) -> None:
        """Where files are looked for changes with the backends."""
        self.assertTrue(self.answered())
        self.front.root.routes = Routes((evolve(BACKENDS[0], generic=True),))
        self.assertFalse(self.answered())
        self.front.root.routes = Routes(())
        self.assertFalse(self.answered())

    def test_trusted_proxy(self) -> None:
        """Whom a trusted proxy names is asked for by others; what it asks for itself is not."""
        self.front.root.access = Access(networks("192.0.2.7"), trusted_proxies=peers("192.0.2.1"))
        named = request(RPM, "X-Forwarded-For: 192.0.2.7")
        self.assertFalse(self.answered(named))
        self.assertFalse(self.answered())
        (got,) = responses(self.ask(named)[0])
        self.assertEqual(got.status, 200)
