"""Tests of `osproxy.web.channel`: what is not HTTP/1 is refused, over real sockets."""

from __future__ import annotations

import socket

from twisted.internet import reactor as real_reactor  # noqa: TID251
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from osproxy.web.channel import READ_AHEAD, Channel
from osproxy.web.tls import Renewable, certificate, wrap
from tests.web.cases import LARGE, MB, SocketsTestCase
from tests.web.certificates import certificate_files
from tests.web.clients import HEAD
from tests.web.doubles import Front, notice
from tests.web.reading import Client, connect, connect_tls, digest, request, responses, turn, until
from tests.web.support import listen

GET = b"GET /a HTTP/1.1\r\n"
HOST = b"Host: x\r\n"
UPLOAD = request("/a", "Content-Length: 999999999", method="PUT")

BAD: tuple[tuple[bytes, int], ...] = (
    # The request line (RFC 9112 section 3).
    (b"GET /a\r\n\r\n", 400),
    (b"GET  /a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET\t/a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b" GET /a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"G@T /a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /a http/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /a HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    (b"GET /a HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    (b"GET /" + b"a" * 100_000, 414),
    # Host (RFC 9112 section 3.2).
    (GET + b"\r\n", 400),
    (GET + HOST + HOST + b"\r\n", 400),
    (b"GET /a HTTP/1.0\r\n" + HOST + HOST + b"\r\n", 400),
    (GET + b"Host: a b\r\n\r\n", 400),
    (GET + b"Host: a, b\r\n\r\n", 400),
    (GET + b"Host: a/b\r\n\r\n", 400),
    (GET + b"Host: u@a\r\n\r\n", 400),
    (GET + b"Host: [::1\r\n\r\n", 400),
    (b"GET http://cdn.example/a HTTP/1.1\r\nHost:\r\n\r\n", 400),
    # Ends of lines (RFC 9112 section 2.2).
    (b"GET /a HTTP/1.1\nHost: x\n\n", 400),
    (GET + b"Host: x\n\r\n", 400),
    (GET + HOST + b"\n", 400),
    (GET + HOST + b"X: a\rb\r\n\r\n", 400),
    (b"\n", 400),
    (b"\r\n" * 5, 400),
    # Fields (RFC 9112 section 5, RFC 9110 sections 5.1 and 5.5).
    (GET + HOST + b"X: a\r\n b\r\n\r\n", 400),
    (GET + b" X: a\r\n" + HOST + b"\r\n", 400),
    (GET + HOST + b"X : a\r\n\r\n", 400),
    (GET + HOST + b"X\r\n\r\n", 400),
    (GET + HOST + b": a\r\n\r\n", 400),
    (GET + HOST + b"X(): a\r\n\r\n", 400),
    (GET + HOST + b"X\xe9: a\r\n\r\n", 400),
    (GET + HOST + b"X: a\0b\r\n\r\n", 400),
    (GET + HOST + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 431),
    (GET + HOST + b"X: a\r\n" * 100 + b"\r\n", 431),
    (GET + HOST + (b"X: " + b"a" * 16_000 + b"\r\n") * 5 + b"\r\n", 431),
    (GET + b"X: a\r\n" * 200_000, 431),
    # Lengths (RFC 9112 section 6, RFC 9110 section 8.6).
    (GET + HOST + b"Content-Length: x\r\n\r\n", 400),
    (GET + HOST + b"Content-Length: +1\r\n\r\n", 400),
    (GET + HOST + b"Content-Length: -1\r\n\r\n", 400),
    (GET + HOST + b"Content-Length: 1 1\r\n\r\n", 400),
    (GET + HOST + b"Content-Length:\r\n\r\n", 400),
    (GET + HOST + b"Content-Length: 1, 1\r\n\r\na", 400),
    (GET + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
    (GET + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na", 400),
    (GET + HOST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    (GET + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (GET + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    (GET + HOST + b"Transfer-Encoding: identity\r\n\r\n", 400),
    (GET + HOST + b"Transfer-Encoding: xchunked\r\n\r\n", 400),
    (GET + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
    (GET + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
    (GET + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (b"GET /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
)

# The chunked coding (RFC 9112 section 7.1), behind a head that announces it.
BAD_CHUNKS: tuple[tuple[bytes, int], ...] = (
    (b"x\r\n", 400),
    (b"-1\r\n", 400),
    (b"0x1\r\na\r\n0\r\n\r\n", 400),
    (b" 1\r\na\r\n0\r\n\r\n", 400),
    (b"1 \r\na\r\n0\r\n\r\n", 400),
    (b"1\na\r\n0\r\n\r\n", 400),
    (b"1\r\nab\r\n0\r\n\r\n", 400),
    (b"1\r\na0\r\n\r\n", 400),
    (b"\r\n", 400),
    (b"00000000000000001\r\na\r\n0\r\n\r\n", 400),
    (b"1;" + b"x" * 2000 + b"\r\na\r\n0\r\n\r\n", 400),
    (b"1;\0\r\na\r\n0\r\n\r\n", 400),
    (b"0\r\nX : y\r\n\r\n", 400),
    (b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
)


class RefusalTests(TestCase):
    """Clients over real sockets who send what is no request."""

    timeout = 60

    def setUp(self) -> None:
        """Listen."""
        self.front = Front(real_reactor)
        self.front.cache.put("/a", notice)
        self.port = self.listen()

    async def tearDown(self) -> None:  # type: ignore[override]
        """Wait until no connection is left."""
        await self.front.site.when_idle()

    def listen(self) -> int:
        """Listen on a port of the kernel's choosing."""
        return listen(self, self.front.site)

    async def connect(self) -> Client:
        """Connect a client."""
        return await connect(self.port)

    async def refused(self, octets: bytes, status: int) -> None:
        """
        See that it is refused and its connection closed, though more comes behind it.

        Requests before it are answered, what is behind it is not read.
        """
        client = await self.connect()
        client.send(HEAD + octets + HEAD)
        await client.ended()
        first, got = responses(bytes(client.data))
        self.assertEqual((first.status, got.status), (200, status), octets[:80])
        self.assertEqual(got["Connection"], "close", octets[:80])
        self.assertTrue(got.whole and got.body.endswith(b".\n"))

    async def test_heads(self) -> None:
        """A head that is not as HTTP/1 has it is told so, and is the last of its connection."""
        for octets, status in BAD:
            await self.refused(octets, status)
        self.assertEqual(len(self.front.cache.asked), len(BAD))

    async def test_chunks(self) -> None:
        """So is one with malformed content."""
        for octets, status in BAD_CHUNKS:
            await self.refused(GET + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + octets, status)

    async def test_slowly(self) -> None:
        """It makes no difference how it comes."""
        client = await self.connect()
        for octet in GET + HOST + b"X : y\r\n\r\n":
            client.send(bytes((octet,)))
            await turn(2)
        await client.ended()
        (got,) = responses(bytes(client.data))
        self.assertEqual(got.status, 400)

    async def test_read_on(self) -> None:
        """The response can be read though the client sends much before it looks for it."""
        client = await self.connect()
        client.read(False)
        client.send(UPLOAD)
        for _ in range(50):
            client.send(LARGE[:100_000])
            await turn(2)
        client.read(True)
        await client.ended()
        (got,) = responses(bytes(client.data))
        self.assertEqual((got.status, got["Connection"]), (405, "close"))


class TlsRefusalTests(RefusalTests):
    """The same over TLS, the end of which has to be read as well."""

    def listen(self) -> int:
        """Listen with a certificate."""
        self.files = certificate_files(self.mktemp())
        own = Renewable(certificate(self.files.pems))
        return listen(self, wrap(self.front.site, own, real_reactor))

    async def connect(self) -> Client:
        """Connect a client that trusts it."""
        return await connect_tls(self.port, self.files.authority.read_bytes())


class LingeringTests(TestCase):
    """Connections that we close while the client still sends."""

    timeout = 60

    def setUp(self) -> None:
        """Listen on a clock of ours."""
        self.clock = Clock()
        self.front = Front(self.clock)
        self.port = listen(self, self.front.site)

    async def test_patience(self) -> None:
        """A client that goes on sending is read from for 30 s, one that stops for 2 s."""
        for least, most, sends in ((2, 5, False), (30, 35, True)):
            with socket.create_connection(("127.0.0.1", self.port)) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.sendall(UPLOAD)
                await until(lambda: self.front.records)
                self.front.records.clear()
                began = self.clock.seconds()
                while len(self.front.connections):
                    if sends:
                        client.sendall(b"x")
                    # The kernel tells of the end of our side only after 40 ms that it was heard.
                    await deferLater(real_reactor, 0.01)
                    self.clock.advance(1 if sends else 0.1)
                self.assertTrue(least <= self.clock.seconds() - began <= most)
                self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 405 "))

    async def test_much_behind(self) -> None:
        """What had to wait behind the last response is read before the connection is closed."""
        client = await connect(self.port)
        client.send(request("/b", "Connection: close") + LARGE)
        await until(lambda: self.front.cache.waiting)
        await turn(50)
        # More than a transport takes at once, so that it is not ready for more when we close.
        self.front.cache.waiting[0].callback(notice(body=LARGE))
        await client.ended()
        (got,) = responses(bytes(client.data))
        self.assertEqual(digest(got.body), digest(LARGE))
        await self.front.site.when_idle()


class PipelinedTests(SocketsTestCase):
    """Many requests at once are answered at the pace at which responses are taken."""

    async def test_not_ahead_of_the_client(self) -> None:
        """What a client does not take is not added to, and its requests wait in the kernel."""
        self.put("/a", LARGE[:50_000])
        self.client.read(False)
        self.client.send(request("/a") * 20_000)
        await turn(200)
        self.assertLess(len(self.front.cache.asked), 500)
        (channel,) = self.front.connections
        assert isinstance(channel, Channel)
        self.assertLess(channel.held, READ_AHEAD + MB)

    async def test_bad_one_among_them(self) -> None:
        """A bad request behind large files is refused when they have been sent."""
        self.put("/large", LARGE)
        self.client.send(request("/large") * 3 + b"GET\r\n\r\n" + request("/large"))
        await self.client.ended()
        got = responses(bytes(self.client.data))
        self.assertEqual([one.status for one in got], [200, 200, 200, 400])
        self.assertEqual({digest(one.body) for one in got[:3]}, {digest(LARGE)})
