"""Tests of `osproxy.web.body` over connections on which many requests are sent."""

from __future__ import annotations

import random

from twisted.internet import reactor as real_reactor  # noqa: TID251

from osproxy.model import Relayed
from osproxy.web.body import BLOCK, TURN
from osproxy.web.tls import Renewable, certificate, wrap
from tests.web.cases import LARGE, MB, SIZES, SocketsTestCase
from tests.web.certificates import certificate_files
from tests.web.doubles import Passing, relay_of
from tests.web.reading import Client, connect_tls, digest, request, turn, until
from tests.web.support import listen


class PipeliningTests(SocketsTestCase):
    """Files of all sizes over one connection."""

    async def setUp(self) -> None:  # type: ignore[override]
        """Store a file of each size."""
        await super().setUp()
        for size in SIZES:
            self.put(f"/{size}", LARGE[:size])

    async def test_any_order(self) -> None:
        """Requests sent at once are answered in order and whole, large and small ones mixed."""
        order = [size for _ in range(4) for size in random.Random(1).sample(SIZES, len(SIZES))]
        order += [3 * MB, 5, 3 * MB, 3 * MB, BLOCK, 0, 5, 5, 3 * MB]
        self.client.send(b"".join(request(f"/{size}") for size in order))
        found = await self.served(len(order))
        self.assertEqual(found, [(200, digest(LARGE[:size])) for size in order])

    async def test_slow_reader(self) -> None:
        """The same holds for a client that often stops reading."""
        order = [
            size for seed in range(2) for size in random.Random(seed).sample(SIZES, len(SIZES))
        ]
        self.client.send(b"".join(request(f"/{size}") for size in order))
        stops = random.Random(5)
        while len(self.front.records) < len(order):
            self.client.read(False)
            await turn(stops.randrange(5))
            self.client.read(True)
            await turn(stops.randrange(5))
        found = await self.served(len(order))
        self.assertEqual(found, [(200, digest(LARGE[:size])) for size in order])

    async def test_ranges_and_heads(self) -> None:
        """Ranges of large files, 304s and pages of ours go in between."""
        self.client.send(
            request(f"/{3 * MB}", "Range: bytes=1000-1999999")
            + request(f"/{3 * MB}", 'If-None-Match: "ours"')
            + request("/-/healthy")
            + request(f"/{3 * MB}", "Range: bytes=-2000000")
            + request("/..")
        )
        found = await self.served(5)
        self.assertEqual(
            found[:4],
            [
                (206, digest(LARGE[1000:2_000_000])),
                (304, digest(b"")),
                (200, digest(b"ok\n")),
                (206, digest(LARGE[MB : 3 * MB])),
            ],
        )
        self.assertEqual(found[4][0], 400)

    async def test_one_after_another(self) -> None:
        """A connection that has sent a large body goes on with the next request."""
        for count, size in enumerate((3 * MB, 5, 3 * MB, TURN), 1):
            self.client.send(request(f"/{size}"))
            found = await self.served(count)
            self.assertEqual(found[-1], (200, digest(LARGE[:size])))

    async def test_passages(self) -> None:
        """What is passed on goes in between as well."""
        body = Passing(2 * MB)
        self.front.cache.put("/passed", lambda: relay_of(Relayed(200, (), body)))
        self.client.send(request(f"/{3 * MB}") + request("/passed") + request(f"/{3 * MB}"))
        await until(lambda: body.sink is not None)
        await self.pour(body, LARGE[: 2 * MB])
        found = await self.served(3)
        sizes = (3 * MB, 2 * MB, 3 * MB)
        self.assertEqual(found, [(200, digest(LARGE[:size])) for size in sizes])

    async def pour(self, body: Passing, content: bytes) -> None:
        """Send as an upstream does that heeds pauses."""
        for start in range(0, len(content), 100_000):
            await until(lambda: not body.paused)
            body.send(content[start : start + 100_000])
        body.over.callback(None)


class TlsPipeliningTests(PipeliningTests):
    """The same over TLS, where blocks are written."""

    def listen(self) -> int:
        """Listen with a certificate."""
        self.files = certificate_files(self.mktemp())
        renewable = Renewable(certificate(self.files.pems))
        return listen(self, wrap(self.front.site, renewable, real_reactor))

    async def connect(self) -> Client:
        """Connect a client that trusts it."""
        return await connect_tls(self.port, self.files.authority.read_bytes())
