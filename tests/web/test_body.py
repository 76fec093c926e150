"""Tests of `osproxy.web.body` in memory: how blocks are written, and when they are not."""

from __future__ import annotations

import errno
import os

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.ranges import Span
from osproxy.model import BodyBroken, BodyDiverted
from osproxy.web.body import BLOCK, ClientGone, read, send
from tests.store.doubles import Failing, WhenTold, at_once
from tests.web.clients import Server
from tests.web.doubles import File, Onward, Passing, broken, stored
from tests.web.reading import request

CONTENT = bytes(range(256)) * 1000


class SendTests(SynchronousTestCase):
    """Tests of `send` to a connection that the kernel knows nothing of."""

    def setUp(self) -> None:
        """Have a client ask."""
        self.server = Server()
        self.channel, self.wire = self.server.connect()
        self.channel.dataReceived(request("/a", version="1.0"))
        self.request = self.server.answers.asked[0]
        self.sizes: list[int] = []

    def send(self, body: File, start: int = 0, stop: int | None = None) -> Deferred[None]:
        """Begin to send a span of the body, or all of it."""
        pieces = None if stop is None else (Span(start, stop),)
        return Deferred.fromCoroutine(send(self.request, body, pieces, at_once, self.sizes.append))

    def sent(self) -> bytes:
        """Tell what the client has of the body."""
        _, _, body = bytes(self.wire.value()).partition(b"\r\n\r\n")
        return body

    def test_blocks(self) -> None:
        """A body is written in blocks of 64 KiB at most."""
        self.successResultOf(self.send(stored(self.mktemp(), CONTENT), 0, len(CONTENT)))
        self.assertEqual(self.sent(), CONTENT)
        self.assertEqual((max(self.sizes), sum(self.sizes)), (BLOCK, len(CONTENT)))

    def test_little(self) -> None:
        """What is little, and in memory, is one write, and nobody is asked to produce it."""
        pieces = (b"before", Span(3, 5), b"after", Span(7, 8))
        body = stored(self.mktemp(), b"0123456789")
        sending = send(self.request, body, pieces, WhenTold(), self.sizes.append)
        self.successResultOf(Deferred.fromCoroutine(sending))
        self.assertEqual(self.sent(), b"before34after7")
        self.assertEqual(self.sizes, [14])

    def test_held_back(self) -> None:
        """What may not be read yet is not sent, though it lies in the file."""
        body = stored(self.mktemp(), b"0123456789")
        body.available = 5
        sending = self.send(body, 2, 8)
        self.assertEqual(self.sent(), b"234")
        sending.cancel()
        self.failureResultOf(sending)

    def test_not_in_memory(self) -> None:
        """What is in memory in part only is read by those who may wait."""
        real = os.preadv

        def preadv(file: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
            if len(buffers[0]) <= 2:
                return real(file, buffers, offset, flags)
            shorter = bytearray(2)
            read_now = real(file, [shorter], offset, flags)
            buffers[0][:2] = shorter
            return read_now

        self.patch(os, "preadv", preadv)
        self.successResultOf(self.send(stored(self.mktemp(), b"0123456789"), 1, 9))
        self.assertEqual(self.sent(), b"12345678")

    def test_part(self) -> None:
        """What is sent begins and ends where it should."""
        self.successResultOf(self.send(stored(self.mktemp(), CONTENT), 1000, 200_000))
        self.assertEqual(self.sent(), CONTENT[1000:200_000])

    def test_paused(self) -> None:
        """A client that takes nothing is sent nothing; told twice to pause, once to go on."""
        body = File(self.mktemp(), len(CONTENT))
        sending = self.send(body, 0, len(CONTENT))
        body.write(CONTENT[:1000])
        self.channel.pauseProducing()
        self.channel.pauseProducing()
        body.write(CONTENT[1000:])
        self.assertEqual(self.sent(), CONTENT[:1000])
        self.channel.resumeProducing()
        self.successResultOf(sending)
        self.assertEqual(self.sent(), CONTENT)

    def test_resumed_twice(self) -> None:
        """To be told twice to go on is to be told once."""
        body = File(self.mktemp(), 20)
        sending = self.send(body, 0, 20)
        body.write(b"0123456789")
        for _ in range(2):
            self.channel.resumeProducing()
        body.write(b"0123456789")
        self.successResultOf(sending)
        self.assertEqual(self.sent(), b"0123456789" * 2)

    def test_gone_while_paused(self) -> None:
        """When the connection is lost while nothing is taken the sending ends."""
        body = File(self.mktemp(), 20)
        sending = self.send(body, 0, 20)
        body.write(b"0123456789")
        self.channel.pauseProducing()
        body.write(b"0123456789")
        self.channel.stopProducing()
        self.failureResultOf(sending, ClientGone)
        self.assertEqual(self.sent(), b"0123456789")

    def test_cancelled_while_paused(self) -> None:
        """A request that is cancelled while nothing is taken leaves nothing behind."""
        body = File(self.mktemp(), 20)
        sending = self.send(body, 0, 20)
        body.write(b"0123456789")
        self.channel.pauseProducing()
        body.write(b"0123456789")
        sending.cancel()
        self.failureResultOf(sending)
        self.channel.resumeProducing()
        self.assertEqual(self.sent(), b"0123456789")

    def test_another_producer_afterwards(self) -> None:
        """However the sending ends, the request is free for another producer."""
        body = File(self.mktemp(), 20)
        sending = self.send(body, 0, 20)
        body.write(b"0123456789")
        body.fail(broken())
        self.failureResultOf(sending, BodyBroken)
        self.assertIsNone(self.request.producer)

    def test_growing(self) -> None:
        """A range of a growing file is sent as far as it is there, up to its end."""
        body = File(self.mktemp(), len(CONTENT))
        sending = self.send(body, 1000, 150_000)
        for start in range(0, len(CONTENT), 70_000):
            self.assertEqual(self.sent(), CONTENT[1000 : min(start, 150_000)])
            body.write(CONTENT[start : start + 70_000])
        self.successResultOf(sending)
        self.assertEqual(self.sent(), CONTENT[1000:150_000])

    def test_end_of_range(self) -> None:
        """A range is complete before the file is."""
        body = File(self.mktemp(), 20)
        sending = self.send(body, 2, 5)
        body.write(b"0123456789")
        self.successResultOf(sending)
        self.assertEqual(self.sent(), b"234")

    def test_unknown_end(self) -> None:
        """Without a known end all is sent that comes."""
        body = File(self.mktemp())
        sending = self.send(body)
        body.write(b"0123456789")
        body.write(b"ab")
        body.end()
        self.successResultOf(sending)
        self.assertEqual(self.sent(), b"0123456789ab")

    def test_ends_early(self) -> None:
        """A body that ends before its end is broken."""
        body = File(self.mktemp(), 20)
        sending = self.send(body, 0, 20)
        body.write(b"0123456789")
        body.end()
        self.failureResultOf(sending, BodyBroken)

    def test_shorter_file(self) -> None:
        """So is one whose file is shorter than it was."""
        body = stored(self.mktemp(), CONTENT)
        body.shorten(100_000)
        self.failureResultOf(self.send(body, 0, len(CONTENT)), BodyBroken)
        self.assertEqual(self.sent(), CONTENT[:100_000])
        self.assertEqual(len(body.troubles), 1)

    def test_unreadable_file(self) -> None:
        """So is one that cannot be read, and whoever has the file is told."""
        body = stored(self.mktemp(), CONTENT)
        broken_disk = Failing({"pread": OSError(errno.EIO, "Input/output error")})
        body.shorten(100_000)
        sending = send(self.request, body, None, broken_disk, self.sizes.append)
        self.failureResultOf(Deferred.fromCoroutine(sending), BodyBroken)
        (trouble,) = body.troubles
        self.assertIn("Input/output error", str(trouble))

    def test_not_the_files_fault(self) -> None:
        """Other errors do not concern the file."""
        body = stored(self.mktemp(), CONTENT)
        body.shorten(0)
        elsewhere = Failing({"pread": OSError(errno.ETIMEDOUT, "timed out")})
        sending = send(self.request, body, None, elsewhere, self.sizes.append)
        self.failureResultOf(Deferred.fromCoroutine(sending), OSError)
        self.assertEqual(body.troubles, [])

    def test_empty(self) -> None:
        """Of an empty body nothing is sent."""
        self.successResultOf(self.send(stored(self.mktemp(), b""), 0, 0))
        self.assertEqual(self.sizes, [])

    def test_diverted(self) -> None:
        """When a file grows no further the rest comes through a passage, from there to the end."""
        body, rest = File(self.mktemp(), 20), Passing(8)
        onward = Onward(rest)
        sending = self.send(body, 2, 18)
        body.write(b"0123456789")
        body.fail(BodyDiverted(onward))
        self.assertEqual(onward.asked, [(10, 18)])
        rest.send(b"abcd")
        rest.send(b"efgh")
        self.assertNoResult(sending)
        rest.over.callback(None)
        self.successResultOf(sending)
        self.assertEqual((self.sent(), rest.closed), (b"23456789abcdefgh", 1))
        self.assertEqual(sum(self.sizes), 16)

    def test_diverted_at_once(self) -> None:
        """That may happen before the first octet."""
        body, rest = File(self.mktemp()), Passing()
        onward = Onward(rest)
        sending = self.send(body)
        body.fail(BodyDiverted(onward))
        rest.send(b"all")
        rest.over.callback(None)
        self.successResultOf(sending)
        self.assertEqual((onward.asked, self.sent()), ([(0, None)], b"all"))

    def test_diverted_in_vain(self) -> None:
        """Where the rest cannot be had the body is broken."""

        async def onward(position: int, stop: int | None) -> Passing:
            raise broken()

        body = File(self.mktemp(), 20)
        sending = self.send(body, 0, 20)
        body.fail(BodyDiverted(onward))
        self.failureResultOf(sending, BodyBroken)


class ReadTests(SynchronousTestCase):
    """Tests of `read`."""

    def read(self, body: File, position: int, count: int) -> Deferred[bytes]:
        """Read."""
        return Deferred.fromCoroutine(read(body, position, count, at_once))

    def test_within(self) -> None:
        """What is there is read from where the body begins in the file."""
        body = stored(self.mktemp(), b"0123456789")
        self.assertEqual(self.successResultOf(self.read(body, 2, 3)), b"234")

    def test_across_the_end(self) -> None:
        """Less may come than was asked for."""
        body = stored(self.mktemp(), b"0123456789")
        self.assertEqual(self.successResultOf(self.read(body, 8, 100)), b"89")

    def test_beyond(self) -> None:
        """Where nothing is, the file is shorter than it was."""
        body = stored(self.mktemp(), b"0123456789")
        self.failureResultOf(self.read(body, 10, 1), OSError)
