"""Tests of `osproxy.web.tls`."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from attrs import evolve, frozen
from twisted.internet import reactor  # noqa: TID251
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from osproxy.config.certificates import Pems
from osproxy.web.connections import Connections
from osproxy.web.tls import Renewable, Unusable, certificate, wrap
from tests.web.certificates import certificate_files
from tests.web.clients import site_of
from tests.web.support import listen

if TYPE_CHECKING:
    from twisted.web.http import Request


class Files(Resource):
    """Has ``/small``, and ``/large``, which has an end that nobody waits for."""

    isLeaf = True

    def render(self, request: Request) -> bytes | int:
        """Answer."""
        if request.uri == b"/small":
            return b"small"
        request.write(b"x" * 16_000_000)
        return NOT_DONE_YET


@frozen
class Heard:
    """What a client was told."""

    version: str | None
    cipher: str
    protocol: str | None
    resumed: bool
    response: bytes
    session: ssl.SSLSession | None


class TlsTests(TestCase):
    """A TLS listener, and clients that are not Twisted's."""

    timeout = 60

    def setUp(self) -> None:
        """Listen with a certificate of an authority of the test's."""
        self.files = certificate_files(self.mktemp())
        self.clock = Clock()
        self.connections = Connections(2, 9)
        self.site = site_of(Files(), self.connections, self.clock)
        self.renewable = Renewable(certificate(self.files.pems))
        factory = wrap(self.site, self.renewable, reactor)
        self.address = ("127.0.0.1", listen(self, factory))

    def client(self, version: ssl.TLSVersion) -> ssl.SSLContext:
        """Make a client that trusts the authority and speaks one version of TLS."""
        context = ssl.create_default_context(cafile=str(self.files.authority))
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.minimum_version = context.maximum_version = version
        return context

    def get(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Heard:
        """Get the small file; to be called in a thread."""
        with (
            socket.create_connection(self.address, 10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as wrapped,
        ):
            wrapped.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            response = b""
            while received := wrapped.recv(65536):
                response += received
            cipher = wrapped.cipher()
            assert cipher is not None
            return Heard(
                wrapped.version(),
                cipher[0],
                wrapped.selected_alpn_protocol(),
                bool(wrapped.session_reused),
                response,
                wrapped.session,
            )

    async def test_tls_1_2(self) -> None:
        """TLS 1.2 is served, with forward secrecy and authenticated encryption."""
        heard = await deferToThread(self.get, self.client(ssl.TLSVersion.TLSv1_2))
        self.assertEqual(heard.version, "TLSv1.2")
        self.assertTrue(heard.cipher.startswith("ECDHE-"), heard.cipher)
        self.assertTrue(heard.response.endswith(b"small"))

    async def test_tls_1_3(self) -> None:
        """TLS 1.3 is served."""
        heard = await deferToThread(self.get, self.client(ssl.TLSVersion.TLSv1_3))
        self.assertEqual(heard.version, "TLSv1.3")
        self.assertTrue(heard.response.endswith(b"small"))

    async def test_http_1_1(self) -> None:
        """A client that offers HTTP/2 too is told to speak HTTP/1.1."""
        heard = await deferToThread(self.get, self.client(ssl.TLSVersion.TLSv1_3))
        self.assertEqual(heard.protocol, "http/1.1")

    async def test_tls_1_1(self) -> None:
        """TLS 1.1 is refused by the server, even if the client would accept it."""
        context = self.client(ssl.TLSVersion.TLSv1_3)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        self.assertEqual(await self.refusal(context), "TLSV1_ALERT_PROTOCOL_VERSION")

    async def test_weak_cipher(self) -> None:
        """A client that knows only ciphers outside Mozilla's intermediate list is refused."""
        context = self.client(ssl.TLSVersion.TLSv1_2)
        context.set_ciphers("ECDHE-ECDSA-AES128-SHA")
        self.assertIn("HANDSHAKE_FAILURE", await self.refusal(context))

    async def refusal(self, context: ssl.SSLContext) -> str:
        """Tell why a handshake failed."""
        with self.assertRaises(ssl.SSLError) as raised:
            await deferToThread(self.get, context)
        return str(raised.exception.reason)

    async def test_resumed_1_2(self) -> None:
        """A TLS 1.2 client that comes back with its ticket resumes its session."""
        await self.comes_back(self.client(ssl.TLSVersion.TLSv1_2))

    async def test_resumed_1_2_without_tickets(self) -> None:
        """A TLS 1.2 client that takes no tickets resumes its session by its number."""
        context = self.client(ssl.TLSVersion.TLSv1_2)
        context.options |= ssl.OP_NO_TICKET
        await self.comes_back(context)

    async def test_resumed_1_3(self) -> None:
        """A TLS 1.3 client that comes back with its ticket resumes its session."""
        await self.comes_back(self.client(ssl.TLSVersion.TLSv1_3))

    async def comes_back(self, context: ssl.SSLContext) -> None:
        """Connect twice, the second time with the session of the first."""
        first = await deferToThread(self.get, context)
        self.assertFalse(first.resumed)
        second = await deferToThread(self.get, context, first.session)
        self.assertTrue(second.resumed)

    async def test_encrypted_key(self) -> None:
        """A key that needs a passphrase is an error, and nobody is asked at a terminal."""
        encrypted = (
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"
        )
        with self.assertRaises(Unusable):
            certificate(Pems(encrypted, self.files.pems.chain))

    async def test_other_key(self) -> None:
        """A key that is not the certificate's is told of in a line."""
        other = certificate_files(self.mktemp())
        with self.assertRaises(Unusable) as raised:
            certificate(Pems(other.pems.key, self.files.pems.chain))
        self.assertIn("TLS cannot be spoken with this key", str(raised.exception))
        self.assertIn("mismatch", str(raised.exception))

    async def test_until(self) -> None:
        """It is known when a certificate ends."""
        self.assertRegex(self.renewable.certificate.until, r"^\d{14}Z$")
        for until, at in (("20260921141320Z", 1790000000.0), ("?", 0.0)):
            self.assertEqual(evolve(self.renewable.certificate, until=until).ends_at, at)

    async def test_trouble(self) -> None:
        """Before and after its time a certificate is of no use."""
        found = evolve(self.renewable.certificate, since="20260921141320Z", until="20260921141330Z")
        for seconds, trouble in (
            (-1, "counts from 20260921141320Z on only"),
            (0, None),
            (10, None),
            (11, "has ended at 20260921141330Z"),
        ):
            self.assertEqual(found.trouble(1790000000 + seconds), trouble)
        self.assertIsNone(evolve(found, since="?", until="?").trouble(1790000000))

    async def test_renewed(self) -> None:
        """Who connects later gets the new certificate, who is connected goes on with the old."""
        self.connections.limit = 3
        first = self.client(ssl.TLSVersion.TLSv1_3)
        plain = socket.create_connection(self.address, 10)
        old = await deferToThread(first.wrap_socket, plain, server_hostname="127.0.0.1")
        self.addCleanup(old.close)
        self.files = certificate_files(self.mktemp())
        self.renewable.certificate = certificate(self.files.pems)
        with self.assertRaises(ssl.SSLCertVerificationError):
            await deferToThread(self.get, first)
        heard = await deferToThread(self.get, self.client(ssl.TLSVersion.TLSv1_3))
        self.assertEqual((heard.protocol, heard.response[-5:]), ("http/1.1", b"small"))
        old.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertIn(b"200 OK", await deferToThread(old.recv, 65536))
        self.site.cut()
        await self.site.when_idle()

    async def test_resumed_after_renewal(self) -> None:
        """A session that began with the certificate of before is not resumed but begun anew."""
        context = self.client(ssl.TLSVersion.TLSv1_2)
        first = await deferToThread(self.get, context)
        self.renewable.certificate = certificate(self.files.pems)
        second = await deferToThread(self.get, context, first.session)
        self.assertEqual((second.resumed, second.response[-5:]), (False, b"small"))

    async def test_too_many(self) -> None:
        """The third connection of a client over a limit of two is closed before a handshake."""
        plain = [socket.create_connection(self.address, 10) for _ in range(3)]
        for one in plain:
            self.addCleanup(one.close)
        with self.assertRaises(ConnectionResetError):
            await deferToThread(plain[2].recv, 1)
        self.assertEqual(len(self.connections), 2)
        self.site.cut()
        await self.site.when_idle()

    async def test_handshake_never_done(self) -> None:
        """A client that does not shake hands within 30 s is closed."""
        with socket.create_connection(self.address, 10):
            while not len(self.connections):
                await deferLater(reactor, 0)
            self.clock.pump([1] * 30)
            await self.site.when_idle()

    async def test_takes_nothing(self) -> None:
        """A client that takes nothing is cut under TLS as well."""
        context = self.client(ssl.TLSVersion.TLSv1_3)
        plain = socket.create_connection(self.address, 10)
        wrapped = await deferToThread(context.wrap_socket, plain, server_hostname="127.0.0.1")
        self.addCleanup(wrapped.close)
        wrapped.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        while not self.connections.busy:
            await deferLater(reactor, 0)
        self.assertGreaterEqual(await self.until_gone(), 120)

    async def test_does_not_say_goodbye(self) -> None:
        """A client that does not answer the end of TLS keeps its connection for 2 s."""
        context = self.client(ssl.TLSVersion.TLSv1_3)
        plain = socket.create_connection(self.address, 10)
        wrapped = await deferToThread(context.wrap_socket, plain, server_hostname="127.0.0.1")
        self.addCleanup(wrapped.close)
        wrapped.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await deferToThread(wrapped.recv, 1)
        self.assertGreaterEqual(await self.until_gone(), 2)

    async def until_gone(self) -> float:
        """Let time pass until no connection is left; say how much did."""
        began = self.clock.seconds()
        while len(self.connections):
            self.clock.advance(1)
            await deferLater(reactor, 0)
        return self.clock.seconds() - began
