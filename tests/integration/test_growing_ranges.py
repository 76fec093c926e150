"""
Ranges of a file that is still coming.
"""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.byteranges import parts_of
from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern
from tests.integration.scripted import response
from tests.integration.tools import DEADLINE, threaded, until
from tests.integration.wire import download, fetch

if TYPE_CHECKING:
    import socket

    from tests.integration.scripted import Question

_LENGTH = 200_000_000
_TARGET = "/tumbleweed/repo/oss/x86_64/large-1.0-1.1.x86_64.rpm"


def span_of(wanted: str) -> tuple[int, int]:
    """Say which octets of the file a Range field means."""
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if first:
        return int(first), int(last) + 1 if last else _LENGTH
    return _LENGTH - int(last), _LENGTH


class GrowingRangeTests(IntegrationCase):
    """Ranges are right whether their octets are there, are near, or are far."""

    @threaded
    def test_ranges_under_way(self) -> None:
        """
        First, middle, near, far, open and suffix ranges are right while the fill goes on; only
        the far ones go to upstream, with their Range, and none but the near ones is waited for.
        """
        content = pattern(_LENGTH)
        come, goes_on = 44_000_000, threading.Event()
        self.addCleanup(goes_on.set)

        def answer(question: Question, connection: socket.socket) -> None:
            wanted = question.fields.get("range")
            if wanted is not None:
                start, stop = span_of(wanted)
                span = f"bytes {start}-{stop - 1}/{_LENGTH}"
                part = content[start:stop]
                connection.sendall(
                    response("206 Partial Content", part, Content_Range=span, ETag='"1"')
                )
                return
            connection.sendall(
                response("200 OK", b"", Content_Length=str(_LENGTH), ETag='"1"') + content[:come]
            )
            goes_on.wait(DEADLINE)
            connection.sendall(content[come:])

        upstream = self.scripted(answer)
        server = self.osproxy(upstream.url)
        passed = {
            "bytes=150000000-150000999": (150_000_000, 150_001_000),
            "bytes=199999000-": (199_999_000, _LENGTH),
            "bytes=-1000": (_LENGTH - 1000, _LENGTH),
        }
        there = {
            "bytes=0-0": (0, 1),
            "bytes=0-999": (0, 1000),
            "bytes=10000000-12345678": (10_000_000, 12_345_679),
        }
        near = "bytes=45000000-50999999"

        def assert_right(value: str, start: int, stop: int) -> None:
            answer = server.fetch(_TARGET, {"Range": value})
            span = f"bytes {start}-{stop - 1}/{_LENGTH}"
            self.assertEqual((answer.status, answer.field("Content-Range")), (206, span), value)
            self.assertEqual(answer.body, content[start:stop], value)
            self.assertTrue(answer.complete, value)

        def ask_around() -> None:
            until(lambda: server.draft_octets() >= 40_000_000, "a fifth of the file has come")
            for value, (start, stop) in {**there, **passed}.items():
                assert_right(value, start, stop)
            beyond = server.fetch(_TARGET, {"Range": f"bytes={_LENGTH}-"})
            self.assertEqual(beyond.status, 416)
            self.assertEqual(beyond.field("Content-Range"), f"bytes */{_LENGTH}")
            head = server.fetch(_TARGET, method="HEAD")
            self.assertEqual(head.field("Content-Length"), str(_LENGTH))
            self.at_once(partial(assert_right, near, 45_000_000, 51_000_000), goes_on.set)

        result, _ = self.at_once(partial(download, server.port, _TARGET), ask_around)
        self.assertEqual((result.got, result.digest), (_LENGTH, sha256(content).hexdigest()))
        ranges = [it.fields.get("range", "") for it in upstream.asked if it.method == "GET"]
        self.assertEqual(sorted(ranges), sorted(["", *passed]))

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
