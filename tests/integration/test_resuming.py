"""
Transfers from upstream that break off, and what becomes of what has come.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.nginx import Nginx
from tests.integration.packages import pattern
from tests.integration.scripted import Question, response
from tests.integration.tools import DEADLINE, Finished, run, threaded, until
from tests.integration.wire import download

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.nginx import Logged
    from tests.integration.server import Osproxy

_MEBIBYTE = 1 << 20
_LENGTH = 20 * _MEBIBYTE
_TARGET = "/tumbleweed/repo/oss/x86_64/large-1.0-1.1.x86_64.rpm"
_DATE = "Thu, 01 Jan 2026 10:00:00 GMT"
_MODIFIED = "Mon, 01 Dec 2025 10:00:00 GMT"
# What curl says of a body that ended too early, and of a connection that was reset.
_BROKEN = (18, 56)


# Of what is asked for from its beginning the rest would take hours, so that whatever is to happen
# in the middle of it does.
_DRIPPING = """
root {root};
limit_rate_after {after};
limit_rate $rate;
"""
_RATES = 'map $http_range $rate { "" 1k; default 0; }'


class Mirror:
    """
    Answers a scripted upstream's questions with one file, and ranges of it.

    :ivar tag: its entity tag; changed together with the content.
    :ivar cut: octets after which each connection is closed, None for never.
    :ivar misplaced: by how much the ranges that it sends are wrong.
    """

    def __init__(self, content: bytes, tag: str = '"v1"', *, cut: int | None = None) -> None:
        self.content = content
        self.tag = tag
        self.cut = cut
        self.misplaced = 0
        self.ranges: list[str] = []

    def __call__(self, question: Question, connection: socket.socket) -> None:
        """Answer."""
        self.ranges.append(question.fields.get("range", ""))
        part: dict[str, str] = {}
        found = re.fullmatch(r"bytes=(\d+)-", self.ranges[-1])
        same = question.fields.get("if-range", self.tag) == self.tag
        body, status = self.content, "200 OK"
        if found is not None and same:
            start = int(found[1]) - self.misplaced
            body, status = body[start:], "206 Partial Content"
            last = len(self.content) - 1
            part["Content_Range"] = f"bytes {start}-{last}/{len(self.content)}"
        head = response(
            status,
            b"",
            ETag=self.tag,
            Last_Modified=_MODIFIED,
            Date=_DATE,
            Content_Length=str(len(body)),
            **part,
        )
        connection.sendall(head + body[: self.cut])


class ResumingTests(IntegrationCase):
    """What has come of a file is not fetched again."""

    def dripping(self, after: str) -> Nginx:
        """Start an nginx that gives so much of a whole file, and parts of one as they are."""
        server = _DRIPPING.format(root=self.site.root.absolute(), after=after)
        nginx = Nginx(self.place("nginx"), server, above=_RATES)
        self.addCleanup(nginx.close)
        nginx.start()
        return nginx

    def curl(self, server: Osproxy, *options: str) -> Path:
        """Fetch the file with curl, in one response."""
        place = self.place("curled")
        run(["curl", "-sSf", "-o", place, *options, f"{server.url}{_TARGET}"])
        return place

    def assert_file(self, path: Path, content: bytes) -> None:
        """Check that this is exactly what was to come."""
        found = path.read_bytes()
        self.assertEqual(len(found), len(content))
        self.assertEqual(hashlib.sha256(found).digest(), hashlib.sha256(content).digest())

    def begun(self, server: Osproxy, octets: int) -> Callable[[], tuple[int, bytes]]:
        """
        Have curl download the file, and so much of it come.

        It returns how that ended: curl's exit status, and what curl has got.
        """
        place = self.place("interrupted")
        results: list[Finished] = []
        command: list[str | Path] = ["curl", "-sS", "-o", place, f"{server.url}{_TARGET}"]
        client = threading.Thread(
            target=lambda: results.append(run(command, check=False)), daemon=True
        )
        client.start()
        until(lambda: server.draft_octets() > octets, "a good part has come")

        def ended() -> tuple[int, bytes]:
            client.join(3 * DEADLINE)
            return results[0].code, place.read_bytes()

        return ended

    def interrupt(
        self, server: Osproxy, content: bytes, octets: int, how: Callable[[], object]
    ) -> None:
        """Interrupt the download of a file in the middle; nobody is told that it was whole."""
        ended = self.begun(server, octets)
        how()
        code, got = ended()
        self.assertIn(code, _BROKEN)
        self.assertLess(len(got), len(content))
        self.assertTrue(content.startswith(got))

    def gets(self, nginx: Nginx, count: int) -> list[Logged]:
        """Give what was asked for, once so many questions are answered."""

        def found() -> list[Logged]:
            return [line for line in nginx.logged() if line.method == "GET"]

        until(lambda: len(found()) >= count, "nginx has logged")
        return found()

    def restart(self, server: Osproxy) -> None:
        """Start it, and wait until it has found what was left."""
        server.start()
        until(lambda: server.metric("kept_drafts") == 1, "the draft is found")
        self.assert_ledger_is_right(server)

    def completed(self, server: Osproxy, nginx: Nginx, content: bytes) -> None:
        """Find that one range completes what the last run has left."""
        (draft,) = server.draft_files()
        left = draft.stat().st_size
        self.restart(server)
        self.assert_file(self.curl(server), content)
        whole, rest = self.gets(nginx, 2)
        self.assertEqual((whole.range, whole.status), ("", 200))
        self.assertEqual(rest.status, 206)
        start = int(rest.range.removeprefix("bytes=").removesuffix("-"))
        # In front of the body there is a header.
        self.assertIn(left - start, (4096, 8192))
        self.assertEqual(rest.sent, len(content) - start)
        self.assertRegex(rest.if_range, '^"[0-9a-f]+-[0-9a-f]+"$')
        self.assertEqual(server.metric("resumed_total"), 1)
        self.assertEqual(server.metric("resumed_bytes_total"), start)
        server.settle()
        again = server.fetch(_TARGET)
        self.assertTrue(again.cache_status.startswith("osproxy; hit"), again.cache_status)
        self.assert_whole(again, hashlib.sha256(content).hexdigest())
        self.assert_ledger_is_right(server)

    @threaded
    def test_cut_again_and_again(self) -> None:
        """A mirror that cuts each connection after 1 MiB gives a file in one response."""
        content = pattern(_LENGTH)
        mirror = Mirror(content, cut=_MEBIBYTE)
        server = self.osproxy(self.scripted(mirror).url)
        place = self.place("dumped")
        self.assert_file(self.curl(server, "-D", str(place), "--no-buffer"), content)
        self.assertEqual(place.read_text().count("HTTP/1.1 "), 1)
        expected = ["", *(f"bytes={start * _MEBIBYTE}-" for start in range(1, 20))]
        self.assertEqual(mirror.ranges, expected)
        self.assertEqual(server.metric("resumed_total"), 19)
        self.assert_ledger_is_right(server)

    @threaded
    def test_readers(self) -> None:
        """Readers at different offsets see nothing of a break, but for the wait."""
        content = pattern(4 * _MEBIBYTE)
        mirror = Mirror(content, cut=_MEBIBYTE + 77)
        server = self.osproxy(self.scripted(mirror).url)
        spans = ((0, None), (5, 99), (_MEBIBYTE, 3 * _MEBIBYTE), (3 * _MEBIBYTE, None))
        fields = [
            {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} for start, stop in spans
        ]
        answers = self.at_once(*(partial(server.fetch, _TARGET, one) for one in fields))
        for (start, stop), answer in zip(spans, answers, strict=True):
            self.assertEqual(answer.status, 206)
            self.assertEqual(answer.body, content[start:stop], (start, stop))
        self.assertEqual(mirror.ranges.count(""), 1)
        self.assertEqual(len(mirror.ranges), 4)

    @threaded
    def test_mirror_restarts(self) -> None:
        """A mirror that goes away for a moment breaks no client's transfer."""
        content = pattern(_LENGTH)
        self.site.write(_TARGET, content)
        nginx = self.dripping("5m")
        server = self.osproxy(nginx.url)
        ended = self.begun(server, 4 * _MEBIBYTE)
        nginx.stop()
        nginx.start()
        code, got = ended()
        self.assertEqual((code, len(got)), (0, _LENGTH))
        self.assertEqual(hashlib.sha256(got).digest(), hashlib.sha256(content).digest())
        self.assertEqual(server.metric("resumed_total"), 1)

    @threaded
    def test_killed(self) -> None:
        """After a kill in mid-file the next start completes it with one range."""
        content = pattern(_LENGTH)
        self.site.write(_TARGET, content)
        nginx = self.dripping("5m")
        server = self.osproxy(nginx.url)
        self.interrupt(server, content, 4 * _MEBIBYTE, server.kill)
        self.completed(server, nginx, content)

    @threaded
    def test_stopped(self) -> None:
        """After a stop in mid-file the next start completes it with one range."""
        content = pattern(_LENGTH)
        self.site.write(_TARGET, content)
        nginx = self.dripping("5m")
        server = self.osproxy(nginx.url, "--drain-timeout=0.1")
        self.interrupt(server, content, 4 * _MEBIBYTE, lambda: self.assertEqual(server.stop(), 0))
        self.completed(server, nginx, content)

    @threaded
    def test_two_restarts(self) -> None:
        """What was left is left once more by a stop that comes before anybody asks."""
        content = pattern(_LENGTH)
        self.site.write(_TARGET, content)
        nginx = self.dripping("5m")
        server = self.osproxy(nginx.url)
        self.interrupt(server, content, 4 * _MEBIBYTE, server.kill)
        self.restart(server)
        self.assertEqual(server.stop(), 0)
        self.completed(server, nginx, content)

    @threaded
    def test_changed_meanwhile(self) -> None:
        """A file that has changed since comes whole, as it is now, with one question."""
        content, new = pattern(_LENGTH), pattern(_LENGTH, seed=7)
        self.site.write(_TARGET, content)
        # nginx tells versions apart by their times and lengths.
        os.utime(self.site.root / _TARGET[1:], (10**9, 10**9))
        nginx = self.dripping("5m")
        server = self.osproxy(nginx.url)
        self.interrupt(server, content, 4 * _MEBIBYTE, server.kill)
        self.site.write(_TARGET, new)
        self.restart(server)
        self.assert_file(self.curl(server), new)
        _, again = self.gets(nginx, 2)
        self.assertEqual((again.status, again.sent), (200, _LENGTH))
        self.assertNotEqual(again.range, "")
        server.settle()
        self.assertEqual(server.draft_files(), [])
        self.assert_ledger_is_right(server)

    @threaded
    def test_changed_in_mid_file(self) -> None:
        """A file that changes while it comes breaks the client's transfer; the next is whole."""
        content, new = pattern(4 * _MEBIBYTE), pattern(4 * _MEBIBYTE, seed=7)
        mirror = Mirror(content, cut=2 * _MEBIBYTE)
        server = self.osproxy(self.scripted(mirror).url)

        def change() -> None:
            mirror.content, mirror.tag, mirror.cut = new, '"v2"', None

        self.interrupt(server, content, 2 * _MEBIBYTE, change)
        self.assert_file(self.curl(server), new)
        self.assertEqual(mirror.ranges, ["", f"bytes={2 * _MEBIBYTE}-", ""])

    @threaded
    def test_misfit(self) -> None:
        """A 206 that begins elsewhere is refused, and the file fetched anew."""
        content = pattern(4 * _MEBIBYTE)
        mirror = Mirror(content, cut=2 * _MEBIBYTE)
        server = self.osproxy(self.scripted(mirror).url)
        self.interrupt(server, content, 2 * _MEBIBYTE, server.kill)
        mirror.cut, mirror.misplaced = None, 1
        self.restart(server)
        self.assert_file(self.curl(server), content)
        self.assertEqual(mirror.ranges[-2:], [f"bytes={2 * _MEBIBYTE}-", ""])

    @threaded
    def test_given_up_by_all(self) -> None:
        """What all clients have left is completed for the next one who asks."""
        content = pattern(100_000_000)
        self.site.write(_TARGET, content)
        nginx = self.dripping("20m")
        server = self.osproxy(nginx.url)
        left = download(server.port, _TARGET, leave_at=8_000_000)
        self.assertEqual(left.got, 8_000_000)
        until(lambda: server.metric("kept_drafts") == 1, "the transfer has ended")
        self.assert_ledger_is_right(server)
        self.assert_file(self.curl(server), content)
        whole, rest = self.gets(nginx, 2)
        self.assertEqual((whole.range, whole.status, rest.status), ("", 200, 206))
        start = int(rest.range.removeprefix("bytes=").removesuffix("-"))
        # What nginx had sent, and nobody read any more, comes twice.
        self.assertTrue(8_000_000 <= start <= whole.sent, (start, whole.sent))
        self.assertEqual(rest.sent, len(content) - start)

    @threaded
    def test_mirrors_take_turns(self) -> None:
        """A redirector may send us to another mirror, whose entity tags are its own."""
        content = pattern(4 * _MEBIBYTE)
        mirrors = [
            Mirror(content, f'"of-mirror-{number}"', cut=_MEBIBYTE + 1) for number in range(2)
        ]
        urls = [self.scripted(mirror).url for mirror in mirrors]
        turns: list[str] = []

        def redirect(question: Question, connection: socket.socket) -> None:
            url = urls[len(turns) % 2]
            turns.append(url)
            connection.sendall(response("302 Found", Location=f"{url}{question.target}"))

        server = self.osproxy(self.scripted(redirect).url)
        self.assert_file(self.curl(server), content)
        starts = [number * (_MEBIBYTE + 1) for number in range(4)]
        self.assertEqual(mirrors[0].ranges, ["", f"bytes={starts[2]}-"])
        self.assertEqual(mirrors[1].ranges, [f"bytes={start}-" for start in starts[1::2]])
