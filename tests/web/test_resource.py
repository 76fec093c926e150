"""Tests of `osproxy.web.resource`."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.fields import every
from osproxy.model import Backend, Target
from tests.web.doubles import BACKENDS, NOW, Front, notice
from tests.web.reading import request, responses


class RootTestCase(SynchronousTestCase):
    """A front on a clock that stands at ten in the morning."""

    def setUp(self) -> None:
        """Make a front."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.front = Front(self.clock)

    def target_of(self, target: str) -> str | None:
        """Tell which file the cache is asked for, by the URL upstream; None if it is not asked."""
        del self.front.cache.asked[:]
        channel, _ = self.front.connect()
        channel.dataReceived(request(target))
        channel.connectionLost(Failure(ConnectionLost()))
        if not self.front.cache.asked:
            return None
        ((backend, found, _),) = self.front.cache.asked
        self.assertEqual(found.backend, backend.prefix)
        return backend.url_of(found.path)


class MethodsTests(RootTestCase):
    """What is answered to methods."""

    def test_others(self) -> None:
        """Methods other than GET and HEAD are not allowed, whatever they are for."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"):
            got = self.front.ask("/a", method=method)
            self.assertEqual((got.status, got["Allow"]), (405, "GET, HEAD"), method)
            self.assertEqual(got.body, b"Only GET, HEAD are answered.\n")
        self.assertEqual(self.front.cache.asked, [])

    def test_own_pages(self) -> None:
        """The same holds for our own pages."""
        self.assertEqual(self.front.ask("/-/healthy", method="POST").status, 405)

    def test_all_of_the_server(self) -> None:
        """OPTIONS of the server as a whole is told what goes anywhere, and is logged."""
        got = self.front.ask("*", method="OPTIONS")
        self.assertEqual((got.status, got.body), (204, b""))
        self.assertIn("OPTIONS", got["Allow"])
        self.assertEqual([record.status for record in self.front.records], [204])

    def test_tunnel(self) -> None:
        """A client that wants a tunnel is told what to do instead."""
        got = self.front.ask("cdn.example:443", method="CONNECT")
        self.assertEqual((got.status, got["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(
            got.body, b"No tunnels here: use http:// URLs with this proxy, or name it in baseurl.\n"
        )

    def test_host(self) -> None:
        """A request has one Host field (RFC 9112 section 3.2); before HTTP/1.1 it may have none."""
        self.front.cache.put("/a", notice)
        for version, hosts, status in (
            ("1.1", ("a",), 200), ("1.1", (), 400), ("1.1", ("a", "a"), 400),
            ("1.0", ("a",), 200), ("1.0", (), 200), ("1.0", ("a", "b"), 400),
        ):  # fmt: skip
            channel, wire = self.front.connect()
            lines = (f"GET /a HTTP/{version}", *(f"Host: {host}" for host in hosts), "", "")
            channel.dataReceived("\r\n".join(lines).encode("ascii"))
            (got,) = responses(wire.value())
            self.assertEqual(got.status, status, (version, hosts))
        self.assertEqual(len(self.front.cache.asked), 3)

    def test_head(self) -> None:
        """The cache is told whether only the head is wanted."""
        self.front.cache.put("/a", notice)
        self.front.ask("/a", method="HEAD")
        self.front.ask("/a")
        self.assertEqual([asked.head for *_, asked in self.front.cache.asked], [True, False])


class TargetsTests(RootTestCase):
    """Which file a request target means."""

    def test_origin_form(self) -> None:
        """A path is one of the backend with the longest prefix that it begins with."""
        table = {
            "/a/b": "https://authority.example/a/b",
            "/pack": "https://pack.example/",
            "/pack/": "https://pack.example/",
            "/pack/b": "https://pack.example/b",
            "/package": "https://authority.example/package",
            "/pack/age/c": "https://age.example/c",
            "/x/../pack//age/./c": "https://age.example/c",
            "/%70ack/b": "https://pack.example/b",
            "/home%3A/x": "https://authority.example/home:/x",
            "/a?b=c": "https://authority.example/a",
        }
        for target, url in table.items():
            self.assertEqual(self.target_of(target), url, target)

    def test_absolute_form(self) -> None:
        """A URL of a backend's host means the same file as the path below its prefix."""
        table = {
            "http://cdn.example/a": "https://authority.example/a",
            "https://CDN.example:443/a": "https://authority.example/a",
            "http://cdn.example/pack/b": "https://authority.example/pack/b",
            "http://other.example:8000/a": "https://authority.example/a",
            "http://pack.example/b": "https://pack.example/b",
            "http://cdn.example": "https://authority.example/",
        }
        for target, url in table.items():
            self.assertEqual(self.target_of(target), url, target)

    def test_one_entry(self) -> None:
        """Both forms share an entry of the cache."""
        for target in ("/pack/b", "http://pack.example/b"):
            self.target_of(target)
            self.assertEqual(self.front.cache.asked[0][1], Target("/pack", "/b"))

    def test_other_hosts(self) -> None:
        """Other hosts are not served: this is no open proxy."""
        for host in ("evil.example", "other.example", "192.0.2.9", "127.0.0.1:8080"):
            got = self.front.ask(f"http://{host}/a")
            self.assertEqual(
                (got.status, got.body), (403, f"{host} is not served by this proxy.\n".encode())
            )

    def test_ourselves(self) -> None:
        """A URL with the address that the request came to is a path of ours."""
        self.front.cache.put("/pack/b", notice)
        hosts = {
            "192.0.2.9:8080": IPv4Address("TCP", "192.0.2.9", 8080),
            "192.0.2.8:8080": IPv6Address("TCP", "::ffff:192.0.2.8", 8080),
            "[2001:db8::9]:8080": IPv6Address("TCP", "2001:db8::9", 8080),
            "192.0.2.9": IPv4Address("TCP", "192.0.2.9", 80),
        }
        for name, host in hosts.items():
            self.assertEqual(self.front.ask(f"http://{name}/pack/b", host=host).status, 200, name)

    def test_ourselves_unknown(self) -> None:
        """At a Unix socket nobody can name our address."""
        here = UNIXAddress("/run/osproxy")
        self.assertEqual(self.front.ask("http://192.0.2.9:8080/a", host=here).status, 403)

    def test_bad(self) -> None:
        """What names no file is a 400 that says why, and is not asked for."""
        for target in (
            "/..", "/a/../../b", "/a%zz", "/a%", "/%00", "/a%0ab", "a", "ftp://cdn.example/a",
            "http://me@cdn.example/a", "http:///a", "*",
        ):  # fmt: skip
            got = self.front.ask(target)
            self.assertEqual(got.status, 400, target)
            self.assertTrue(got.body.endswith(b".\n"), got.body)
        self.assertEqual(self.front.cache.asked, [])

    def test_no_backend(self) -> None:
        """A path of no backend is a 404."""
        self.front = Front(self.clock, backends=(Backend("/pack", "https://pack.example"),))
        got = self.front.ask("/a")
        self.assertEqual((got.status, got.body), (404, b"No backend serves this path.\n"))

    def test_own_pages(self) -> None:
        """Our own pages are found by path, and by URL where that names ourselves."""
        for target in ("/-/healthy", "/a/..//-/healthy", "http://192.0.2.9:8080/-/healthy"):
            self.assertEqual(self.front.ask(target).body, b"ok\n", target)
        self.assertEqual(self.front.cache.asked, [])

    def test_own_pages_elsewhere(self) -> None:
        """They hide nothing from those who ask for a backend's host."""
        for path in ("/robots.txt", "/-/healthy"):
            url = f"https://authority.example{path}"
            self.assertEqual(self.target_of(f"http://cdn.example{path}"), url)

    def test_question(self) -> None:
        """The cache is told the query, the fields, the client and its connection."""
        self.front.cache.put("/a", notice)
        self.front.ask("/a?b=c%20d", "Range: bytes=0-1", "X-A: \xe9")
        ((_, _, asked),) = self.front.cache.asked
        self.assertEqual((asked.query, asked.client, asked.connection), ("b=c%20d", "192.0.2.1", 1))
        self.assertEqual(dict(asked.fields)["Range"], "bytes=0-1")
        self.assertIn(("X-A", "\xe9"), [(name, value) for name, value in asked.fields])


class GenericTests(RootTestCase):
    """What goes on to a generic backend."""

    def setUp(self) -> None:
        """Have one."""
        super().setUp()
        self.front = Front(
            self.clock, backends=(Backend("/api", "https://api.example", generic=True), BACKENDS[0])
        )
        self.front.cache.put("/api/x", notice)

    def test_methods(self) -> None:
        """Methods go on, but for those that are no request to an origin."""
        for method in ("POST", "PATCH", "FROB", "OPTIONS"):
            self.assertEqual(self.front.ask("/api/x", method=method).status, 200)
            self.assertEqual(self.front.cache.asked[-1][2].method, method)
        got = self.front.ask("/api/x", method="TRACE")
        self.assertEqual(got.status, 405)
        self.assertIn("POST", got["Allow"])

    def test_way(self) -> None:
        """The cache is told which way a request has come, and to which kind of address."""
        self.front.ask("/api/x?q", "Via: 1.0 before")
        asked = self.front.cache.asked[0][2]
        self.assertEqual(asked.via, "1.0 before, 1.1 osproxy-1")
        self.assertEqual((asked.scheme, asked.absolute, asked.query), ("http", False, "q"))

    def test_host_of_target(self) -> None:
        """The host of an absolute-form target counts, not the field (RFC 9112 section 3.2.2)."""
        here = IPv4Address("TCP", "192.0.2.9", 8080)
        for target, hosts in (
            ("/api/x", ["x"]),
            ("http://192.0.2.9:8080/api/x", ["192.0.2.9:8080"]),
        ):
            self.front.ask(target, host=here)
            self.assertEqual(every(self.front.cache.asked[-1][2].fields, "host"), hosts)

    def test_loop(self) -> None:
        """A request that has been here before goes no further (RFC 9110 section 7.6.3)."""
        for target in ("/api/x", "/a.rpm"):
            got = self.front.ask(target, "Via: 1.1 other, 1.1 osproxy-1 (x)")
            self.assertEqual(got.status, 508)
        self.assertEqual(self.front.cache.asked, [])
        self.assertEqual(self.front.ask("/api/x", "Via: 1.1 osproxy-10").status, 200)

    def test_content(self) -> None:
        """Content goes on to a generic backend, and is no part of a question for a file."""
        self.front.cache.put("/a", notice)
        for target, expected in (("/api/x", 3), ("/a", None)):
            channel, _ = self.front.connect()
            channel.dataReceived(request(target, "Content-Length: 3") + b"abc")
            body = self.front.cache.asked[-1][2].body
            self.assertEqual(body and body.length, expected)

    def test_too_much_content(self) -> None:
        """Content that is said to be too long is not asked for at all."""
        got = self.front.ask("/api/x", "Content-Length: 101", method="POST")
        self.assertEqual(got.status, 413)
        self.assertEqual(self.front.cache.asked, [])

    def test_too_much_comes(self) -> None:
        """Content that turns out to be too long is refused when it does."""
        channel, wire = self.front.connect()
        channel.dataReceived(request("/api/y", "Transfer-Encoding: chunked", method="POST"))
        ((_, _, asked),) = self.front.cache.asked
        assert asked.body is not None
        taken: list[bytes] = []
        taking = Deferred.fromCoroutine(asked.body.deliver(taken.append))
        taking.addErrback(lambda failure: self.front.cache.waiting[0].errback(failure))
        for piece in (b"64\r\n" + bytes(100) + b"\r\n", b"1\r\n"):
            channel.dataReceived(piece)
            self.assertEqual(wire.value(), b"")
        channel.dataReceived(b"x\r\n")
        (got,) = responses(wire.value())
        self.assertEqual((got.status, got["Connection"]), (413, "close"))
        self.assertEqual(b"".join(taken), bytes(100))
