"""Tests of `osproxy.upstream.origin`: requests that have a body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import TestCase

from osproxy.model import BodyBroken
from osproxy.upstream.origin import TimedOut, Unreachable
from tests.upstream.origins import (
    CONNECT_TIMEOUT,
    HEAD_TIMEOUT,
    STALL_TIMEOUT,
    Network,
    plain,
    started,
)
from tests.upstream.takers import Takers
from tests.web.certificates import certificate_files
from tests.web.doubles import Passing

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from osproxy.upstream.origin import Reply
    from tests.upstream.takers import Taker
    from tests.web.certificates import Files

MEGABYTE = bytes(range(256)) * 4096
# More than lies in the buffers of the kernel and in ours.
MEGABYTES = 32


class UploadTestCase(TestCase):
    """Has a network, and an origin that takes bodies."""

    timeout = 60

    def setUp(self) -> None:
        """Make a network."""
        self.network = Network(self)
        self.origin = Takers()

    async def begin(
        self, body: Passing, files: Files | None = None
    ) -> tuple[Taker, Deferred[Reply]]:
        """Ask with a body, and wait until the head of the request has come."""
        network = self.network if files is None else Network(self, files.authority)
        url = network.serve(self.origin, files)
        coming = self.origin.until(b"\r\n\r\n")
        asking = started(network.upstream.ask(url, method="POST", body=body, verbatim=True))
        taker = await coming
        return taker, asking


class SendingTests(UploadTestCase):
    """A body is sent as it comes."""

    async def test_length(self) -> None:
        """A body of known length is sent as it is."""
        body = Passing(6)
        taker, asking = await self.begin(body)
        self.assertIn(b"\r\nContent-Length: 6\r\n", taker.taken)
        coming = self.origin.until(b"\r\n\r\nabc")
        body.send(b"abc")
        await coming
        coming = self.origin.until(b"\r\n\r\nabcdef")
        body.send(b"def")
        await coming
        body.over.callback(None)
        self.assertEqual(body.closed, 1)
        self.assertNoResult(asking)
        taker.say(plain(b"thanks", status=b"201 Created"))
        reply = await asking
        self.assertEqual((reply.status, await reply.read(6)), (201, b"thanks"))
        # Nobody else is asked by it.
        await taker.closed

    async def test_chunks(self) -> None:
        """One of unknown length is sent in chunks."""
        body = Passing()
        taker, asking = await self.begin(body)
        self.assertIn(b"\r\nTransfer-Encoding: chunked\r\n", taker.taken)
        coming = self.origin.until(b"\r\n\r\n3\r\nabc\r\nb\r\n" + b"d" * 11 + b"\r\n0\r\n\r\n")
        for piece in (b"abc", b"", b"d" * 11):
            body.send(piece)
        body.over.callback(None)
        await coming
        taker.say(plain(b""))
        self.assertEqual((await asking).status, 200)
        self.assertEqual(body.closed, 1)

    async def test_slow_upstream(self) -> None:
        """What the upstream does not take is not asked of the client."""
        for files in (None, certificate_files(self.mktemp())):
            with self.subTest(tls=files is not None):
                body = Passing(MEGABYTES << 20)
                taker, asking = await self.begin(body, files)
                taker.pause()
                sent = await self.fill(body)
                self.assertNoResult(asking)
                taker.resume()
                while sent < MEGABYTES:
                    while body.paused:
                        await self.network.settle()
                    body.send(MEGABYTE)
                    sent += 1
                ending = self.origin.until(MEGABYTE)
                body.over.callback(None)
                head = taker.taken.index(b"\r\n\r\n") + 4
                while len(taker.taken) - head < MEGABYTES << 20:
                    await ending
                    ending = self.origin.until(MEGABYTE)
                self.assertEqual(taker.taken[head:], MEGABYTE * MEGABYTES)
                taker.say(plain(b""))
                self.assertEqual((await asking).status, 200)

    async def test_stalling_upstream(self) -> None:
        """An upstream that takes nothing for too long has timed out."""
        body = Passing()
        taker, asking = await self.begin(body)
        taker.pause()
        self.network.clock.advance(STALL_TIMEOUT + HEAD_TIMEOUT + CONNECT_TIMEOUT)
        self.assertNoResult(asking)
        await self.fill(body)
        self.network.clock.advance(STALL_TIMEOUT)
        error = self.failureResultOf(asking, TimedOut).value
        self.assertEqual(error.reason, "stalled")
        self.assertIn("took nothing within 30 s", str(error))
        self.assertEqual(body.closed, 1)
        taker.resume()
        await taker.closed

    async def test_time_to_answer(self) -> None:
        """The time to answer begins when all is sent."""
        body = Passing()
        taker, asking = await self.begin(body)
        self.network.clock.advance(HEAD_TIMEOUT * 2)
        self.assertNoResult(asking)
        body.over.callback(None)
        self.network.clock.advance(HEAD_TIMEOUT)
        self.failureResultOf(asking, TimedOut)
        await taker.closed

    async def fill(self, body: Passing) -> int:
        """Send until the upstream takes no more, and tell how many megabytes that were."""
        for sent in range(MEGABYTES):
            if body.paused:
                await self.network.settle()
                if body.paused:
                    return sent
            body.send(MEGABYTE)
        raise AssertionError("it was never paused")


class EarlyTests(UploadTestCase):
    """An upstream may answer before it has the whole body (RFC 9112 section 9.5)."""

    async def test_answered(self) -> None:
        """What it says is the answer, and no more is sent."""
        large, files = b"no" * 100_000, certificate_files(self.mktemp())
        for length, content, tls in (
            (None, b"no", None),
            (1000, b"no", None),
            (None, large, None),
            (1000, large, None),
            (None, b"no", files),
            (1000, large, files),
        ):
            with self.subTest((length, len(content), tls is None)):
                self.setUp()
                body = Passing(length)
                taker, asking = await self.begin(body, tls)
                body.send(b"abc")
                taker.say(plain(content, status=b"413 Content Too Large"))
                reply = await asking
                self.assertEqual(body.closed, 1)
                self.assertTrue(body.over.called, "the client was not told")
                body.send(b"late")
                self.assertEqual((reply.status, await reply.read(len(content))), (413, content))
                await taker.closed
                self.assertNotIn(b"late", taker.taken)
                self.assertNotIn(b"\r\n0\r\n\r\n", taker.taken)

    async def test_continue(self) -> None:
        """An interim response is no such answer."""
        body = Passing(3)
        taker, asking = await self.begin(body)
        taker.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        await self.network.settle()
        coming = self.origin.until(b"abc")
        body.send(b"abc")
        await coming
        body.over.callback(None)
        taker.say(plain(b""))
        self.assertEqual((await asking).status, 200)

    async def test_answered_and_deaf(self) -> None:
        """That holds although much was sent that it never reads."""
        content = b"no" * 100_000
        for end in ("", "loseConnection"):
            with self.subTest(end):
                self.setUp()
                body = Passing()
                taker, asking = await self.begin(body)
                taker.pause()
                body.send(MEGABYTE * 16)
                taker.say(plain(content, status=b"413 Content Too Large"))
                if end:
                    taker.hang_up()
                reply = await asking
                self.assertEqual((reply.status, await reply.read(len(content))), (413, content))
                taker.resume()
                await taker.closed

    async def test_dropped(self) -> None:
        """Who does not want such an answer ends the connection at once."""
        body = Passing()
        taker, asking = await self.begin(body)
        taker.pause()
        body.send(MEGABYTE * 16)
        taker.say(b"HTTP/1.1 413 No\r\nContent-Length: 99999999\r\n\r\nabc")
        (await asking).abandon()
        taker.resume()
        await taker.closed

    async def test_nonsense(self) -> None:
        """What makes no sense is no answer, then as ever."""
        body = Passing()
        taker, asking = await self.begin(body)
        taker.say(b"<html>\r\n\r\n")
        with self.assertRaises(Unreachable) as raised:
            await asking
        self.assertEqual((raised.exception.reason, body.closed), ("protocol", 1))
        await taker.closed


class BreakingTests(UploadTestCase):
    """What is not sent whole must not look whole, and is not sent twice."""

    async def test_client(self) -> None:
        """A client that breaks off breaks the connection."""
        for length in (None, 10):
            with self.subTest(length):
                self.setUp()
                body = Passing(length)
                taker, asking = await self.begin(body)
                coming = self.origin.until(b"abc" if length else b"abc\r\n")
                body.send(b"abc")
                await coming
                body.over.errback(BodyBroken("the client is gone"))
                with self.assertRaisesRegex(BodyBroken, "the client is gone"):
                    await asking
                await taker.closed
                self.assertEqual(body.closed, 1)
                self.assertTrue(taker.taken.endswith((b"\r\n\r\nabc", b"\r\n3\r\nabc\r\n")))
                self.assertEqual(len(self.origin.connections), 1)

    async def test_client_at_once(self) -> None:
        """That may be before the first octet."""
        body = Passing()
        body.over.errback(BodyBroken("the client is gone"))
        url = self.network.serve(self.origin)
        with self.assertRaises(BodyBroken):
            await self.network.upstream.ask(url, method="PUT", body=body, verbatim=True)
        self.assertEqual(body.closed, 1)

    async def test_upstream(self) -> None:
        """An upstream that ends the connection gets no second try."""
        for end in ("loseConnection", "abortConnection"):
            with self.subTest(end):
                self.setUp()
                body = Passing()
                taker, asking = await self.begin(body)
                body.send(b"abc")
                getattr(taker.transport, end)()
                with self.assertRaises(Unreachable) as raised:
                    await asking
                self.assertEqual((raised.exception.reason, body.closed), ("protocol", 1))
                self.assertEqual(len(self.origin.connections), 1)

    async def test_cancelled(self) -> None:
        """Who cancels the question ends the connection, and the client is not listened to."""
        body = Passing()
        taker, asking = await self.begin(body)
        body.send(b"abc")
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual(body.closed, 1)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])
        await taker.closed

    async def test_never_begun(self) -> None:
        """A body is closed, too, if there is nobody to send it to."""
        body = Passing()
        with self.assertRaises(Unreachable):
            await self.network.upstream.ask("gopher://a.example/", body=body, verbatim=True)
        self.assertEqual(body.closed, 1)
        body = Passing()
        asking = started(
            self.network.upstream.ask(self.network.serve(self.origin), body=body, verbatim=True)
        )
        self.network.clock.advance(CONNECT_TIMEOUT)
        self.failureResultOf(asking, TimedOut)
        self.assertEqual(body.closed, 1)

    async def test_not_ours(self) -> None:
        """Questions of our own have no body."""
        body: Any = Passing()
        with self.assertRaises(AssertionError):
            await self.network.upstream.ask("http://127.0.0.1:1/", body=body)
