"""Tests of `osproxy.web.body` over real sockets."""

from __future__ import annotations

import errno
import os
import random
from typing import TYPE_CHECKING

from twisted.internet import reactor as real_reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from osproxy.http.ranges import Span
from osproxy.model import BodyDiverted, Relayed
from osproxy.web.body import BLOCK, TURN, send
from osproxy.web.connections import Connections
from tests.store.doubles import at_once
from tests.web.cases import LARGE, MB, SocketsTestCase
from tests.web.clients import site_of
from tests.web.doubles import File, Onward, Passing, answer_of, broken, relay_of, stored
from tests.web.reading import connect, digest, request, responses, turn, until
from tests.web.support import listen

if TYPE_CHECKING:
    from twisted.web.http import Request


class FilesTests(SocketsTestCase):
    """Large files, from start to end or not."""

    async def test_slow_reader(self) -> None:
        """A client that stops reading holds its file, and gets the rest when it reads on."""
        body = stored(self.mktemp(), LARGE)
        self.front.cache.put("/a", lambda: answer_of(body, len(LARGE)))
        self.client.send(request("/a"))
        await self.client.received(10_000)
        self.client.read(False)
        await turn(200)
        self.assertEqual((self.front.records, body.closed), ([], 0))
        self.client.read(True)
        self.assertEqual(await self.served(1), [(200, digest(LARGE))])
        self.assertEqual(body.closed, 1)

    async def test_nobody_knows_what_is_in_memory(self) -> None:
        """Where the file system cannot tell, all is read by those who may wait before it goes."""
        warm = [0]
        pread, sendfile = os.pread, os.sendfile

        def read(file: int, count: int, offset: int) -> bytes:
            data = pread(file, count, offset)
            warm[0] = max(warm[0], offset + len(data))
            return data

        def send(to: int, file: int, offset: int, count: int) -> int:
            self.assertLessEqual(offset + count, warm[0])
            return sendfile(to, file, offset, count)

        def preadv(*_: object) -> int:
            raise OSError(errno.EOPNOTSUPP, "cannot tell")

        self.put("/a", LARGE)
        for name, replaced in (("pread", read), ("sendfile", send), ("preadv", preadv)):
            self.patch(os, name, replaced)
        self.client.send(request("/a"))
        self.assertEqual(await self.served(1), [(200, digest(LARGE))])

    async def test_growing(self) -> None:
        """A file that grows is followed, through the times in which nothing comes."""
        body = self.grow("/a", len(LARGE))
        self.client.send(request("/a"))
        await until(lambda: self.front.cache.asked)
        pieces = random.Random(3)
        while body.available < len(LARGE):
            start = body.available
            body.write(LARGE[start : start + pieces.choice((10, 70_000, 1_500_000))])
            await self.client.received(body.available)
            await turn(pieces.randrange(5))
        self.assertEqual(await self.served(1), [(200, digest(LARGE))])
        self.assertEqual(body.closed, 1)

    async def test_growing_ranges(self) -> None:
        """So are ranges of it: the first part, the middle, what is yet to come, the end."""
        ranges = {
            "0-99999": LARGE[:100_000],
            "1000000-2999999": LARGE[MB : 3 * MB],
            "5500000-5500009": LARGE[5_500_000:5_500_010],
            "-1500000": LARGE[-1_500_000:],
            "4000000-": LARGE[4_000_000:],
        }
        body = self.grow("/a", len(LARGE), readers=len(ranges))
        clients = []
        for asked in ranges:
            client = await self.connect()
            client.send(request("/a", f"Range: bytes={asked}"))
            clients.append(client)
        await until(lambda: len(self.front.cache.asked) == len(ranges))
        for start in range(0, len(LARGE), 400_000):
            body.write(LARGE[start : start + 400_000])
            await turn(3)
        await until(lambda: len(self.front.records) == len(ranges))
        for client, content in zip(clients, ranges.values(), strict=True):
            await client.received(len(content) + 100)
            client.leave()
            (got,) = responses(bytes(client.data))
            self.assertEqual((got.status, digest(got.body)), (206, digest(content)))
        self.assertEqual(body.closed, len(ranges))

    async def test_growing_of_unknown_length(self) -> None:
        """One whose length is not known is chunked to its end."""
        body = self.grow("/a", None)
        self.client.send(request("/a"))
        for start in range(0, len(LARGE), MB):
            body.write(LARGE[start : start + MB])
            await turn()
        body.end()
        self.assertEqual(await self.served(1), [(200, digest(LARGE))])

    async def test_two_readers(self) -> None:
        """Two readers of a growing file each go at their own pace; one may leave."""
        body = self.grow("/a", len(LARGE), readers=2)
        slow = await self.connect()
        for client in (self.client, slow):
            client.send(request("/a"))
        await until(lambda: len(self.front.cache.asked) == 2)
        slow.read(False)
        for start in range(0, len(LARGE), MB):
            body.write(LARGE[start : start + MB])
            await self.client.received(body.available)
        self.assertEqual(await self.served(1), [(200, digest(LARGE))])
        slow.leave()
        await until(lambda: body.closed == 2)
        self.assertEqual([record.status for record in self.front.records], [200, 499])

    async def test_client_leaves(self) -> None:
        """A client that leaves in the middle of a body releases it once, and that is no error."""
        body = stored(self.mktemp(), LARGE)
        self.front.cache.put("/a", lambda: answer_of(body, len(LARGE)))
        self.client.send(request("/a"))
        await self.client.received(10_000)
        self.client.read(False)
        await turn()
        self.client.leave()
        await self.front.site.when_idle()
        self.assertEqual(body.closed, 1)
        (record,) = self.front.records
        self.assertEqual(record.status, 499)
        self.assertLess(record.sent, len(LARGE))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_client_leaves_waiting(self) -> None:
        """The same holds for one that leaves while it waits for a file to grow."""
        body = self.grow("/a", len(LARGE))
        self.client.send(request("/a"))
        await until(lambda: self.front.cache.asked)
        body.write(LARGE[:MB])
        await self.client.received(MB)
        await turn()
        self.client.leave()
        await self.front.site.when_idle()
        self.assertEqual((body.closed, self.front.records[0].status), (1, 499))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_shorter_than_promised(self) -> None:
        """A file that is shorter than was said breaks the connection where it ends."""
        body = stored(self.mktemp(), LARGE)
        body.shorten(2 * MB)
        self.front.cache.put("/a", lambda: answer_of(body, len(LARGE)))
        self.client.send(request("/a"))
        await self.client.ended()
        (got,) = responses(bytes(self.client.data))
        self.assertFalse(got.whole)
        (record,) = self.front.records
        self.assertEqual((body.closed, record.status, record.cut), (1, 200, True))

    async def test_broken(self) -> None:
        """So does one of which the rest does not come."""
        body = self.grow("/a", len(LARGE))
        self.client.send(request("/a"))
        await until(lambda: self.front.cache.asked)
        body.write(LARGE[:MB])
        await self.client.received(MB)
        body.fail(broken())
        await self.client.ended()
        (got,) = responses(bytes(self.client.data))
        self.assertEqual((got.whole, digest(got.body)), (False, digest(LARGE[: len(got.body)])))
        self.assertEqual(body.closed, 1)

    async def test_diverted(self) -> None:
        """A file that grows no further goes on through a passage, without a seam."""
        body, rest = self.grow("/a", len(LARGE)), Passing(len(LARGE) - MB)
        onward = Onward(rest)
        self.put("/next", LARGE[:MB])
        self.client.send(request("/a") + request("/next"))
        await until(lambda: self.front.cache.asked)
        body.write(LARGE[:MB])
        body.fail(BodyDiverted(onward))
        await until(lambda: rest.sink is not None)
        self.assertEqual(onward.asked, [(MB, len(LARGE))])
        rest.send(LARGE[MB:])
        rest.over.callback(None)
        found = await self.served(2)
        self.assertEqual(found, [(200, digest(LARGE)), (200, digest(LARGE[:MB]))])
        self.assertEqual((body.closed, rest.closed), (1, 1))

    async def test_cold(self) -> None:
        """A file that is not in the page cache comes as whole as any other."""
        body = stored(self.mktemp(), LARGE)
        os.fsync(body.fileno())
        os.posix_fadvise(body.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.front.cache.put("/a", lambda: answer_of(body, len(LARGE)))
        self.client.send(request("/a"))
        self.assertEqual(await self.served(1), [(200, digest(LARGE))])


class PassagesTests(SocketsTestCase):
    """Bodies that are not kept."""

    async def test_back_pressure(self) -> None:
        """When a client does not read its source waits, so that little is held in memory."""
        body = Passing(60 * MB)
        self.front.cache.put("/a", lambda: relay_of(Relayed(200, (), body)))
        self.client.send(request("/a"))
        await until(lambda: body.sink is not None)
        self.client.read(False)
        held = 0
        while not body.paused:
            body.send(LARGE[:100_000])
            held += 100_000
            await turn(2)
        self.assertLess(held, 20 * MB)
        self.client.read(True)
        await until(lambda: not body.paused)
        self.assertEqual(body.closed, 0)

    async def test_client_leaves(self) -> None:
        """One that leaves gives its source up once."""
        body = Passing(60 * MB)
        self.front.cache.put("/a", lambda: relay_of(Relayed(200, (), body)))
        self.client.send(request("/a"))
        await until(lambda: body.sink is not None)
        body.send(LARGE)
        self.client.leave()
        await self.front.site.when_idle()
        self.assertEqual((body.closed, self.front.records[0].status), (1, 499))
        self.assertEqual(self.flushLoggedErrors(), [])


class Sending(Resource):
    """Sends a file and gathers how much was moved at a time."""

    isLeaf = True

    def __init__(self, body: File) -> None:
        super().__init__()
        self.body = body
        self.moved: list[int] = []

    def render(self, request: Request) -> int:
        """Send."""
        request.setHeader("Content-Length", str(len(LARGE)))
        whole = (Span(0, len(LARGE)),)
        sending = send(request, self.body, whole, at_once, self.moved.append)
        Deferred.fromCoroutine(sending).addCallback(lambda _: request.finish())
        return NOT_DONE_YET


class TurnsTests(TestCase):
    """How much is moved at a time."""

    timeout = 60

    async def test_by_the_kernel(self) -> None:
        """The kernel is told to send more than we would write, and 1 MiB at most."""
        sending = Sending(stored(self.mktemp(), LARGE))
        site = site_of(sending, Connections(1, 1), real_reactor)
        client = await connect(listen(self, site))
        client.send(request("/a"))
        await client.received(len(LARGE) + 40)
        self.assertGreater(max(sending.moved), BLOCK)
        self.assertLessEqual(max(sending.moved), TURN)
        self.assertEqual(sum(sending.moved), len(LARGE))
        client.leave()
        await site.when_idle()
        sending.body.close()
