"""A front that listens, for tests of bodies over real sockets."""

from __future__ import annotations

import random

from twisted.internet import reactor as real_reactor  # noqa: TID251
from twisted.trial.unittest import TestCase

from osproxy.web.body import BLOCK, TURN
from tests.web.doubles import File, Front, answer_of, stored
from tests.web.reading import Client, connect, digest, responses, turn, until
from tests.web.support import listen

MB = 1_000_000
LARGE = random.Random(2).randbytes(6 * MB)
# Around the sizes at which something changes: nothing, one write, sendfile, several turns.
SIZES = (0, 5, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 300_000, TURN, TURN + 1, 3 * MB)


class SocketsTestCase(TestCase):
    """A front that listens, and a client that has connected."""

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]
        """Listen and connect."""
        self.front = Front(real_reactor)
        self.port = self.listen()
        self.client = await self.connect()

    def listen(self) -> int:
        """Listen on a port of the kernel's choosing."""
        return listen(self, self.front.site)

    async def connect(self) -> Client:
        """Connect a client."""
        return await connect(self.port)

    async def tearDown(self) -> None:  # type: ignore[override]
        """Wait until no connection is left."""
        self.client.leave()
        await self.front.site.when_idle()

    def put(self, path: str, content: bytes) -> None:
        """Store a file."""
        name = self.mktemp()
        self.front.cache.put(path, lambda: answer_of(stored(name, content), len(content)))

    def grow(self, path: str, length: int | None, readers: int = 1) -> File:
        """Have a file grow."""
        body = File(self.mktemp(), length, readers)
        self.front.cache.put(path, lambda: answer_of(body, length))
        return body

    async def served(self, count: int) -> list[tuple[int, str]]:
        """Wait for so many responses; tell their statuses and digests."""
        await until(lambda: len(self.front.records) >= count)
        expected = sum(record.sent for record in self.front.records)
        await self.client.received(expected)
        await turn()
        return [(got.status, digest(got.body)) for got in responses(bytes(self.client.data))]
