"""Tests of `osproxy.upstream.origin`: what upstreams say that no upstream should."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from osproxy.upstream.exchange import INTERIM_AT_MOST
from osproxy.upstream.origin import TimedOut, Unreachable
from tests.upstream.origins import HEAD_TIMEOUT, Network, Origin, Sink, plain, started

OPEN = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OPEN + b"Transfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Type: no/no\r\nSet-Cookie: a=b\r\n\r\n"

# None of them is an answer.
ODD_HEADS = (
    OPEN + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    OPEN + b"Content-Length: 3, 4\r\n\r\nabcd",
    OPEN + b"Content-Length: 3,\r\n\r\nabc",
    OPEN + b"Content-Length: \r\n\r\nabc",
    OPEN + b"Content-Length: -1\r\n\r\n",
    OPEN + b"Content-Length: +3\r\n\r\nabc",
    OPEN + b"Content-Length: 0x3\r\n\r\nabc",
    OPEN + b"Content-Length: abc\r\n\r\nabc",
    OPEN + b"Content-Length: 3 3\r\n\r\nabc",
    OPEN + b"Content-Length: \xb2\r\n\r\nab",
    OPEN + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    OPEN + b"Content-Length : 3\r\n\r\nabc",
    OPEN + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + LAST,
    OPEN + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + LAST,
    OPEN + b"Transfer-Encoding: chunked, identity\r\n\r\n" + LAST,
    OPEN + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
    OPEN + b"Transfer-Encoding: identity\r\n\r\n",
    OPEN + b"Transfer-Encoding: xchunked\r\n\r\n" + LAST,
    OPEN + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + LAST,
    OPEN + b"Transfer-Encoding: \r\n\r\n",
    OPEN + b"Transfer-Encoding : chunked\r\n\r\n" + LAST,
    OPEN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
    OPEN + b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n" + LAST,
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
    b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
    OPEN + b"no colon\r\n\r\n",
    OPEN + b" folded: nothing\r\nContent-Length: 0\r\n\r\n",
    OPEN + b"X-\xe9: y\r\nContent-Length: 0\r\n\r\n",
    OPEN + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    OPEN + b"X: a\rY: b\r\nContent-Length: 0\r\n\r\n",
    OPEN + b": y\r\nContent-Length: 0\r\n\r\n",
    OPEN + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    OPEN + b"X: y\r\n" * 30_000,
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
    b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 OK\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/x 200 OK\r\n\r\n",
    b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"ICY 200 OK\r\n\r\n",
    b"<html>\r\n\r\n",
    *(b"HTTP/1.1 %b What\r\nContent-Length: 0\r\n\r\n" % status
      for status in (b"-1", b"0", b"000", b"99", b"600", b"999")),
    OPEN + b"Content-Length: 3\r\n\r\nabcd",
    OPEN + b"Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    CHUNKED + LAST + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    CHUNKED + b"3\r\nabcd\r\n" + LAST,
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\nabc" + OPEN + b"\r\n",
    b"HTTP/1.1 103 Early Hints\nLink: x\n\n" + OPEN + b"Content-Length: 0\r\n\r\n",
    HINTS * (INTERIM_AT_MOST + 1) + OPEN + b"Content-Length: 0\r\n\r\n",
)  # fmt: skip

# None of them is a body: what comes with the head, and what after it.
ODD_BODIES = (
    (OPEN + b"Content-Length: 5\r\n\r\nabc", b"def"),
    (CHUNKED, b"3\r\nabcd\r\n" + LAST),
    (CHUNKED, b"3\r\nab\r\n" + LAST),
    (CHUNKED, b"3\r\nabc" + LAST),
    (CHUNKED, b"3\nabc\n0\n\n"),
    (CHUNKED, b"3\r\nabc\n0\r\n\r\n"),
    (CHUNKED, b" 3\r\nabc\r\n" + LAST),
    (CHUNKED, b"3 \r\nabc\r\n" + LAST),
    (CHUNKED, b"3 ;x\r\nabc\r\n" + LAST),
    (CHUNKED, b"0x3\r\nabc\r\n" + LAST),
    (CHUNKED, b"+3\r\nabc\r\n" + LAST),
    (CHUNKED, b"-3\r\nabc\r\n" + LAST),
    (CHUNKED, b"1_0\r\n" + b"a" * 16 + b"\r\n" + LAST),
    (CHUNKED, b"\r\nabc\r\n" + LAST),
    (CHUNKED, b"10000000000000003\r\nabc\r\n" + LAST),
    (CHUNKED, b"3;\x00\r\nabc\r\n" + LAST),
    (CHUNKED, b"3;" + b"x" * 2000 + b"\r\nabc\r\n" + LAST),
    (CHUNKED, b"0\r\nno colon\r\n\r\n"),
    (CHUNKED, b"0\r\nX : y\r\n\r\n"),
    (CHUNKED, b"0\r\n" + b"X: y\r\n" * 30_000 + b"\r\n"),
    (CHUNKED + b"3\r\nabc\r\n", LAST + b"H"),
    (CHUNKED + b"3\r\nabc\r\n", LAST + OPEN + b"Content-Length: 0\r\n\r\n"),
)


class FramingTestCase(TestCase):
    """Has a network."""

    timeout = 60

    def setUp(self) -> None:
        """Make a network."""
        self.network = Network(self)
        self.upstream = self.network.upstream

    async def expect_reuse(self, origin: Origin, url: str, connections: int) -> None:
        """Expect that so many connections are enough for another question."""
        await self.network.settle()
        origin.replies.append(plain(b"again"))
        self.assertEqual(await (await self.upstream.ask(url)).read(10), b"again")
        self.assertEqual(len(origin.connections), connections)


class OddTests(FramingTestCase):
    """What makes no sense is a bad gateway, and never looks like an answer, or a whole one."""

    async def test_heads(self) -> None:
        """A head that leaves open where the body ends, or is none, is no answer."""
        for said in ODD_HEADS:
            with self.subTest(said[:80]):
                origin = Origin(said)
                url = self.network.serve(origin)
                with self.assertRaises(Unreachable) as raised:
                    await self.upstream.ask(url)
                self.assertEqual(raised.exception.reason, "protocol")
                self.assertEqual(raised.exception.host, url.removeprefix("http://"))
                self.assertIn(" sends ", str(raised.exception))
                await origin.connections[0].closed
                self.assertEqual(len(origin.requests), 1, "it was asked twice")

    async def test_bodies(self) -> None:
        """A body that is not what it says is not whole, whoever takes it when."""
        for first, then in ODD_BODIES:
            with self.subTest((first[-20:], then[:40])):
                origin = Origin(first)
                reply = await self.upstream.ask(self.network.serve(origin))
                delivering = started(reply.deliver(Sink()))
                origin.connections[0].say(then)
                with self.assertRaises(Unreachable) as raised:
                    await delivering
                self.assertEqual(raised.exception.reason, "protocol")
                self.assertIn(" sends ", str(raised.exception))
                await origin.connections[0].closed

    async def test_half(self) -> None:
        """Half a head, or interim ones alone, are no answer when time is over."""
        for said in (b"H", OPEN, OPEN + b"Content-Length: 3\r\n", HINTS, HINTS + OPEN):
            with self.subTest(said):
                origin = Origin(None)
                asking = started(self.upstream.ask(self.network.serve(origin)))
                connection = await origin.when_asked()
                connection.say(said)
                await self.network.settle()
                self.network.clock.advance(HEAD_TIMEOUT)
                self.failureResultOf(asking, TimedOut)
                await connection.closed

    async def test_half_and_end(self) -> None:
        """Nor are they when the connection ends."""
        for said in (b"", b"H", OPEN, OPEN + b"Content-Length: 3\r\n", HINTS, HINTS + OPEN):
            with self.subTest(said):
                url = self.network.serve(Origin(said, close=True))
                with self.assertRaises(Unreachable) as raised:
                    await self.upstream.ask(url)
                self.assertEqual(raised.exception.reason, "protocol")


class InterimTests(FramingTestCase):
    """Interim responses leave no trace."""

    async def test_passed_over(self) -> None:
        """However many there are, their fields are not those of the response."""
        interim = b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS + b"HTTP/1.1 102 \r\nETag: no\r\n\r\n"
        body = b"HTTP/1.1 103 is no head here"
        for verbatim in (False, True):
            with self.subTest(verbatim=verbatim):
                origin = Origin(interim + plain(body, b"ETag: yes"))
                url = self.network.serve(origin)
                reply = await self.upstream.ask(url, verbatim=verbatim)
                self.assertEqual((reply.status, reply.fields), (200, (("ETag", "yes"),)))
                self.assertEqual(await reply.read(100), body)
                await self.expect_reuse(origin, url, 1)

    async def test_one_by_one(self) -> None:
        """They may come long before it, as they are meant to."""
        origin = Origin(None)
        asking = started(self.upstream.ask(self.network.serve(origin)))
        connection = await origin.when_asked()
        for said in (HINTS, HINTS[:30], HINTS[30:] + b"HTTP"):
            connection.say(said)
            await self.network.settle()
            self.assertNoResult(asking)
        connection.say(plain(b"abc").removeprefix(b"HTTP"))
        reply = await asking
        self.assertEqual((reply.fields, await reply.read(3)), ((), b"abc"))


class EndTests(FramingTestCase):
    """What comes behind a response is not the next one (RFC 9112 section 9.2)."""

    async def test_trailers(self) -> None:
        """Trailers are dropped, and do not spoil the connection."""
        trailers = b"0\r\nETag: no\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\n\r\n"
        origin = Origin(CHUNKED + b"3\r\nabc\r\n" + trailers)
        url = self.network.serve(origin)
        reply = await self.upstream.ask(url, verbatim=True)
        self.assertEqual(await reply.read(3), b"abc")
        self.assertEqual((reply.fields, reply.length), ((), None))
        await self.expect_reuse(origin, url, 1)

    async def test_behind(self) -> None:
        """What follows a response spoils the connection, and nothing else."""
        for said in (plain(b"abc"), CHUNKED + b"3\r\nabc\r\n" + LAST):
            with self.subTest(said):
                origin = Origin(said)
                url = self.network.serve(origin)
                reply = await self.upstream.ask(url)
                self.assertEqual(await reply.read(3), b"abc")
                origin.connections[0].say(plain(b"evil"))
                await origin.connections[0].closed
                await self.expect_reuse(origin, url, 2)

    async def test_behind_no_body(self) -> None:
        """So does a body where there can be none, even if it is there at once."""
        for method, head in (
            ("HEAD", OPEN + b"Content-Length: 4\r\n\r\n"),
            ("HEAD", CHUNKED),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n"),
            ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ):
            for behind, connections in ((b"", 1), (plain(b"evil"), 2)):
                with self.subTest((method, head, behind)):
                    origin = Origin(head + behind)
                    url = self.network.serve(origin)
                    asked = (("If-None-Match", "a"),)
                    reply = await self.upstream.ask(url, method=method, fields=asked)
                    self.assertEqual(await reply.read(0), b"")
                    await self.expect_reuse(origin, url, connections)

    async def test_last(self) -> None:
        """A connection that does not persist is not used again (RFC 9112 section 9.3)."""
        body = b"Content-Length: 3\r\n\r\nabc"
        for said, connections in (
            (OPEN + body, 1),
            (OPEN + b"Connection: x, Close\r\n" + body, 2),
            (OPEN + b"Connection: x\r\nconnection: close\r\n" + body, 2),
            (b"HTTP/1.0 200 OK\r\n" + body, 2),
            (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" + body, 1),
        ):
            with self.subTest(said):
                origin = Origin(said)
                url = self.network.serve(origin)
                self.assertEqual(await (await self.upstream.ask(url)).read(3), b"abc")
                if connections == 2:
                    await origin.connections[0].closed
                await self.expect_reuse(origin, url, connections)

    async def test_folded(self) -> None:
        """A folded field is one (RFC 9112 section 5.2)."""
        origin = Origin(plain(b"", b"X: a,\r\n\t b", b"Connection: x-hop,\r\n y", b"X-Hop: z"))
        reply = await self.upstream.ask(self.network.serve(origin))
        self.assertEqual(reply.fields, (("X", "a, b"),))
