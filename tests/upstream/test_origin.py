"""Tests of `osproxy.upstream.origin`."""

from __future__ import annotations

import errno
import gzip
import resource
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    TCPTimedOutError,
    TimeoutError,
)
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from osproxy.http.fields import every
from osproxy.metrics import Metrics
from osproxy.shedding import Shedding
from osproxy.upstream.agent import ExactAgent
from osproxy.upstream.origin import (
    Overloaded,
    TimedOut,
    Unreachable,
    Upstream,
    UpstreamError,
)
from osproxy.upstream.trust import policy
from osproxy.upstream.turns import Asker, Turns
from tests.upstream.origins import (
    CONNECT_TIMEOUT,
    HEAD_TIMEOUT,
    STALL_TIMEOUT,
    Network,
    Origin,
    moved,
    plain,
    started,
)
from tests.web.certificates import certificate_files
from tests.web.doubles import Passing

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from osproxy.http.fields import Fields
    from osproxy.upstream.origin import Reply

OPEN = b"HTTP/1.1 200 OK\r\n"


class AskTests(TestCase):
    """An upstream is asked for a file, and says what it says."""

    timeout = 60

    def setUp(self) -> None:
        """Make a network."""
        self.network = Network(self)
        self.upstream = self.network.upstream

    async def test_question(self) -> None:
        """A question is of our own making, and carries what the caller adds, octet for octet."""
        origin = Origin(plain(b""))
        url = self.network.serve(origin)
        fields: Fields = (("If-None-Match", '"\xe9"'), ("Range", "bytes=1-2"))
        await self.upstream.ask(url + "/a%2Bb/c+d%5E?e=f+g%20h", fields=fields)
        [head] = origin.heads
        line, *lines = head.split("\r\n")
        self.assertEqual(line, "GET /a%2Bb/c+d%5E?e=f+g%20h HTTP/1.1")
        self.assertIn("Accept: */*", lines)
        self.assertIn('If-None-Match: "\xe9"', lines)
        self.assertIn("Range: bytes=1-2", lines)
        names = sorted(line.partition(":")[0].lower() for line in lines)
        expected = ["accept", "accept-encoding", "host", "if-none-match", "range", "user-agent"]
        self.assertEqual([name for name in names if name != "via"], expected)
        self.assertIn("Via: 1.1 osproxy", lines)
        self.assertIn("\r\nUser-Agent: ZYpp ", head)

    async def test_via(self) -> None:
        """Whoever asks may know of more hops than ours."""
        origin = Origin(plain(b""))
        via = ("via", "1.0 a, 1.1 osproxy")
        await self.upstream.ask(self.network.serve(origin), fields=(via,))
        self.assertEqual(origin.heads[0].lower().count("via:"), 1)
        self.assertIn("Via: 1.0 a, 1.1 osproxy", origin.heads[0])

    async def test_only_identity(self) -> None:
        """No encoding but identity is ever asked for."""
        origin = Origin(plain(b""))
        await self.upstream.ask(self.network.serve(origin) + "/a.gz")
        encodings = [line for line in origin.heads[0].split("\r\n") if "ncoding" in line]
        self.assertEqual(encodings, ["Accept-Encoding: identity"])

    async def test_encoded(self) -> None:
        """What is encoded nevertheless stays as it is, and is called what it is."""
        body = gzip.compress(b"abc" * 1000)
        url = self.network.serve(Origin(plain(body, b"content-encoding: gzip")))
        reply = await self.upstream.ask(url)
        self.assertEqual(reply.length, len(body))
        self.assertEqual(every(reply.fields, "content-encoding"), ["gzip"])
        self.assertEqual(await reply.read(len(body)), body)

    async def test_not_encoded(self) -> None:
        """What is not encoded has no field that says how."""
        reply = await self.upstream.ask(self.network.serve(Origin(plain(b"abc", b"ETag: x"))))
        self.assertEqual(reply.fields, (("ETag", "x"),))

    async def test_fields(self) -> None:
        """Fields come as they were sent, without those that are for the next hop."""
        sent = (
            b'ETag: "\xe9"',
            b"Warning: a",
            b"Keep-Alive: 5",
            b"Proxy-Authenticate: y",
            b"Warning: b",
        )
        reply = await self.upstream.ask(self.network.serve(Origin(plain(b"", *sent))))
        expected = [("ETag", '"\xe9"'), ("Warning", "a"), ("Warning", "b")]
        self.assertEqual(list(reply.fields), expected)

    async def test_times(self) -> None:
        """When a file was asked for, and when it began to come, is known by the clock."""
        origin = Origin(None)
        self.network.clock.advance(1000)
        asking = started(self.upstream.ask(self.network.serve(origin)))
        connection = await origin.when_asked()
        self.network.clock.advance(3)
        connection.say(plain(b""))
        reply = await asking
        self.assertEqual((reply.requested_at, reply.received_at), (1000, 1003))

    async def test_connection(self) -> None:
        """What Connection names is for the next hop as well, in that reply alone."""
        sent = (b"X-Hop: 1", b"X-End: 2", b"Connection: x-hop,", b"connection: y")
        origin = Origin(plain(b"a", *sent), plain(b"b", *sent[:2]))
        url = self.network.serve(origin)
        reply = await self.upstream.ask(url)
        self.assertEqual(reply.fields, (("X-End", "2"),))
        await reply.read(1)
        reply = await self.upstream.ask(url)
        self.assertEqual(sorted(reply.fields), [("X-End", "2"), ("X-Hop", "1")])
        self.assertEqual(len(origin.connections), 1)

    async def test_cookies(self) -> None:
        """Cookies are not taken, and not sent to where they come from."""
        origin = Origin(plain(b"", b"Set-Cookie: a=b; Path=/"), plain(b""))
        url = self.network.serve(origin)
        self.assertEqual((await self.upstream.ask(url)).fields, ())
        await self.upstream.ask(url, fields=(("Cookie", "c=d"),))
        self.assertNotIn("cookie", "".join(origin.heads).lower())

    async def test_head(self) -> None:
        """HEAD tells how long a file is, and brings no body."""
        head = OPEN + b"Content-Length: 123456789\r\n\r\n"
        origin = Origin(head, head, plain(b"a"))
        url = self.network.serve(origin)
        reply = await self.upstream.ask(url, method="HEAD")
        self.assertEqual((reply.status, reply.length), (200, 123456789))
        self.assertTrue(origin.heads[0].startswith("HEAD / "))
        self.assertEqual(await reply.read(0), b"")
        reply = await self.upstream.ask(url, method="HEAD")
        reply.abandon()
        await self.upstream.ask(url)
        self.assertEqual(len(origin.connections), 1)

    async def test_head_without_length(self) -> None:
        """A HEAD may leave open how long a file is."""
        url = self.network.serve(Origin(OPEN + b"ETag: a\r\n\r\n"))
        self.assertIsNone((await self.upstream.ask(url, method="HEAD")).length)

    async def test_not_modified(self) -> None:
        """304 has no body, whatever length it says."""
        origin = Origin(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: a\r\n\r\n")
        asked = (("If-None-Match", "a"),)
        reply = await self.upstream.ask(self.network.serve(origin), fields=asked)
        self.assertEqual((reply.status, reply.fields), (304, (("ETag", "a"),)))
        self.assertEqual(await reply.read(0), b"")

    async def test_not_asked_for(self) -> None:
        """A part that nobody wants, and a 304 to no condition, are no answers."""
        for status in (b"206 Partial Content", b"304 Not Modified"):
            for verbatim in (False, True):
                origin = Origin(plain(b"", status=status))
                asking = self.upstream.ask(self.network.serve(origin), verbatim=verbatim)
                error = await self.assertFailure(started(asking), Unreachable)
                self.assertEqual(error.reason, "protocol")

    async def test_no_url(self) -> None:
        """What cannot be asked is unreachable."""
        for url in (
            "http://",
            "gopher://a.example/",
            "http://a.example:x/",
            "http://\xe9.example:x",
        ):
            with self.subTest(url), self.assertRaises(Unreachable):
                await self.upstream.ask(url)

    async def test_hangs_up(self) -> None:
        """An upstream that ends the connection instead of answering is unreachable."""
        for said in (None, OPEN):
            with self.subTest(said), self.assertRaises(Unreachable) as raised:
                await self.upstream.ask(self.network.serve(Origin(said, close=True)))
            self.assertEqual(raised.exception.reason, "protocol")

    async def test_too_late(self) -> None:
        """An upstream that does not answer in time has timed out."""
        origin = Origin(None)
        asking = started(self.upstream.ask(self.network.serve(origin)))
        connection = await origin.when_asked()
        self.network.clock.advance(HEAD_TIMEOUT)
        error = self.failureResultOf(asking, TimedOut).value
        self.assertEqual(error.reason, "timeout")
        self.assertIn("did not answer within 15 s", str(error))
        await connection.closed

    async def test_cancelled(self) -> None:
        """A question that is cancelled drops the connection, and is no fault of the upstream."""
        origin = Origin(None)
        asking = started(self.upstream.ask(self.network.serve(origin)))
        connection = await origin.when_asked()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])
        await connection.closed

    async def test_cancelled_while_resolving(self) -> None:
        """The same goes while a name is looked up."""
        asking = started(self.upstream.ask(self.network.serve(Origin())))
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])


class ConnectTests(SynchronousTestCase):
    """An upstream may not be there."""

    def failure_of(self, host: str, error: Exception) -> UpstreamError:
        """Ask, let the connection fail, and find out what is made of it."""
        asking = self.ask(f"http://{host}/a")
        factory = self.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(self.reactor.connectors[0], Failure(error))
        self.reactor.advance(1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        failure: UpstreamError = self.failureResultOf(asking, UpstreamError).value
        return failure

    def ask(self, url: str) -> Deferred[Reply]:
        """Ask, by a reactor without a network."""
        self.reactor = MemoryReactorClock()
        agent = ExactAgent(
            self.reactor,
            policy(None),
            connect_timeout=CONNECT_TIMEOUT,
            head_timeout=HEAD_TIMEOUT,
        )
        metrics = Metrics(CollectorRegistry())
        shedding = Shedding(self.reactor, metrics.refused)
        turns, uploads = (Turns(self.reactor, shedding, 1) for _ in range(2))
        self.upstream = Upstream(agent, self.reactor, STALL_TIMEOUT, metrics, turns, uploads)
        return started(self.upstream.ask(url))

    def test_refused(self) -> None:
        """An upstream that does not listen is unreachable, be it called by name or address."""
        for host in (
            "upstream.example:1",
            "192.0.2.1",
            "[2001:db8::1]:81",
            "\xe9.example",
        ):
            with self.subTest(host):
                error = self.failure_of(host, ConnectionRefusedError())
                self.assertIsInstance(error, Unreachable)
                self.assertEqual((error.reason, error.host), ("refused", host))

    def test_no_route(self) -> None:
        """So is one to which no way leads."""
        error = self.failure_of("upstream.example", NoRouteError())
        self.assertIsInstance(error, Unreachable)
        self.assertEqual(error.reason, "connect")

    def test_too_many_open_files(self) -> None:
        """Where there is no descriptor left it is no fault of the upstream's."""
        for cause in (ConnectError(errno.EMFILE, "too many"), ConnectError(errno.ENFILE, "no")):
            error = self.failure_of("upstream.example", cause)
            self.assertIsInstance(error, Overloaded)
            self.assertEqual((error.reason, error.host), ("descriptors", ""))

    def test_no_descriptor_for_a_name(self) -> None:
        """A name that cannot be looked up without one is not taken for one that is not there."""
        self.assertEqual(self.failure_of("a.example", DNSLookupError()).reason, "dns")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        asking = self.ask("http://a.example/a")
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        factory = self.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(self.reactor.connectors[0], Failure(DNSLookupError()))
        self.reactor.advance(1)
        self.failureResultOf(asking, Overloaded)

    def test_turns(self) -> None:
        """A question waits for its turn, which the one before gives back however it ends."""
        first = self.ask("http://a.example/a")
        second = started(self.upstream.ask("http://a.example/b"))
        self.assertEqual(len(self.reactor.tcpClients), 1)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(len(self.reactor.tcpClients), 2)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_turns_of_uploads(self) -> None:
        """What takes as long as a client likes holds up further uploads, and nothing else."""
        bodies = [Passing(), Passing()]
        url = "http://a.example/a"
        question = self.ask(url)
        uploads = [
            started(self.upstream.ask(url, method="PUT", body=body, verbatim=True))
            for body in bodies
        ]
        self.assertEqual(len(self.reactor.tcpClients), 2)
        uploads[0].cancel()
        self.failureResultOf(uploads[0], CancelledError)
        self.assertEqual(len(self.reactor.tcpClients), 3)
        for asking in (uploads[1], question):
            asking.cancel()
            self.failureResultOf(asking, CancelledError)
        self.assertEqual([body.closed for body in bodies], [1, 1])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_turns_of_clients(self) -> None:
        """Where there are four at once, one client has two of them, and another the next."""
        first = self.ask("http://a.example/a")
        self.upstream.turns.each = 4
        askers = [Asker("one")] * 3 + [Asker("another")]
        asking = [
            started(self.upstream.ask("http://a.example/a", asker=asker, verbatim=verbatim))
            for asker, verbatim in zip(askers, (True, False, True, False), strict=True)
        ]
        self.assertEqual(len(self.reactor.tcpClients), 1 + 3)
        for one in (asking[3], *asking[:3], first):
            one.cancel()
            self.failureResultOf(one, CancelledError)

    def test_others_give_up(self) -> None:
        """If Twisted or the kernel loses patience before we do, it is a timeout all the same."""
        for cause in (TimeoutError(), TCPTimedOutError()):
            with self.subTest(cause):
                error = self.failure_of("upstream.example", cause)
                self.assertIsInstance(error, TimedOut)
                self.assertEqual(error.reason, "timeout")

    def test_does_not_connect(self) -> None:
        """An upstream that does not connect in time has timed out."""
        asking = self.ask("http://upstream.example/a")
        self.reactor.advance(CONNECT_TIMEOUT)
        error = self.failureResultOf(asking, TimedOut).value
        self.assertEqual(str(error), "upstream.example did not connect within 10 s")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """A question that is cancelled stops connecting."""
        asking = self.ask("http://upstream.example/a")
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class RedirectTests(TestCase):
    """Redirects are followed, within bounds."""

    timeout = 60

    def setUp(self) -> None:
        """Make a network."""
        self.network = Network(self)
        self.upstream = self.network.upstream

    async def test_eight(self) -> None:
        """Eight redirects are followed, by one connection where it is one host."""
        origin = Origin(*(moved(f"/{number}") for number in range(8)), plain(b"abc"))
        url = self.network.serve(origin)
        reply = await self.upstream.ask(url + "/a", fields=(("Range", "bytes=0-"),))
        self.assertEqual((reply.status, reply.hops, reply.url), (200, 8, url + "/7"))
        self.assertEqual(await reply.read(10), b"abc")
        self.assertEqual(len(origin.connections), 1)
        for head in origin.heads:
            self.assertIn("Range: bytes=0-", head)

    async def test_nine(self) -> None:
        """Nine are too many."""
        origin = Origin(*(moved("/a?") for _ in range(9)), plain(b"abc"))
        url = self.network.serve(origin)
        with self.assertRaises(Unreachable) as raised:
            await self.upstream.ask(url + "/a")
        self.assertEqual(raised.exception.reason, "redirect")
        self.assertEqual(len(origin.requests), 9)

    async def test_other_host(self) -> None:
        """A reply tells who gave it, by whatever status the redirect was, and keeps the method."""
        for status in (b"301 A", b"302 A", b"303 A", b"307 A", b"308 A"):
            with self.subTest(status):
                mirror = Origin(plain(b""))
                there = self.network.serve(mirror)
                here = self.network.serve(Origin(moved(there + "/x", status)))
                reply = await self.upstream.ask(here, method="HEAD")
                self.assertEqual(reply.host, there.removeprefix("http://"))
                self.assertEqual((reply.hops, reply.url), (1, there + "/x"))
                self.assertTrue(mirror.heads[0].startswith("HEAD /x "))

    async def test_relative(self) -> None:
        """A Location may be relative, and have octets that a URL has not."""
        origin = Origin(moved("../c d/\xc3\xa9\xff%2B?x"), plain(b""))
        url = self.network.serve(origin)
        reply = await self.upstream.ask(url + "/a/b/e")
        self.assertEqual(reply.url, url + "/a/c%20d/%C3%A9%FF%2B?x")
        self.assertTrue(origin.heads[1].startswith("GET /a/c%20d/%C3%A9%FF%2B?x "))

    async def test_slash(self) -> None:
        """A redirect that only adds a slash is the reply."""
        origin = Origin(moved("/a/b/", b"301 Moved Permanently"), plain(b""))
        url = self.network.serve(origin)
        reply = await self.upstream.ask(url + "/a/b")
        self.assertEqual((reply.status, reply.redirect, reply.hops), (301, "/a/b/", 0))
        reply.abandon()
        await self.network.settle()
        await self.upstream.ask(url)
        self.assertEqual(len(origin.connections), 1)

    async def test_refused(self) -> None:
        """A redirect that leads where we do not go is an error that says so."""
        origin = Origin(moved("ftp://mirror.example/a"))
        with self.assertRaises(Unreachable) as raised:
            await self.upstream.ask(self.network.serve(origin))
        self.assertEqual(raised.exception.reason, "redirect")
        self.assertIn("redirects, but", str(raised.exception))

    async def test_gives_up_tls(self) -> None:
        """What must come by TLS is not asked for without."""
        mirror, files = Origin(plain(b"abc")), certificate_files(self.mktemp())
        there = self.network.serve(mirror)
        network = Network(self, files.authority)
        url = network.serve(Origin(moved(there), moved(there)), files)
        with self.assertRaises(Unreachable) as raised:
            await network.upstream.ask(url, https_only=True)
        self.assertEqual(raised.exception.reason, "redirect")
        self.assertEqual(mirror.requests, [])
        self.assertEqual((await network.upstream.ask(url)).url, there)

    async def test_stalling_body(self) -> None:
        """A redirect whose body stalls is followed when that is clear."""
        half = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 9\r\n\r\nabc"
        origin = Origin(half, plain(b"abc"))
        asking = started(self.upstream.ask(self.network.serve(origin)))
        connection = await origin.when_asked()
        await self.network.settle()
        self.network.clock.advance(STALL_TIMEOUT)
        self.assertEqual((await asking).hops, 1)
        await connection.closed

    async def test_cancelled(self) -> None:
        """A question can be cancelled between one redirect and the next."""
        half = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 9\r\n\r\nabc"
        origin = Origin(half)
        asking = started(self.upstream.ask(self.network.serve(origin)))
        connection = await origin.when_asked()
        await self.network.settle()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        await connection.closed

    async def test_without_location(self) -> None:
        """A redirect that does not say where is the reply."""
        url = self.network.serve(Origin(plain(b"abc", status=b"302 Found")))
        reply = await self.upstream.ask(url)
        self.assertEqual((reply.status, reply.redirect), (302, None))
        self.assertEqual(await reply.read(10), b"abc")

    async def test_alias(self) -> None:
        """A reply tells the real name of what was asked for by an alias."""
        origin = Origin(moved("b-1.iso"), plain(b""), plain(b""), moved("a.iso"), plain(b""))
        url = self.network.serve(origin)
        for path, real in (("/x/b-Current.iso", "b-1.iso"), ("/x/b-1.iso", None)):
            reply = await self.upstream.ask(url + path)
            self.assertEqual((reply.status, reply.alias_of), (200, real))
        reply = await self.upstream.ask(url + "/x/b-Current.iso", verbatim=True)
        self.assertEqual((reply.status, reply.alias_of), (302, None))
        reply.abandon()

    async def test_large_bodies(self) -> None:
        """A redirect's body is not waited for."""
        origin = Origin(
            b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 99999999\r\n\r\nabc",
            plain(b"abc"),
        )
        reply = await self.upstream.ask(self.network.serve(origin))
        self.assertEqual(await reply.read(10), b"abc")
        await origin.connections[0].closed
        self.assertEqual(len(origin.connections), 2)
