"""Tests of `osproxy.web.proxied`."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from twisted.internet import reactor as real_reactor  # noqa: TID251
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from osproxy.config.clients import peers
from osproxy.shedding import Shedding
from osproxy.web.channel import HEAD_TIMEOUT
from osproxy.web.connections import Connections
from osproxy.web.proxied import Proxies
from osproxy.web.tls import Renewable, certificate, wrap
from tests.web.cases import LARGE
from tests.web.certificates import certificate_files
from tests.web.clients import HEAD, Server, Wire, answer, site_of
from tests.web.doubles import Front, answer_of, notice, stored
from tests.web.reading import digest, request, responses
from tests.web.support import listen, logged
from tests.web.test_proxyheader import FOUR, v2

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IProtocol

PROXY = IPv4Address("TCP", "10.0.0.1", 4000)
GONE = Failure(ConnectionDone())
V1 = b"PROXY TCP4 192.0.2.1 192.0.2.9 4000 80\r\n"
V1_SIX = b"PROXY TCP6 2001:db8::1 2001:db8::9 4000 80\r\n"


class ProxiedCase(SynchronousTestCase):
    """A listener that one proxy has to tell its clients to."""

    def setUp(self) -> None:
        """Put it in front of a site."""
        self.server = Server(limit=2)
        shedding = Shedding(self.server.clock, self.server.metrics.refused)
        self.proxies = Proxies(peers("10.0.0.1,unix"), self.server.site, shedding)
        self.factory = self.proxies.wrap(self.server.site)

    def connect(self, address: IAddress = PROXY) -> tuple[IProtocol, Wire]:
        """Let somebody connect."""
        wire = Wire(peerAddress=address)
        protocol = self.factory.buildProtocol(address)
        assert protocol is not None
        protocol.makeConnection(wire)
        return protocol, wire

    def refused(self, reason: str = "proxy-header") -> float | None:
        """Tell how many connections were counted as refused."""
        registry = self.server.metrics.registry
        return registry.get_sample_value("osproxy_refused_total", {"reason": reason})

    def asked(self) -> list[str]:
        """Tell who has asked so far."""
        return [it.channel.peer for it in self.server.answers.asked]


class HeaderTests(ProxiedCase):
    """What comes from a proxy begins with a header."""

    def test_client(self) -> None:
        """The client is who the header names, in the one version and in the other."""
        for header, client in (
            (V1, "192.0.2.1"),
            (V1_SIX, "2001:db8::1"),
            (v2(FOUR), "192.0.2.1"),
            (b"PROXY UNKNOWN\r\n", "10.0.0.1"),
            (v2(command=0x20), "10.0.0.1"),
        ):
            protocol, wire = self.connect()
            protocol.dataReceived(header + HEAD)
            asked = self.server.answers.asked[-1]
            self.assertEqual((asked.channel.peer, asked.channel.origin), (client, client))
            answer(asked)
            self.assertTrue(wire.value().endswith(b"body"), header)
            protocol.connectionLost(GONE)

    def test_pieces(self) -> None:
        """Header and request may come in as many pieces as they like."""
        for header in (V1, v2(FOUR)):
            protocol, _ = self.connect()
            for octet in header + HEAD:
                protocol.dataReceived(bytes([octet]))
            self.assertEqual(self.asked(), ["192.0.2.1"])
            self.server.answers.asked.clear()

    def test_once(self) -> None:
        """A second header is no request."""
        protocol, _ = self.connect()
        protocol.dataReceived(V1 + V1 + HEAD)
        (asked,) = self.server.answers.asked
        assert asked.refusal is not None
        self.assertEqual(asked.refusal.status, 400)
        self.assertEqual(asked.channel.peer, "192.0.2.1")

    def test_unix(self) -> None:
        """Who comes by a Unix socket may be one as well."""
        protocol, _ = self.connect(UNIXAddress(None))
        protocol.dataReceived(V1 + HEAD)
        self.assertEqual(self.asked(), ["192.0.2.1"])

    def test_mapped(self) -> None:
        """So may who comes by IPv4 to an IPv6 socket."""
        protocol, _ = self.connect(IPv6Address("TCP", "::ffff:10.0.0.1", 1))
        protocol.dataReceived(V1 + HEAD)
        self.assertEqual(self.asked(), ["192.0.2.1"])

    def test_others(self) -> None:
        """From others a header is a bad request, and nothing is waited for."""
        protocol, _ = self.connect(IPv4Address("TCP", "10.0.0.2", 1))
        protocol.dataReceived(V1 + HEAD)
        (asked,) = self.server.answers.asked
        assert asked.refusal is not None
        self.assertEqual((asked.refusal.status, asked.channel.peer), (400, "10.0.0.2"))

    def test_places(self) -> None:
        """A place is taken when the client is known, and it is the client's."""
        for _ in range(5):
            self.connect()
        self.assertEqual(len(self.server.connections), 0)
        wires = []
        for header in (V1, V1, V1, V1_SIX):
            protocol, wire = self.connect()
            protocol.dataReceived(header + HEAD)
            wires.append(wire)
        self.assertEqual([wire.aborted for wire in wires], [False, False, True, False])

    def test_changed(self) -> None:
        """Who is a proxy can change between two connections."""
        protocol, _ = self.connect()
        self.proxies.named = ()
        protocol.dataReceived(V1 + HEAD)
        plain, _ = self.connect()
        plain.dataReceived(HEAD)
        self.assertEqual(self.asked(), ["192.0.2.1", "10.0.0.1"])

    def test_half_closed(self) -> None:
        """Whether a client may end its side first is up to who answers it."""
        protocol, _ = self.connect()
        self.assertFalse(IHalfCloseableProtocol.providedBy(protocol))
        protocol.dataReceived(V1)
        self.assertTrue(IHalfCloseableProtocol.providedBy(protocol))


class RefusedTests(ProxiedCase):
    """A connection without a right header is closed."""

    def test_wrong(self) -> None:
        """It is cut with the octet that tells, and nobody is asked anything."""
        for octets in (HEAD, b"G", b"PROXY TCP4 x\r\n", v2(FOUR[1:]), b"\x16\x03\x01"):
            protocol, wire = self.connect()
            protocol.dataReceived(octets)
            self.assertTrue(wire.aborted, octets)
            self.assertEqual(wire.value(), b"")
            protocol.dataReceived(V1 + HEAD)
            protocol.connectionLost(GONE)
        self.assertEqual((self.asked(), self.refused(), self.proxies.waiting), ([], 5, 0))
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """It has the time that the head of a request has, however it trickles in."""
        protocol, wire = self.connect()
        for octet in V1[: int(HEAD_TIMEOUT) - 1]:
            self.server.clock.advance(1)
            protocol.dataReceived(bytes([octet]))
        self.assertFalse(wire.aborted)
        self.server.clock.advance(1)
        self.assertTrue(wire.aborted)
        protocol.dataReceived(V1[int(HEAD_TIMEOUT) - 1 :] + HEAD)
        self.assertEqual(self.asked(), [])

    def test_in_time(self) -> None:
        """One that has come is waited for no more."""
        protocol, wire = self.connect()
        protocol.dataReceived(V1 + HEAD)
        self.server.clock.advance(HEAD_TIMEOUT)
        self.assertFalse(wire.aborted)

    def test_gone(self) -> None:
        """One that ends before is no connection of the site's, and leaves nothing behind."""
        protocol, _ = self.connect()
        protocol.dataReceived(V1[:9])
        protocol.connectionLost(GONE)
        self.assertEqual(self.server.clock.getDelayedCalls(), [])
        self.assertEqual(
            (self.refused(), self.proxies.waiting, len(self.server.connections)), (0, 0, 0)
        )

    def test_lost(self) -> None:
        """One that ends afterwards gives its place up."""
        protocol, _ = self.connect()
        protocol.dataReceived(V1)
        self.assertEqual(len(self.server.connections), 1)
        protocol.connectionLost(GONE)
        self.assertEqual(len(self.server.connections), 0)

    def test_said(self) -> None:
        """The log says which proxy it is, and what it has done."""
        events = logged(self)
        for octets in (b"GET", b""):
            protocol, _ = self.connect()
            protocol.dataReceived(octets)
            self.server.clock.advance(60)
        said = [event["subject"] for event in events if event.get("reason") == "proxy-header"]
        self.assertEqual(len(said), 2)
        self.assertRegex(said[0], r"^10\.0\.0\.1 has sent \w")
        self.assertEqual(said[1], "10.0.0.1 has sent none that is whole for 30 s")

    def test_too_many(self) -> None:
        """Only so many may wait for their header; one that has it, or is gone, makes room."""
        wires = [self.connect() for _ in range(64)]
        self.assertFalse(any(wire.aborted for _, wire in wires))
        self.assertTrue(self.connect()[1].aborted)
        self.assertEqual((self.refused(), self.proxies.waiting), (1, 64))
        wires[0][0].dataReceived(V1)
        wires[1][0].connectionLost(GONE)
        others = [self.connect()[1].aborted for _ in range(3)]
        self.assertEqual((others, self.refused()), ([False, False, True], 2))
        self.server.clock.advance(HEAD_TIMEOUT)
        self.assertEqual((self.refused(), self.proxies.waiting), (66, 0))

    def test_as_many_as_spare(self) -> None:
        """Where more connections may be told that there is no room, as many may wait."""
        self.server.connections.most = 1600
        wires = [self.connect()[1] for _ in range(101)]
        self.assertEqual([wire.aborted for wire in wires], [False] * 100 + [True])


class SocketsTests(TestCase):
    """Over real sockets, where the header comes before TLS, and clients end their side."""

    timeout = 60

    def setUp(self) -> None:
        """Have a front that believes headers of loopback."""
        self.clock = Clock()
        self.front = Front(self.clock, clients="192.0.2.1")
        self.front.cache.put("/a", notice)
        site = site_of(self.front.root, Connections(10, 100), real_reactor)
        self.proxies = Proxies(peers("127.0.0.1"), site, self.front.shedding)

    async def records(self) -> list[tuple[str, int]]:
        """Wait for what is logged of one request."""
        while not self.front.records:
            await deferLater(real_reactor, 0)
        return [(record.client, record.status) for record in self.front.records]

    async def test_name(self) -> None:
        """The log names us, and no class of ours, as who listens."""
        events = logged(self)
        listen(self, self.proxies.wrap(self.front.site))
        said = [str(event.get("log_text", event.get("log_format"))) for event in events]
        self.assertIn("osproxy starting on ", "\n".join(said))

    async def test_descriptors(self) -> None:
        """Where descriptors run out, nobody waits for a header, and no further one is accepted."""
        port = listen(self, self.proxies.wrap(self.front.site))
        self.proxies.site.gate.descriptors = 0

        def ask() -> bytes:
            try:
                with socket.create_connection(("127.0.0.1", port), 10) as client:
                    return client.recv(1)
            except ConnectionResetError:
                return b"reset"

        self.assertEqual(await deferToThread(ask), b"reset")
        value = self.front.metrics.registry.get_sample_value
        self.assertEqual(value("osproxy_refused_total", {"reason": "descriptors"}), 1)
        self.assertEqual(self.proxies.waiting, 0)

    async def test_half_closed(self) -> None:
        """A client that ends its side is still answered."""
        port = listen(self, self.proxies.wrap(self.front.site))

        def ask() -> bytes:
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                client.sendall(V1 + request("/a"))
                client.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: client.recv(65536), b""))

        (got,) = responses(await deferToThread(ask))
        self.assertEqual((got.status, got.body), (200, b"here\n"))
        self.assertEqual(await self.records(), [("192.0.2.1", 200)])

    async def test_large(self) -> None:
        """What the kernel copies from a file to the socket goes out whole."""
        port = listen(self, self.proxies.wrap(self.front.site))
        body = stored(self.mktemp(), LARGE)
        self.front.cache.put("/a", lambda: answer_of(body, len(LARGE)))

        def ask() -> bytes:
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                client.sendall(V1 + request("/a", "Connection: close"))
                return b"".join(iter(lambda: client.recv(65536), b""))

        (got,) = responses(await deferToThread(ask))
        self.assertEqual((got.status, digest(got.body)), (200, digest(LARGE)))
        self.assertEqual(await self.records(), [("192.0.2.1", 200)])

    async def test_tls(self) -> None:
        """Beneath TLS, too, the client is the one that the header names."""
        files = certificate_files(self.mktemp())
        secure = wrap(self.front.site, Renewable(certificate(files.pems)), real_reactor)
        port = listen(self, self.proxies.wrap(secure))
        context = ssl.create_default_context(cafile=str(files.authority))

        def ask(header: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", port), 10) as plain:
                plain.sendall(header)
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
                    client.sendall(request("/a", "Connection: close"))
                    return b"".join(iter(lambda: client.recv(65536), b""))

        for header in (V1, v2(FOUR)):
            self.front.records.clear()
            (got,) = responses(await deferToThread(ask, header))
            self.assertEqual((got.status, got.body), (200, b"here\n"))
            self.assertEqual(await self.records(), [("192.0.2.1", 200)])
