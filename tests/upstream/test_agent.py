"""Tests of `osproxy.upstream.agent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import ResponseFailed, readBody
from twisted.web.http_headers import Headers

from osproxy.http.fields import every
from osproxy.http.lines import BadMessage
from osproxy.upstream.agent import ExactAgent, ExactResponse
from osproxy.upstream.line import READ_AT_ONCE
from osproxy.upstream.trust import policy
from osproxy.upstream.watch import TookTooLong
from tests.upstream.origins import CONNECT_TIMEOUT, HEAD_TIMEOUT, Network, Origin, plain
from tests.web.certificates import certificate_files

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.web.iweb import IResponse

    from osproxy.upstream.exchange import Exchange
    from tests.upstream.origins import Connection


async def ask(network: Network, url: str, headers: Headers | None = None) -> IResponse:
    """Ask for a file."""
    response: IResponse = await network.agent.request(b"GET", url.encode("ascii"), headers)
    return response


class ExactTests(TestCase):
    """Nothing is added to a question, and nothing changed in an answer."""

    timeout = 60

    async def test_question(self) -> None:
        """What is sent is what is given, and to whom."""
        network, origin = Network(self), Origin(plain(b""), plain(b""))
        url = network.serve(origin)
        headers = Headers({"Accept-Encoding": ["gzip", "br"], "Cookie": ["a=b"], "X": ["y"]})
        await ask(network, url, headers)
        await ask(network, url)
        host = f"Host: {url.removeprefix('http://')}"
        fields = ["Accept-Encoding: gzip", "Accept-Encoding: br", "Cookie: a=b", "X: y"]
        self.assertEqual(
            [head.split("\r\n") for head in origin.heads],
            [["GET / HTTP/1.1", host, *fields], ["GET / HTTP/1.1", host]],
        )

    async def test_answer(self) -> None:
        """All that is said is known, though not to who would act on it."""
        network = Network(self)
        said = (b"Content-Encoding: gzip", b"Set-Cookie: a=b", b"content-encoding: br")
        response = await ask(network, network.serve(Origin(plain(b"abc", *said))))
        self.assertEqual(list(response.headers.getAllRawHeaders()), [])
        self.assertIsInstance(response, ExactResponse)
        exchange: Exchange = response.exchange  # type: ignore[attr-defined]
        assert exchange.head is not None
        self.assertEqual(every(exchange.head.fields, "content-encoding"), ["gzip", "br"])
        self.assertEqual(every(exchange.head.fields, "set-cookie"), ["a=b"])
        self.assertEqual(await readBody(response), b"abc")

    async def test_no_answer(self) -> None:
        """What makes no sense is no answer."""
        network = Network(self)
        with self.assertRaises(BadMessage):
            await ask(network, network.serve(Origin(b"<html>\r\n\r\n")))


class ConnectionTests(TestCase):
    """Connections are made for bulk, and used again."""

    timeout = 60

    async def read_at_once(self, network: Network, url: str) -> int:
        """Find how much is read at once from the socket beneath a response."""
        waiting: Deferred[IResponse] = network.agent.request(b"GET", url.encode("ascii"))
        response = await waiting
        proxy: Any = response.original._transport  # type: ignore[attr-defined]
        transport = proxy._producer
        while hasattr(transport, "transport"):
            transport = transport.transport
        found: int = transport.bufferSize
        await readBody(response)
        return found

    async def test_reads_large_pieces(self) -> None:
        """Sockets are read in large pieces."""
        network = Network(self)
        url = network.serve(Origin(plain(b"abc")))
        self.assertEqual(await self.read_at_once(network, url), READ_AT_ONCE)

    async def test_reads_large_pieces_of_tls(self) -> None:
        """The socket beneath TLS is read in large pieces, too."""
        files = certificate_files(self.mktemp())
        network = Network(self, files.authority)
        url = network.serve(Origin(plain(b"abc")), files)
        self.assertEqual(await self.read_at_once(network, url), READ_AT_ONCE)

    async def test_used_again(self) -> None:
        """A connection serves one request after another, and is closed when it idles."""
        network, origin = Network(self), Origin(plain(b"a"), plain(b"b"))
        url = network.serve(origin)
        self.assertEqual(await readBody(await ask(network, url)), b"a")
        self.assertEqual(await readBody(await ask(network, url)), b"b")
        [connection] = origin.connections
        network.clock.advance(60)
        await connection.closed

    async def test_closed_meanwhile(self) -> None:
        """A kept connection that the upstream closes under a question is replaced by a new one."""
        network, origin = Network(self), Origin(plain(b"a"), None, plain(b"b"))
        url = network.serve(origin)
        await readBody(await ask(network, url))
        asked: Deferred[Connection] = origin.when_asked()
        asked.addCallback(lambda connection: connection.hang_up())
        self.assertEqual(await readBody(await ask(network, url)), b"b")
        self.assertEqual(len(origin.connections), 2)

    async def test_closed_meanwhile_after_octets(self) -> None:
        """It is not when an answer had begun: what asks twice may do twice."""
        network, origin = Network(self), Origin(plain(b"a"), b"HTTP/1.1 2", plain(b"b"))
        url = network.serve(origin)
        await readBody(await ask(network, url))
        asked: Deferred[Connection] = origin.when_asked()
        asked.addCallback(lambda connection: connection.hang_up())
        with self.assertRaises(ResponseFailed):
            await ask(network, url)
        self.assertEqual(len(origin.requests), 2)

    async def test_not_closed(self) -> None:
        """Nor is one that makes no sense asked for again."""
        network, origin = Network(self), Origin(plain(b"a"), b"HTTP/2 200\r\n\r\n", plain(b"b"))
        url = network.serve(origin)
        await readBody(await ask(network, url))
        with self.assertRaises(BadMessage):
            await ask(network, url)
        self.assertEqual(len(origin.requests), 2)

    async def test_not_repeatable(self) -> None:
        """What must not be asked twice has a connection of its own, and leaves it to nobody."""
        network = Network(self)
        origin = Origin(plain(b"a"), plain(b"b"), plain(b"c"), None)
        url = network.serve(origin)
        for method in (b"GET", b"POST", b"GET"):
            await readBody(await network.agent.request(method, url.encode("ascii")))
        first, second = origin.connections
        self.assertEqual([asked for asked, _ in origin.requests], [first, second, first])
        await second.closed
        asking = network.agent.request(b"POST", url.encode("ascii"))
        (await origin.when_asked()).hang_up()
        with self.assertRaises(ResponseFailed):
            await asking
        self.assertEqual(len(origin.requests), 4)

    async def test_spoken_unasked(self) -> None:
        """What an upstream says unasked answers nobody, whenever it comes."""
        evil = plain(b"evil")
        for late in (False, True):
            with self.subTest(late=late):
                network, origin = Network(self), Origin(plain(b"a"), plain(b"b"))
                url = network.serve(origin)
                self.assertEqual(await readBody(await ask(network, url)), b"a")
                transport: Any = origin.connections[0].transport
                # By the socket itself: it lies there when the next question is asked.
                transport.getHandle().send(evil)
                if late:
                    await origin.connections[0].closed
                self.assertEqual(await readBody(await ask(network, url)), b"b")
                self.assertEqual(len(origin.connections), 2)

    async def test_close(self) -> None:
        """Closing closes the connections that are kept."""
        network, origin = Network(self), Origin(plain(b"a"))
        await readBody(await ask(network, network.serve(origin)))
        await network.agent.close()
        await origin.connections[0].closed


class HeadTimeoutTests(TestCase):
    """An upstream has its time to answer, from when there is a connection."""

    timeout = 60

    async def test_new_connection(self) -> None:
        """An upstream that says nothing is given up, and its connection dropped."""
        network, origin = Network(self), Origin(None)
        asking = network.agent.request(b"GET", network.serve(origin).encode("ascii"))
        await self.silent(network, origin, asking)

    async def test_kept_connection(self) -> None:
        """On a connection that was kept the time is the same."""
        network, origin = Network(self), Origin(plain(b"a"), None)
        url = network.serve(origin)
        await readBody(await ask(network, url))
        await self.silent(network, origin, network.agent.request(b"GET", url.encode("ascii")))

    async def test_half_a_head(self) -> None:
        """Half a head is no answer."""
        network, origin = Network(self), Origin(b"HTTP/1.1 200 OK\r\nContent-Le")
        asking = network.agent.request(b"GET", network.serve(origin).encode("ascii"))
        await self.silent(network, origin, asking)

    async def test_replaced_connection(self) -> None:
        """When a kept connection has to be replaced, the time begins again with the new one."""
        network, origin = Network(self), Origin(plain(b"a"), None, None)
        url = network.serve(origin)
        await readBody(await ask(network, url))
        asking = network.agent.request(b"GET", url.encode("ascii"))
        connection = await origin.when_asked()
        network.clock.advance(HEAD_TIMEOUT - 1)
        connection.hang_up()
        await self.silent(network, origin, asking)

    async def test_answered(self) -> None:
        """A body may take longer than the head."""
        network = Network(self)
        origin = Origin(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        response = await ask(network, network.serve(origin))
        self.assertEqual(network.clock.getDelayedCalls(), [])
        reading = readBody(response)
        network.clock.advance(HEAD_TIMEOUT)
        origin.connections[0].say(b"abc")
        self.assertEqual(await reading, b"abc")

    async def test_cancelled(self) -> None:
        """A question that is cancelled ends its connection and leaves no timer."""
        network, origin = Network(self), Origin(None)
        asking = network.agent.request(b"GET", network.serve(origin).encode("ascii"))
        connection = await origin.when_asked()
        asking.cancel()
        self.assertEqual(network.clock.getDelayedCalls(), [])
        await connection.closed
        self.assertTrue(self.failureResultOf(asking))

    async def silent(self, network: Network, origin: Origin, asking: Deferred[IResponse]) -> None:
        """Expect that the upstream is given up when its time is over, and not before."""
        connection = await origin.when_asked()
        network.clock.advance(HEAD_TIMEOUT - 0.1)
        self.assertNoResult(asking)
        network.clock.advance(0.1)
        failure = self.failureResultOf(asking, TookTooLong)
        self.assertEqual(str(failure.value), "did not answer within 15 s")
        self.assertEqual(network.clock.getDelayedCalls(), [])
        await connection.closed


class ConnectTimeoutTests(SynchronousTestCase):
    """An upstream has its time to accept a connection."""

    def setUp(self) -> None:
        """Ask, by a reactor without a network."""
        self.reactor = MemoryReactorClock()
        agent = ExactAgent(
            self.reactor,
            policy(None),
            connect_timeout=CONNECT_TIMEOUT,
            head_timeout=HEAD_TIMEOUT,
        )
        self.asking = agent.request(b"GET", b"http://upstream.example/a")

    def test_too_long(self) -> None:
        """An upstream that accepts no connection is given up."""
        self.reactor.advance(CONNECT_TIMEOUT - 0.1)
        self.assertNoResult(self.asking)
        self.reactor.advance(0.1)
        failure = self.failureResultOf(self.asking, TookTooLong)
        self.assertEqual(str(failure.value), "did not connect within 10 s")
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """A question that is cancelled stops connecting and leaves no timer."""
        self.asking.cancel()
        self.assertTrue(self.failureResultOf(self.asking))
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
