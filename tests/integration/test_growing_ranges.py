"""
Ranges of a file that is still coming.
"""

from __future__ import annotations

import random
import threading
import time

from tests.byteranges import parts_of
from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern
from tests.integration.tools import threaded, until
from tests.integration.wire import download, fetch

_LENGTH = 200_000_000
_TARGET = "/tumbleweed/repo/oss/x86_64/large-1.0-1.1.x86_64.rpm"


class GrowingRangeTests(IntegrationCase):
    """Ranges are right whether their octets are there, are near, or are far."""

    @threaded
    def test_ranges_under_way(self) -> None:
        """
        First, middle, near, far, open and suffix ranges are right while the fill goes on; only
        the far ones go to upstream, with their Range.
        """
        content = pattern(_LENGTH)
        digest = self.site.write(_TARGET, content)
        nginx = self.file_server(limit_rate="20000000")
        server = self.osproxy(nginx.url)
        reached = 0

        def pace(seconds: float) -> int | None:
            nonlocal reached
            reached = int(seconds * 20_000_000)
            return None

        result = []
        reader = threading.Thread(
            target=lambda: result.append(download(server.port, _TARGET, pace=pace))
        )
        reader.start()
        until(lambda: reached > 40_000_000, "a fifth of the file has come")
        passed = {"bytes=150000000-150000999", "bytes=-1000", "bytes=199999000-"}
        asked = {
            "bytes=0-0": (0, 1),
            "bytes=0-999": (0, 1000),
            "bytes=10000000-12345678": (10_000_000, 12_345_679),
            "bytes=45000000-50999999": (45_000_000, 51_000_000),
            "bytes=150000000-150000999": (150_000_000, 150_001_000),
            "bytes=199999000-": (199_999_000, _LENGTH),
            "bytes=-1000": (_LENGTH - 1000, _LENGTH),
        }
        for value, (start, stop) in asked.items():
            begin = time.monotonic()
            answer = server.fetch(_TARGET, {"Range": value})
            # The near one has some 11 MB to come.
            self.assertLess(time.monotonic() - begin, 2, value)
            self.assertEqual(answer.status, 206, value)
            self.assertEqual(
                answer.field("Content-Range"), f"bytes {start}-{stop - 1}/{_LENGTH}", value
            )
            self.assertEqual(answer.body, content[start:stop], value)
            self.assertTrue(answer.complete, value)
        beyond = server.fetch(_TARGET, {"Range": f"bytes={_LENGTH}-"})
        self.assertEqual(beyond.status, 416)
        self.assertEqual(beyond.field("Content-Range"), f"bytes */{_LENGTH}")
        head = server.fetch(_TARGET, method="HEAD")
        self.assertEqual(head.field("Content-Length"), str(_LENGTH))
        self.assertTrue(reader.is_alive(), "the fill was to be under way all the time")
        reader.join(60)
        self.assertEqual((result[0].got, result[0].digest), (_LENGTH, digest))
        until(lambda: any(line.range == "" for line in nginx.logged()), "nginx has logged")
        ranges = [line.range for line in nginx.logged() if line.method == "GET"]
        self.assertEqual(ranges.count(""), 1)
        self.assertTrue(set(ranges) <= passed | {""}, ranges)

    @threaded
    def test_cold_ranges(self) -> None:
        """A range of a file that nobody asked for before is right, wherever it lies."""
        content = pattern(60_000_000)
        self.site.write(_TARGET, content)
        for value, start, stop in (
            ("bytes=5-9", 5, 10),
            ("bytes=50000000-50000009", 50_000_000, 50_000_010),
            ("bytes=-7", 59_999_993, 60_000_000),
        ):
            server = self.osproxy(self.file_server().url)
            answer = server.fetch(_TARGET, {"Range": value})
            self.assertEqual(answer.status, 206, value)
            self.assertEqual(
                answer.field("Content-Range"), f"bytes {start}-{stop - 1}/60000000", value
            )
            self.assertEqual(answer.body, content[start:stop], value)
            server.close()

    @threaded
    def test_many_ranges(self) -> None:
        """
        Three hundred ranges of a file that is still coming are right, over TCP and over TLS, asked
        for when it begins to come and when it is there; upstream is asked for the file once.
        """
        length = 8_000_000
        content = pattern(length)
        self.site.write(_TARGET, content)
        nginx = self.file_server(limit_rate="4000000")
        server = self.osproxy(nginx.url, certificates=self.certificates)
        chance = random.Random(1)
        step = length // 300
        starts = [number * step + chance.randrange(step // 2) for number in range(300)]
        spans = [(start, start + chance.choice((1, 100, step // 2))) for start in starts]
        asked = {"Range": "bytes=" + ",".join(f"{start}-{stop - 1}" for start, stop in spans)}
        began = time.monotonic()
        context = self.client_context()
        for when in ("growing", "stored"):
            answers = self.at_once(
                lambda: fetch(server.port, _TARGET, asked),
                lambda: fetch(server.tls_port, _TARGET, asked, tls=context),
            )
            for answer in answers:
                self.assertEqual((answer.status, answer.complete), (206, True), when)
                self.assertIsNone(answer.field("Content-Range"))
                parts = parts_of(answer.field("Content-Type"), answer.body)
                self.assertEqual([(part.start, part.stop) for part in parts], spans)
                for part in parts:
                    self.assertEqual(part.length, length)
                    self.assertEqual(part.body, content[part.start : part.stop])
            if when == "growing":
                self.assertGreater(time.monotonic() - began, 1, "it was to be still coming")
                server.settle()
            else:
                self.assertTrue(all("hit" in answer.cache_status for answer in answers))
        self.assertEqual([line.range for line in nginx.logged()], [""])
