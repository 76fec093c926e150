"""Tests of `osproxy.upstream.origin`: what is asked, and answered, as it is."""

from __future__ import annotations

import gzip

from twisted.trial.unittest import TestCase

from osproxy.upstream.origin import Unreachable
from tests.upstream.origins import Network, Origin, moved, plain


class VerbatimTestCase(TestCase):
    """Has a network."""

    timeout = 60

    def setUp(self) -> None:
        """Make a network."""
        self.network = Network(self)
        self.upstream = self.network.upstream


class QuestionTests(VerbatimTestCase):
    """A client's request goes out as it is."""

    async def asked(self, path: str, method: str, *fields: tuple[str, str]) -> list[str]:
        """Ask, and see the lines of what comes to the origin."""
        origin = Origin(plain(b""))
        url = self.network.serve(origin) + path
        await self.upstream.ask(url, method=method, fields=fields, verbatim=True)
        [head] = origin.heads
        return head.replace(url.removeprefix("http://").partition("/")[0], "HERE").split("\r\n")

    async def test_fields(self) -> None:
        """It has the fields that are given and Host, and none of ours."""
        fields = (
            ("Accept", "a/b"),
            ("Accept-Encoding", "gzip, br"),
            ("Cookie", 'a="\xe9"'),
            ("User-Agent", "x"),
            ("Via", "1.0 a, 1.1 osproxy"),
            ("Authorization", "Basic eA=="),
            ("X-Many", "1"),
            ("X-Many", "2"),
            ("Empty", ""),
        )
        lines = await self.asked("/a", "GET", *fields)
        self.assertEqual(lines[:2], ["GET /a HTTP/1.1", "Host: HERE"])
        self.assertEqual(lines[2:], [f"{name}: {value}" for name, value in fields])

    async def test_bare(self) -> None:
        """Where none are given there is only Host."""
        for method in ("GET", "HEAD", "OPTIONS", "DELETE", "PROPFIND", "get"):
            with self.subTest(method):
                self.assertEqual(
                    await self.asked("/", method), [f"{method} / HTTP/1.1", "Host: HERE"]
                )

    async def test_host(self) -> None:
        """Host is what is given, if it is."""
        lines = await self.asked("/a", "GET", ("X", "y"), ("host", "b.example:81"))
        self.assertEqual(lines, ["GET /a HTTP/1.1", "Host: b.example:81", "X: y"])

    async def test_target(self) -> None:
        """The target is what is given, octet for octet."""
        for path in ("/a//b/", "/%7e%2f;c?", "/a?b&c==d&&e=%20+", "/'()*!$&,;=:@-._~", "?x"):
            with self.subTest(path):
                line = (await self.asked(path, "GET"))[0]
                self.assertEqual(line, f"GET /{path.removeprefix('/')} HTTP/1.1")

    async def test_cannot_be_asked(self) -> None:
        """What cannot be written so that it is read again as what it is, is not asked."""
        origin = Origin()
        url = self.network.serve(origin)
        for method, path, field in (
            ("GE T", "/", ("X", "y")),
            ("GET", "/a HTTP/1.1\r\nX: y\r\n\r\n", ("X", "y")),
            ("GET", "/a b", ("X", "y")),
            ("GET", "/", ("X y", "z")),
            ("GET", "/", ("X", "y\x00")),
        ):
            with self.subTest((method, path, field)), self.assertRaises(Unreachable):
                await self.upstream.ask(url + path, method=method, fields=(field,), verbatim=True)
        self.assertEqual(origin.connections, [])

    async def test_injected(self) -> None:
        """A value is one line."""
        lines = await self.asked("/", "GET", ("X", "a\r\nY: b"))
        self.assertEqual(lines[2:], ["X: a Y: b"])


class AnswerTests(VerbatimTestCase):
    """What is answered comes as it is."""

    async def test_fields(self) -> None:
        """All fields that are not for us alone are there, in their order."""
        fields = (
            ("Server", "x"),
            ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Age", "7"),
            ("Set-Cookie", "a=b; Path=/"),
            ("Warning", "1"),
            ("Content-Encoding", "gzip"),
            ("set-cookie", "c=d"),
            ("Via", "1.1 b"),
            ("WARNING", "2"),
        )
        said = [f"{name}: {value}".encode("latin-1") for name, value in fields]
        hop = (b"Connection: x-hop, keep-alive", b"X-Hop: y", b"Keep-Alive: 5", b"Upgrade: z")
        body = gzip.compress(b"abc" * 1000)
        url = self.network.serve(Origin(plain(body, hop[0], *said[:4], *hop[1:], *said[4:])))
        reply = await self.upstream.ask(url, verbatim=True)
        self.assertEqual(reply.fields, fields)
        self.assertEqual(reply.length, len(body))
        self.assertEqual(await reply.read(len(body)), body)

    async def test_cookies(self) -> None:
        """Cookies are for the client, and not said again by us."""
        origin = Origin(plain(b"", b"Set-Cookie: a=b; Path=/"), plain(b""), plain(b""))
        url = self.network.serve(origin)
        for verbatim in (True, True, False):
            await self.upstream.ask(url, verbatim=verbatim)
        self.assertNotIn("cookie", "".join(origin.heads).lower())

    async def test_redirect(self) -> None:
        """A redirect is an answer, wherever it leads."""
        for where in ("/a", "http://127.0.0.1:1/", "ftp://x/", "\xe9 "):
            with self.subTest(where):
                origin = Origin(moved(where))
                url = self.network.serve(origin)
                reply = await self.upstream.ask(url, verbatim=True, https_only=True)
                self.assertEqual((reply.status, reply.hops, reply.url), (302, 0, url))
                self.assertEqual(reply.fields, (("Location", where.strip()),))
                self.assertEqual(await reply.read(10), b"moved")
                self.assertEqual(len(origin.requests), 1)

    async def test_statuses(self) -> None:
        """So is every other status that HTTP can have."""
        for status in (b"200 OK", b"207 ", b"299 What", b"404 No", b"451 No", b"599 What"):
            with self.subTest(status):
                url = self.network.serve(Origin(plain(b"abc", status=status)))
                reply = await self.upstream.ask(url, method="PROPFIND", verbatim=True)
                self.assertEqual(reply.status, int(status[:3]))
                self.assertEqual(await reply.read(3), b"abc")

    async def test_head(self) -> None:
        """Of HEAD's answer, Content-Length is a field, too."""
        said = b"HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 3, 3\r\nC: d\r\n\r\n"
        reply = await self.upstream.ask(
            self.network.serve(Origin(said)), method="HEAD", verbatim=True
        )
        self.assertEqual(reply.length, 3)
        self.assertEqual(sorted(reply.fields), [("A", "b"), ("C", "d"), ("Content-Length", "3")])
