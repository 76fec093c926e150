"""Tests of `osproxy.upstream.reply.Reply`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import TestCase

from osproxy.upstream.reply import TimedOut, Unreachable
from tests.upstream.origins import STALL_TIMEOUT, Network, Origin, Sink, plain, raising, started
from tests.web.certificates import certificate_files

if TYPE_CHECKING:
    from osproxy.upstream.reply import Reply
    from tests.upstream.origins import Connection

OPEN = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OPEN + b"Transfer-Encoding: chunked\r\n\r\n"
TEN = OPEN + b"Content-Length: 10\r\n\r\n"


class ReplyTestCase(TestCase):
    """Has a network, and a reply whose body the test sends."""

    timeout = 60

    def setUp(self) -> None:
        """Make a network."""
        self.network = Network(self)
        self.clock = self.network.clock
        self.sink = Sink()

    async def ask(self, said: bytes, *more: bytes) -> tuple[Reply, Connection]:
        """Ask an origin that says so much at first."""
        self.origin = Origin(said, *more)
        self.url = self.network.serve(self.origin)
        reply = await self.network.upstream.ask(self.url + "/a")
        return reply, self.origin.connections[0]

    async def expect_reuse(self, connections: int) -> None:
        """Expect that so many connections are enough for another question."""
        await self.network.settle()
        self.origin.replies.append(plain(b"again"))
        reply = await self.network.upstream.ask(self.url + "/b")
        self.assertEqual(await reply.read(10), b"again")
        self.assertEqual(len(self.origin.connections), connections)


class DeliverTests(ReplyTestCase):
    """A body is delivered whole, or with an error."""

    async def test_length(self) -> None:
        """A body of known length ends when it is complete, and the connection is kept."""
        reply, connection = await self.ask(TEN + b"abc")
        self.assertEqual(reply.length, 10)
        delivering = started(reply.deliver(self.sink))
        await self.sink.when_has(3)
        self.assertNoResult(delivering)
        connection.say(b"defghij")
        await delivering
        self.assertEqual(self.sink.content, b"abcdefghij")
        registry = self.network.metrics.registry
        self.assertEqual(registry.get_sample_value("osproxy_upstream_received_bytes_total"), 10)
        await self.expect_reuse(1)

    async def test_large(self) -> None:
        """A large body comes exact, also by TLS."""
        body = bytes(range(256)) * 8192
        files = certificate_files(self.mktemp())
        network = Network(self, files.authority)
        for url in (
            self.network.serve(Origin(plain(body))),
            network.serve(Origin(plain(body)), files),
        ):
            sink = Sink()
            await (await network.upstream.ask(url)).deliver(sink)
            self.assertEqual(sink.content, body)

    async def test_protocol(self) -> None:
        """The version of HTTP is told."""
        for version in (b"1.0", b"1.1"):
            reply, _ = await self.ask(b"HTTP/" + version + b" 200 OK\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(reply.protocol, version.decode())
            await reply.deliver(self.sink)

    async def test_empty(self) -> None:
        """An empty body ends at once."""
        reply, _ = await self.ask(plain(b""))
        self.assertEqual(reply.length, 0)
        await reply.deliver(self.sink)
        self.assertEqual(self.sink.content, b"")

    async def test_cut_short(self) -> None:
        """A body that is shorter than it says is an error, not a short body."""
        reply, connection = await self.ask(TEN + b"abc")
        connection.hang_up()
        with self.assertRaises(Unreachable) as raised:
            await reply.deliver(self.sink)
        self.assertEqual(raised.exception.reason, "truncated")
        self.assertEqual(self.sink.content, b"abc")

    async def test_cut_short_by_reset(self) -> None:
        """So it is when the connection breaks under it."""
        reply, connection = await self.ask(TEN + b"abc")
        delivering = started(reply.deliver(self.sink))
        await self.sink.when_has(3)
        assert connection.transport is not None
        connection.transport.abortConnection()  # type: ignore[attr-defined]
        with self.assertRaises(Unreachable):
            await delivering

    async def test_chunked(self) -> None:
        """A chunked body tells its end, not its length."""
        reply, _ = await self.ask(CHUNKED + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX: y\r\n\r\n")
        self.assertIsNone(reply.length)
        await reply.deliver(self.sink)
        self.assertEqual(self.sink.content, b"abcdefg")
        await self.expect_reuse(1)

    async def test_chunked_cut_short(self) -> None:
        """A chunked body without its end is an error."""
        for body in (b"", b"3\r\nab", b"3\r\nabc\r\n", b"3\r\nabc\r\n0\r\n"):
            with self.subTest(body):
                reply, connection = await self.ask(CHUNKED + body)
                connection.hang_up()
                with self.assertRaises(Unreachable) as raised:
                    await reply.deliver(self.sink)
                self.assertEqual(raised.exception.reason, "truncated")

    async def test_chunked_badly(self) -> None:
        """Chunks that make no sense are an error, and end the connection."""
        reply, connection = await self.ask(CHUNKED)
        delivering = started(reply.deliver(self.sink))
        connection.say(b"3\r\nabcd\r\n0\r\n\r\n")
        with self.assertRaises(Unreachable) as raised:
            await delivering
        self.assertEqual(raised.exception.reason, "protocol")
        self.assertEqual(self.sink.content, b"")
        await connection.closed

    async def test_close_delimited(self) -> None:
        """Where no length is said the body ends with the connection."""
        reply, connection = await self.ask(OPEN + b"\r\nabc")
        self.assertIsNone(reply.length)
        delivering = started(reply.deliver(self.sink))
        connection.say(b"def")
        connection.hang_up()
        await delivering
        self.assertEqual(self.sink.content, b"abcdef")

    async def test_broken_off(self) -> None:
        """When the connection is reset instead, the body was not whole."""
        reply, connection = await self.ask(OPEN + b"\r\nabc")
        await self.expect_broken_off(reply, connection.transport)

    async def test_broken_off_early(self) -> None:
        """So it is when that happens before anybody takes the body."""
        reply, connection = await self.ask(OPEN + b"\r\nabc")
        reply.pause()
        delivering = started(reply.deliver(self.sink))
        connection.transport.abortConnection()  # type: ignore[union-attr]
        await connection.closed
        reply.resume()
        with self.assertRaises(Unreachable):
            await delivering

    async def test_close_delimited_by_tls(self) -> None:
        """With TLS the end has to be said, and is not that of the socket (RFC 9112 section 9.8)."""
        files = certificate_files(self.mktemp())
        network, origin = Network(self, files.authority), Origin(*[OPEN + b"\r\nabc"] * 2)
        url = network.serve(origin, files)
        reply = await network.upstream.ask(url)
        origin.connections[0].hang_up()
        self.assertEqual(await reply.read(3), b"abc")
        reply = await network.upstream.ask(url)
        tls: Any = origin.connections[1].transport
        await self.expect_broken_off(reply, tls.transport, "loseConnection")

    async def expect_broken_off(
        self, reply: Reply, transport: Any, end: str = "abortConnection"
    ) -> None:
        """Expect that a body is not whole if the connection ends so."""
        delivering = started(reply.deliver(self.sink))
        await self.sink.when_has(3)
        getattr(transport, end)()
        with self.assertRaises(Unreachable) as raised:
            await delivering
        self.assertEqual(raised.exception.reason, "truncated")

    async def test_stalls(self) -> None:
        """A body that stalls is given up; each octet gives it time again."""
        reply, connection = await self.ask(TEN)
        delivering = started(reply.deliver(self.sink))
        self.clock.advance(STALL_TIMEOUT - 1)
        connection.say(b"a")
        await self.sink.when_has(1)
        self.clock.advance(STALL_TIMEOUT - 1)
        self.assertNoResult(delivering)
        self.clock.advance(1)
        error = self.failureResultOf(delivering, TimedOut).value
        self.assertEqual(error.reason, "stalled")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        await connection.closed

    async def test_sink_raises(self) -> None:
        """What cannot be taken is not fetched: the error is raised and the connection dropped."""
        for said in (TEN + b"abc", TEN):
            with self.subTest(said):
                reply, connection = await self.ask(said)
                delivering = started(reply.deliver(raising(OSError("disk full"))))
                if said == TEN:
                    connection.say(b"abc")
                with self.assertRaisesRegex(OSError, "disk full"):
                    await delivering
                self.assertEqual(self.clock.getDelayedCalls(), [])
                await connection.closed

    async def test_sink_raises_at_the_end(self) -> None:
        """So it is with the last octets, when the connection is good for another question."""
        reply, _ = await self.ask(plain(b"abc"))
        with self.assertRaisesRegex(OSError, "disk full"):
            await reply.deliver(raising(OSError("disk full")))

    async def test_cancelled(self) -> None:
        """Who cancels a delivery drops the connection, and leaves no timer."""
        reply, connection = await self.ask(TEN + b"abc")
        delivering = started(reply.deliver(self.sink))
        delivering.cancel()
        self.failureResultOf(delivering, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        await connection.closed
        reply.abandon()

    async def test_taken_once(self) -> None:
        """A body is delivered once."""
        reply, _ = await self.ask(plain(b"abc"))
        await reply.deliver(self.sink)
        with self.assertRaises(AssertionError):
            await reply.deliver(self.sink)


class ReadTests(ReplyTestCase):
    """A small body is read at once."""

    async def test_limit(self) -> None:
        """As much as the limit is accepted."""
        reply, _ = await self.ask(plain(b"abc"))
        self.assertEqual(await reply.read(3), b"abc")

    async def test_beyond_limit(self) -> None:
        """More is not, and is not fetched."""
        for said in (TEN + b"abc", CHUNKED + b"3\r\nabc\r\n"):
            with self.subTest(said):
                reply, connection = await self.ask(said)
                with self.assertRaises(Unreachable) as raised:
                    await reply.read(2)
                self.assertEqual(raised.exception.reason, "size")
                await connection.closed


class PauseTests(ReplyTestCase):
    """Who cannot take more can pause a body."""

    async def test_before(self) -> None:
        """Paused before delivery, nothing is delivered, and nothing has stalled."""
        reply, connection = await self.ask(TEN + b"abc")
        reply.pause()
        delivering = started(reply.deliver(self.sink))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        connection.say(b"def")
        await self.network.settle()
        self.assertEqual(self.sink.content, b"")
        reply.resume()
        connection.say(b"ghij")
        await delivering
        self.assertEqual(self.sink.content, b"abcdefghij")

    async def test_during(self) -> None:
        """Paused during delivery, the upstream is not read and does not stall until resumed."""
        reply, connection = await self.ask(TEN)
        delivering = started(reply.deliver(self.sink))
        connection.say(b"abc")
        await self.sink.when_has(3)
        reply.pause()
        reply.pause()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(STALL_TIMEOUT * 2)
        connection.say(b"def")
        await self.network.settle()
        self.assertEqual(self.sink.content, b"abc")
        reply.resume()
        reply.resume()
        await self.sink.when_has(6)
        self.clock.advance(STALL_TIMEOUT)
        self.failureResultOf(delivering, TimedOut)

    async def test_by_the_sink(self) -> None:
        """A sink may pause when it is called, also by what came with the head."""
        reply, connection = await self.ask(TEN + b"abc")

        def take(data: bytes) -> None:
            reply.pause()
            self.sink(data)

        delivering = started(reply.deliver(take))
        await self.sink.when_has(3)
        connection.say(b"defghij")
        await self.network.settle()
        self.assertEqual(self.sink.content, b"abc")
        self.clock.advance(STALL_TIMEOUT)
        self.assertNoResult(delivering)
        reply.resume()
        await delivering
        self.assertEqual(self.sink.content, b"abcdefghij")

    async def test_at_the_end(self) -> None:
        """A pause that is never ended does not hold up the next on the same connection."""
        reply, _ = await self.ask(plain(b"abc"))

        def take(data: bytes) -> None:
            reply.pause()

        await reply.deliver(take)
        reply.resume()
        reply.pause()
        await self.expect_reuse(1)

    async def test_cancelled(self) -> None:
        """A delivery can be cancelled while it is paused."""
        reply, connection = await self.ask(TEN + b"abc")
        reply.pause()
        delivering = started(reply.deliver(self.sink))
        delivering.cancel()
        self.failureResultOf(delivering, CancelledError)
        await connection.closed
        reply.resume()
        self.assertEqual(self.sink.content, b"")


class AbandonTests(ReplyTestCase):
    """A body that nobody wants is not fetched."""

    async def test_small(self) -> None:
        """A small body is read to its end, so that its connection can be used again."""
        for said in (
            plain(b"not found", status=b"404 Not Found"),
            CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
            plain(b""),
        ):
            with self.subTest(said):
                reply, _ = await self.ask(said)
                reply.abandon()
                reply.abandon()
                await self.expect_reuse(1)

    async def test_small_and_late(self) -> None:
        """That goes on when a body comes in pieces; who abandons twice does not hasten it."""
        reply, connection = await self.ask(TEN + b"abc")
        reply.abandon()
        reply.abandon()
        connection.say(b"defghij")
        await self.expect_reuse(1)

    async def test_small_and_stalling(self) -> None:
        """A small body that does not come is not waited for longer than another."""
        reply, connection = await self.ask(TEN + b"abc")
        reply.abandon()
        self.clock.advance(STALL_TIMEOUT)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        await connection.closed

    async def test_large(self) -> None:
        """The connection of a large body is dropped; the next question gets another."""
        reply, connection = await self.ask(TEN.replace(b"10", b"99999999") + b"abc")
        reply.abandon()
        reply.abandon()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        await connection.closed
        await self.expect_reuse(2)

    async def test_endless(self) -> None:
        """So it is when a body of unknown length turns out to be large."""
        reply, connection = await self.ask(CHUNKED + b"fffff\r\n" + b"x" * 100_000)
        reply.abandon()
        await connection.closed
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_during_delivery(self) -> None:
        """A delivery ends with an error when the reply is abandoned, and so does the connection."""
        reply, connection = await self.ask(TEN + b"abc")
        delivering = started(reply.deliver(self.sink))
        reply.abandon()
        with self.assertRaises(Unreachable):
            await delivering
        await connection.closed

    async def test_by_the_sink(self) -> None:
        """What a sink abandons is not whole, though the rest be there already."""
        reply, _ = await self.ask(CHUNKED)
        connection = self.origin.connections[0]

        def take(data: bytes) -> None:
            self.sink(data)
            reply.abandon()

        delivering = started(reply.deliver(take))
        connection.say(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
        with self.assertRaises(Unreachable):
            await delivering
        self.assertEqual(self.sink.content, b"a")

    async def test_after_delivery(self) -> None:
        """After delivery there is nothing to abandon, and the connection is kept."""
        reply, _ = await self.ask(plain(b"abc"))
        await reply.deliver(self.sink)
        reply.abandon()
        reply.pause()
        reply.resume()
        await self.expect_reuse(1)
