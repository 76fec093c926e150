"""Tests of `osproxy.upstream.agent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import readBody
from twisted.web.http_headers import Headers

from osproxy.upstream.agent import HIDDEN_ENCODING, ExactAgent, TookTooLong
from osproxy.upstream.line import READ_AT_ONCE
from osproxy.upstream.trust import policy
from tests.upstream.origins import CONNECT_TIMEOUT, HEAD_TIMEOUT, Network, Origin, plain
from tests.web.certificates import certificate_files

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.web.iweb import IResponse

    from tests.upstream.origins import Connection


async def ask(network: Network, url: str, headers: Headers | None = None) -> IResponse:
    """Ask for a file."""
    response: IResponse = await network.agent.request(b"GET", url.encode("ascii"), headers)
    return response


class ExactTests(TestCase):
    """Nothing is added to a question, and nothing changed in an answer."""

    timeout = 10

    async def test_identity(self) -> None:
        """Whoever asks, upstreams are asked for files as they are, and get no cookies."""
        network, origin = Network(self), Origin(plain(b""))
        headers = Headers({"Accept-Encoding": ["gzip", "br"], "Cookie": ["a=b"], "X": ["y"]})
        await ask(network, network.serve(origin), headers)
        [head] = origin.heads
        self.assertEqual(head.lower().count("accept-encoding: identity"), 1)
        self.assertNotIn("gzip", head)
        self.assertNotIn("cookie", head.lower())
        self.assertIn("X: y", head)
        self.assertEqual(headers.getRawHeaders("Cookie"), ["a=b"], "not ours to change")

    async def test_hidden(self) -> None:
        """An encoding is put where treq does not find it, and an upstream cannot feign that."""
        network = Network(self)
        name = HIDDEN_ENCODING
        url = network.serve(
            Origin(
                plain(b"", b"Content-Encoding: gzip", name + b": br", b"Set-Cookie: a=b"),
                plain(b"", name + b": br"),
            )
        )
        encoded, bare = (await ask(network, url)).headers, (await ask(network, url)).headers
        self.assertEqual(encoded.getRawHeaders(name), [b"gzip"])
        self.assertFalse(encoded.hasHeader("Content-Encoding"))
        self.assertFalse(encoded.hasHeader("Set-Cookie"))
        self.assertFalse(bare.hasHeader(name))


class ConnectionTests(TestCase):
    """Connections are made for bulk, and used again."""

    timeout = 10

    async def read_at_once(self, network: Network, url: str) -> int:
        """Find how much is read at once from the socket beneath a response."""
        waiting: Deferred[IResponse] = network.agent.request(b"GET", url.encode("ascii"))
        response = await waiting
        proxy: Any = response._transport  # type: ignore[attr-defined]
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

    async def test_close(self) -> None:
        """Closing closes the connections that are kept."""
        network, origin = Network(self), Origin(plain(b"a"))
        await readBody(await ask(network, network.serve(origin)))
        await network.agent.close()
        await origin.connections[0].closed


class HeadTimeoutTests(TestCase):
    """An upstream has its time to answer, from when there is a connection."""

    timeout = 10

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
