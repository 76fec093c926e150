"""Tests of `osproxy.web.channel` with clients that end their side and wait for the answer."""

from __future__ import annotations

import socket
import struct

from twisted.trial.unittest import TestCase

from osproxy.model import Relayed
from osproxy.web.sockets import socket_beneath
from tests.web.cases import LARGE, MB, SocketsTestCase
from tests.web.clients import HEAD, Server, answer
from tests.web.doubles import Passing, relay_of
from tests.web.reading import digest, request, responses, turn, until
from tests.web.support import listen


class HalfClosedTests(SocketsTestCase):
    """Clients such as ``printf ... | nc``."""

    def end(self, octets: bytes) -> None:
        """Have the client send this, and no more."""
        self.client.send(octets)
        self.client.half_close()

    async def got(self) -> list[tuple[int, str]]:
        """Wait until we have closed the connection; tell what the client has."""
        await self.client.ended()
        return [(got.status, digest(got.body)) for got in responses(bytes(self.client.data))]

    async def test_large(self) -> None:
        """A file is sent whole, however large, and the connection closed behind it."""
        self.put("/a", LARGE)
        for octets in (
            request("/a"),
            request("/a", version="1.0"),
            request("/a", "Connection: close"),
        ):
            self.end(octets)
            self.assertEqual(await self.got(), [(200, digest(LARGE))])
            self.client = await self.connect()

    async def test_growing(self) -> None:
        """It is sent whole as well while it is being filled."""
        body = self.grow("/a", 3 * MB)
        self.end(request("/a"))
        for start in range(0, 3 * MB, MB):
            await turn()
            self.assertIsNone(self.client.reason)
            body.write(LARGE[start : start + MB])
        self.assertEqual(await self.got(), [(200, digest(LARGE[: 3 * MB]))])

    async def test_passage(self) -> None:
        """So is what is not kept, though nothing comes of it for long."""
        body = Passing(MB)
        self.front.cache.put("/a", lambda: relay_of(Relayed(200, (), body)))
        self.end(request("/a"))
        await until(lambda: body.sink is not None)
        await turn(50)
        body.send(LARGE[:MB])
        body.over.callback(None)
        self.assertEqual(await self.got(), [(200, digest(LARGE[:MB]))])

    async def test_pipelined(self) -> None:
        """All requests that have come are answered, in order."""
        self.put("/a", LARGE)
        self.put("/b", LARGE[:MB])
        order = ("/a", "/b", "/b", "/a")
        self.end(b"".join(request(target) for target in order))
        sizes = {"/a": len(LARGE), "/b": MB}
        self.assertEqual(
            await self.got(), [(200, digest(LARGE[: sizes[target]])) for target in order]
        )

    async def test_many(self) -> None:
        """That holds for more of them than are read ahead, and for a client that takes its time."""
        self.put("/a", LARGE[:5])
        self.client.read(False)
        self.end(request("/a") * 2500)
        await turn(50)
        self.client.read(True)
        self.assertEqual(await self.got(), [(200, digest(LARGE[:5]))] * 2500)

    async def test_idle(self) -> None:
        """A client that has nothing to wait for is let go at once."""
        self.client.half_close()
        self.assertEqual(await self.got(), [])
        self.client = await self.connect()
        self.put("/a", LARGE[:5])
        self.client.send(request("/a"))
        await self.served(1)
        self.client.half_close()
        self.assertEqual(await self.got(), [(200, digest(LARGE[:5]))])

    async def test_within_a_head(self) -> None:
        """One that ends within a head is told so, requests before it are answered."""
        self.put("/a", LARGE[:5])
        self.end(request("/a") + request("/a")[:-2])
        statuses = [status for status, _ in await self.got()]
        self.assertEqual(statuses, [200, 400])

    async def test_within_content(self) -> None:
        """One that ends within content that nobody takes is answered, and for the last time."""
        self.put("/a", LARGE[:5])
        self.end(request("/a", "Content-Length: 9") + b"abc")
        self.assertEqual(await self.got(), [(200, digest(LARGE[:5]))])


class GoneTests(TestCase):
    """Clients that had only seemed to wait, on a clock of ours."""

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]
        """Have a client ask and end its side."""
        self.server = Server()
        self.client = socket.create_connection(("127.0.0.1", listen(self, self.server.site)))
        self.addCleanup(self.client.close)
        asked = self.server.answers.when_asked()
        self.client.sendall(HEAD)
        self.request = await asked
        self.client.shutdown(socket.SHUT_WR)
        channel = self.request.channel
        await until(lambda: channel.half_closed)

    def pass_time(self) -> None:
        """Let so much time pass that a client is looked for."""
        self.server.clock.pump([1] * 10)

    async def test_waits(self) -> None:
        """One that waits is waited for, and looked for by the kernel."""
        self.pass_time()
        accepted = socket_beneath(self.request.channel.transport)
        assert accepted is not None
        options = [
            accepted.getsockopt(level, option)
            for level, option in (
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
            )
        ]
        self.assertEqual(options, [1, 15, 15, 4])
        answer(self.request)
        await self.server.site.when_idle()
        self.assertTrue(self.client.recv(65536).endswith(b"body"))

    async def test_gone(self) -> None:
        """One that is gone ends its request, though nothing is sent or read."""
        ended: list[object] = []
        self.request.notifyFinish().addBoth(ended.append)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()
        await turn()
        self.assertEqual(ended, [])
        self.pass_time()
        await self.server.site.when_idle()
        self.assertEqual(len(ended), 1)
