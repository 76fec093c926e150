"""Tests of `osproxy.web.channel` over real sockets."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor as real_reactor  # noqa: TID251
from twisted.internet.interfaces import IPullProducer
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from osproxy.web.sockets import socket_beneath
from tests.web.clients import HEAD, Server, answer
from tests.web.support import listen

if TYPE_CHECKING:
    from twisted.web.http import Request


@implementer(IPullProducer)
class Straight:
    """Sends a body by way of the socket itself, as sendfile does."""

    def __init__(self, request: Request, transport: Any, size: int) -> None:
        self.request = request
        self.transport = transport
        self.left = memoryview(b"~" * (size - 3) + b"end")
        self.begun = False
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Send some; the first call comes before what is buffered has gone."""
        if self.begun:
            with contextlib.suppress(BlockingIOError):
                self.left = self.left[self.transport.getHandle().send(self.left[:200_000]) :]
        self.begun = True
        if self.left:
            self.transport.startWriting()
        else:
            self.transport.unregisterProducer()
            self.transport.registerProducer(self.request.channel, True)
            self.request.finish()

    def stopProducing(self) -> None:
        """Leave it."""


class LoopbackTests(TestCase):
    """Clients over real sockets, on a clock of ours."""

    timeout = 60

    def setUp(self) -> None:
        """Listen, for two connections an address, and connect a client."""
        self.server = Server(limit=2)
        self.address = ("127.0.0.1", listen(self, self.server.site))
        self.client = self.connect()

    def connect(self) -> socket.socket:
        """Connect a client that takes little at a time."""
        client = socket.socket()
        self.addCleanup(client.close)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.settimeout(10)
        client.connect(self.address)
        return client

    async def turn(self) -> None:
        """Let the reactor do what is to be done."""
        for _ in range(5):
            await deferLater(real_reactor, 0)

    async def ask(self) -> tuple[Request, list[object]]:
        """Send a request and have 16 MB sent in answer; the list tells when that ends."""
        asked = self.server.answers.when_asked()
        self.client.sendall(HEAD)
        request = await asked
        ended: list[object] = []
        request.notifyFinish().addBoth(ended.append)
        request.write(b"x" * 16_000_000)
        await self.turn()
        return request, ended

    async def end(self) -> None:
        """Close the client and wait until the server has noticed."""
        gone = self.server.site.when_idle()
        self.client.close()
        await gone

    async def test_slow_head(self) -> None:
        """A client that sends an octet a second is cut after 30 s."""
        for octet in b"GET /" + b"a" * 24:
            self.client.sendall(bytes([octet]))
            await self.turn()
            self.server.clock.advance(1)
            self.assertEqual(len(self.server.connections), 1)
        self.client.sendall(b"a")
        await self.turn()
        self.server.clock.advance(1)
        await self.server.site.when_idle()

    async def test_idle(self) -> None:
        """A client that has its response and says no more is closed after 60 s."""
        asked = self.server.answers.when_asked()
        self.client.sendall(HEAD)
        answer(await asked)
        await self.turn()
        self.assertTrue(self.client.recv(65536).endswith(b"body"))
        began = self.server.clock.seconds()
        while len(self.server.connections):
            self.server.clock.advance(1)
            await self.turn()
        self.assertEqual(self.server.clock.seconds() - began, 60)
        self.assertEqual(self.client.recv(1), b"")

    async def test_too_many(self) -> None:
        """The third connection of an address is closed before it can say anything."""
        others = [self.connect(), self.connect()]
        label = {"reason": "client-connections"}
        value = self.server.metrics.registry.get_sample_value
        while not value("osproxy_refused_total", label):
            await self.turn()
        with self.assertRaises(ConnectionResetError):
            others[1].recv(1)
        self.assertEqual(len(self.server.connections), 2)
        self.server.site.cut()
        await self.server.site.when_idle()

    async def test_body_past_the_channel(self) -> None:
        """A body may be sent by a producer put on the transport in the channel's place."""
        received = bytearray()
        size = 3_000_000
        asked = self.server.answers.when_asked()
        self.client.sendall(HEAD + HEAD)
        self.client.setblocking(False)
        for number in range(2):
            request = await asked
            asked = self.server.answers.when_asked()
            request.setHeader(b"content-length", b"%d" % size)
            request.write(b"")
            Straight(request, request.channel.transport, size)
            if number:
                self.server.site.drain()
            while b"end" not in received[-3:] or len(received) < size * (number + 1):
                await self.turn()
                self.server.clock.advance(1)
                with contextlib.suppress(BlockingIOError):
                    received += self.client.recv(1_000_000)
        self.assertEqual(received.count(b"\r\n\r\n"), 2)
        self.assertEqual(received.count(b"~"), 2 * (size - 3))
        await self.server.site.when_idle()

    async def test_takes_nothing(self) -> None:
        """A client that takes nothing for 120 s is cut, and frees what it held."""
        _, ended = await self.ask()
        began = self.server.clock.seconds()
        while not ended:
            self.server.clock.advance(1)
            await self.turn()
        self.assertGreaterEqual(self.server.clock.seconds() - began, 120)
        self.assertEqual(len(self.server.connections), 0)

    async def test_clock_set_back(self) -> None:
        """By a clock that is set back such a client is cut as soon."""
        clock = self.server.clock
        clock.rightNow = 5000.0
        _, ended = await self.ask()
        clock.advance(1)
        clock.rightNow -= 4000
        for call in clock.getDelayedCalls():
            # As who watches the clock sees to.
            call.reset(1)
        began = clock.seconds()
        while not ended:
            clock.advance(1)
            await self.turn()
        self.assertLess(clock.seconds() - began, 1000)

    async def test_trickles(self) -> None:
        """A client that takes a little every minute is served as long as it likes."""
        _, ended = await self.ask()
        for _ in range(12):
            self.client.recv(65536, socket.MSG_WAITALL)
            await self.turn()
            for _ in range(12):
                self.server.clock.advance(5)
            await self.turn()
            self.assertEqual(ended, [])
        await self.end()

    async def test_nothing_to_take(self) -> None:
        """A client that has taken all there is waits for more as long as need be."""
        asked = self.server.answers.when_asked()
        self.client.sendall(HEAD)
        request = await asked
        ended: list[object] = []
        request.notifyFinish().addBoth(ended.append)
        request.write(b"a")
        for _ in range(100):
            await self.turn()
            self.server.clock.advance(5)
        self.assertEqual(ended, [])
        await self.end()

    async def test_idle_counts_from_what_was_taken(self) -> None:
        """A connection is not idle while its client has yet to take the end of a response."""
        request, _ = await self.ask()
        request.finish()
        for _ in range(3):
            self.client.recv(65536, socket.MSG_WAITALL)
            await self.turn()
            for _ in range(60):
                self.server.clock.advance(1)
            await self.turn()
            self.assertEqual(len(self.server.connections), 1)
        await self.end()

    async def test_socket_options(self) -> None:
        """What is sent goes out at once, and the kernel queues no more than 256 KiB beyond it."""
        request, _ = await self.ask()
        accepted = socket_beneath(request.channel.transport)
        assert accepted is not None
        options = [
            accepted.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_NODELAY, socket.TCP_NOTSENT_LOWAT)
        ]
        self.assertEqual(options, [1, 262144])
        await self.end()
