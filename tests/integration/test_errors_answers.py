"""
What comes back: ranges, conditions, fields, bodies, errors, our own pages and the log.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern
from tests.integration.scripted import response, saying
from tests.integration.tools import threaded, until
from tests.integration.wire import Connection

if TYPE_CHECKING:
    import socket

    from tests.integration.scripted import Question

_TARGET = "/x/noarch/a-1-1.noarch.rpm"


class AnswerTests(IntegrationCase):
    """Answers, from a fill, from the store, and from a passage."""

    @threaded
    def test_ranges_of_stored_files(self) -> None:
        """Single ranges, open and suffix too; 416; what is no range is ignored."""
        content = pattern(300_000)
        self.site.write(_TARGET, content)
        server = self.osproxy(self.file_server().url)
        etag = server.fetch(_TARGET).field("ETag") or ""
        for value, start, stop in (
            ("bytes=0-0", 0, 1),
            ("bytes=100-199", 100, 200),
            ("bytes=299999-", 299_999, 300_000),
            ("bytes=1000-9999999", 1000, 300_000),
            ("bytes=-5", 299_995, 300_000),
            ("bytes=-9999999", 0, 300_000),
        ):
            for fields in ({}, {"If-Range": etag}):
                answer = server.fetch(_TARGET, {"Range": value, **fields})
                self.assertEqual(answer.status, 206, value)
                expected = f"bytes {start}-{stop - 1}/300000"
                self.assertEqual(answer.field("Content-Range"), expected)
                self.assertEqual(answer.body, content[start:stop])
        for value in ("bytes=300000-", "bytes=-0"):
            answer = server.fetch(_TARGET, {"Range": value})
            self.assertEqual(answer.status, 416, value)
            self.assertEqual(answer.field("Content-Range"), "bytes */300000")
        for value in ("bytes=9-5", "lines=1-2", "bytes=a-b", "bytes"):
            self.assertEqual(server.fetch(_TARGET, {"Range": value}).body, content, value)
        other = server.fetch(_TARGET, {"Range": "bytes=0-0", "If-Range": '"other"'})
        self.assertEqual((other.status, other.body), (200, content))

    @threaded
    def test_conditions(self) -> None:
        """304 to If-None-Match and If-Modified-Since, without a body."""
        self.site.write(_TARGET, b"content")
        server = self.osproxy(self.file_server().url)
        whole = server.fetch(_TARGET)
        etag, modified = whole.field("ETag") or "", whole.field("Last-Modified") or ""
        for fields in (
            {"If-None-Match": etag},
            {"If-None-Match": f'"x", W/{etag}'},
            {"If-None-Match": "*"},
            {"If-Modified-Since": modified},
        ):
            with Connection(server.port) as connection:
                connection.ask(_TARGET, fields)
                answer = connection.answer()
                self.assertEqual(answer.status, 304, fields)
                self.assertEqual(answer.field("ETag"), etag)
                # Were there a body, it would be taken for the next answer.
                connection.ask(_TARGET)
                self.assertEqual(connection.answer().body, b"content")
        for fields in (
            {"If-None-Match": '"x"'},
            {"If-None-Match": '"x"', "If-Modified-Since": modified},
            {"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"},
        ):
            self.assertEqual(server.fetch(_TARGET, fields).status, 200, fields)

    @threaded
    def test_fields(self) -> None:
        """The fields that a cache owes its clients, and no hop-by-hop field of upstream's."""
        upstream = self.scripted(
            saying(
                response(
                    "200 OK",
                    b"content",
                    Content_Type="application/x-rpm",
                    Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT",
                    ETag='"theirs"',
                    Keep_Alive="timeout=5",
                    Proxy_Authenticate="Basic",
                    Set_Cookie="a=b",
                )
            )
        )
        server = self.osproxy(upstream.url)
        tags = set()
        for hit in (False, True, True):
            answer = server.fetch(_TARGET)
            self.assertEqual(answer.field("Content-Type"), "application/x-rpm")
            self.assertEqual(answer.field("Last-Modified"), "Mon, 01 Jan 2024 00:00:00 GMT")
            self.assertEqual(answer.field("Accept-Ranges"), "bytes")
            self.assertEqual(answer.field("Content-Length"), "7")
            self.assertIn("osproxy", answer.field("Via") or "")
            self.assertIsNotNone(answer.field("Date"))
            for name in ("Keep-Alive", "Proxy-Authenticate", "Set-Cookie", "Content-Encoding"):
                self.assertIsNone(answer.field(name), name)
            server.settle()
            tags.add(answer.field("ETag"))
            if hit:
                self.assertIsNotNone(answer.field("Age"))
                self.assertTrue(answer.cache_status.startswith("osproxy; hit"))
            else:
                self.assertTrue(answer.cache_status.startswith("osproxy; fwd=uri-miss"))
        self.assertEqual(len(tags), 1, tags)
        self.assertRegex(tags.pop() or "", r'^"[^"]+"$')

    @threaded
    def test_fields_of_clients_stay_here(self) -> None:
        """Cookies, credentials and fields named in Connection do not reach upstream."""
        upstream = self.scripted(saying(response("200 OK", b"content")))
        server = self.osproxy(upstream.url)
        server.fetch(
            _TARGET,
            {"Cookie": "a=b", "Authorization": "Basic x", "Connection": "X-Odd", "X-Odd": "1"},
        )
        (question,) = upstream.asked
        for name in ("cookie", "authorization", "x-odd"):
            self.assertNotIn(name, question.fields)
        self.assertEqual(question.fields["accept-encoding"], "identity")

    @threaded
    def test_compressed_files_stay_as_they_are(self) -> None:
        """A file that is compressed is passed as octets, whatever upstream says of encodings."""
        body = bytes.fromhex("1f8b08000000000000034b040043beb7e801000000")
        upstream = self.scripted(saying(response("200 OK", body, Content_Type="application/gzip")))
        server = self.osproxy(upstream.url)
        for _ in range(2):
            answer = server.fetch("/x/repodata/primary.xml.gz", {"Accept-Encoding": "gzip"})
            self.assertEqual(answer.body, body)
            self.assertIsNone(answer.field("Content-Encoding"))

    @threaded
    def test_cut_in_the_middle(self) -> None:
        """No reader is told that a body which upstream cut short was complete."""
        content = pattern(400_000)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n"
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for answer in (head + content[:300_000], chunked + b"186a0\r\n" + content[:100_000]):
            upstream = self.scripted(saying(answer))
            server = self.osproxy(upstream.url)
            got = self.at_once(*[partial(server.fetch, _TARGET)] * 3)
            for each in got:
                self.assertFalse(each.status == 200 and each.complete, each)
            self.assertEqual(server.status().entries, 0)
            self.assert_ledger_is_right(server)
            server.close()

    @threaded
    def test_unknown_length(self) -> None:
        """Chunked bodies, and those that end with the connection, arrive whole and are kept."""
        content = pattern(200_000)
        chunks = b"".join(
            b"4e20\r\n" + content[start : start + 20_000] + b"\r\n"
            for start in range(0, 200_000, 20_000)
        )
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
        for answer in (chunked + b"0\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n" + content):
            upstream = self.scripted(saying(answer))
            server = self.osproxy(upstream.url)
            for _ in range(2):
                got = server.fetch(_TARGET)
                self.assertEqual((got.complete, got.body), (True, content))
            self.assertEqual(upstream.count(_TARGET), 1)
            server.settle()
            self.assertEqual(server.fetch(_TARGET).field("Content-Length"), "200000")
            server.close()

    @threaded
    def test_http_1_0_client(self) -> None:
        """A client that speaks HTTP/1.0 gets a body that it can understand."""
        self.site.write(_TARGET, b"content")
        server = self.osproxy(self.file_server().url)
        for _ in range(2):
            with Connection(server.port) as connection:
                connection.send(f"GET {_TARGET} HTTP/1.0\r\n\r\n".encode())
                answer = connection.answer()
                self.assertIsNone(answer.field("Transfer-Encoding"))
                self.assertEqual(answer.body, b"content")

    @threaded
    def test_pipelined_requests(self) -> None:
        """Requests sent without waiting are answered in order, large bodies too."""
        contents = {f"/x/noarch/{n}-1-1.noarch.rpm": pattern(2_000_000, seed=n) for n in range(5)}
        for target, content in contents.items():
            self.site.write(target, content)
        server = self.osproxy(self.file_server().url)
        for _ in range(2):
            with Connection(server.port) as connection:
                for target in contents:
                    connection.ask(target)
                for target, content in contents.items():
                    self.assertEqual(connection.answer().body, content, target)

    @threaded
    def test_not_found(self) -> None:
        """404 is remembered for a while; 403 and 5xx are told and not remembered."""
        status = "404 Not Found"
        upstream = self.scripted(
            lambda question, connection: connection.sendall(response(status, b"no"))
        )
        server = self.osproxy(upstream.url)
        began = time.monotonic()
        for _ in range(3):
            self.assertEqual(server.fetch(_TARGET).status, 404)
        # A minute long.
        self.assertLessEqual(upstream.count(_TARGET), 1 + (time.monotonic() - began) // 60)
        for status, told in (
            ("403 Forbidden", (403, 502)),
            ("500 Broken", (502,)),
            ("503 Busy", (502, 503)),
        ):
            target = f"/x/{status[:3]}.rpm"
            for _ in range(2):
                self.assertIn(server.fetch(target).status, told)
            self.assertEqual(upstream.count(target), 2, status)

    @threaded
    def test_redirects(self) -> None:
        """Redirects are followed, at most 8; one that adds a slash is the client's to follow."""
        upstream = self.scripted(self.redirecting)
        server = self.osproxy(upstream.url)
        followed = server.fetch("/hops/8/a.rpm")
        self.assertEqual((followed.status, followed.body), (200, b"content"))
        self.assertEqual(server.fetch("/hops/9/a.rpm").status, 502)
        self.assertEqual(server.fetch("/loop.rpm").status, 502)
        slash = server.fetch("/folder")
        self.assertIn(slash.status, (301, 302, 307, 308))
        self.assertRegex(slash.field("Location") or "", r"^\./folder/$")

    def redirecting(self, question: Question, connection: socket.socket) -> None:
        """Answer with redirects, as the path says."""
        parts = question.target.split("/")
        if parts[1] == "hops" and parts[2] != "0":
            location = f"/hops/{int(parts[2]) - 1}/a.rpm"
        elif parts[1] in ("loop.rpm", "folder"):
            location = question.target + ("/" if parts[1] == "folder" else "")
        else:
            connection.sendall(response("200 OK", b"content"))
            return
        connection.sendall(response("302 Found", b"there", Location=location))

    @threaded
    def test_own_pages(self) -> None:
        """Health, readiness, status and metrics answer without asking upstream."""
        server = self.osproxy("http://127.0.0.1:9")
        for target in ("/-/healthy", "/-/ready", "/-/status", "/_status", "/-/metrics"):
            answer = server.fetch(target)
            self.assertEqual(answer.status, 200, target)
            head = server.fetch(target, method="HEAD")
            self.assertEqual(head.status, 200, target)
            self.assertEqual(server.fetch(target, method="POST").status, 405, target)
        self.assertEqual(server.fetch("/-/unknown").status, 404)
        metrics = server.fetch("/-/metrics").body.decode()
        for word in ("request", "fill", "upstream", "stored", "entries", "evict"):
            self.assertIn(word, metrics)

    @threaded
    def test_access_log(self) -> None:
        """A line a request, with outcome, source and times; no octet of a client's can forge."""
        self.site.write(_TARGET, b"content")
        nginx = self.file_server()
        server = self.osproxy(nginx.url)
        server.fetch(_TARGET)
        server.settle()
        server.fetch(_TARGET)
        server.fetch(_TARGET, {"User-Agent": 'evil" \\ \x1b[31m \xe9', "Referer": "x\ty"})
        lines = until(
            lambda: [it for it in server.logged() if _TARGET in it][2:] and server.logged(),
            "it is logged",
        )
        lines = [line for line in lines if _TARGET in line]
        self.assertEqual(len(lines), 3)
        outcome, source, first, whole = lines[0].replace('"', "").split()[-4:]
        self.assertEqual((outcome, source), ("uri-miss", str(nginx.port)))
        self.assertGreaterEqual(float(whole), float(first))
        self.assertEqual(lines[1].replace('"', "").split()[-4], "hit")
        self.assertTrue(lines[2].isascii() and lines[2].isprintable(), lines[2])
        self.assertIn("\\x1b", lines[2])

    @threaded
    def test_large_objects(self) -> None:
        """Images pass through, Range and all, and are kept only when that is asked for."""
        target, content = "/iso/large.iso", pattern(3_000_000)
        self.site.write(target, content)
        nginx = self.file_server()
        for options, kept in (([], 0), (["--cache-large-objects"], 1)):
            server = self.osproxy(nginx.url, *options)
            nginx.forget()
            self.assertEqual(server.fetch(target).body, content)
            server.settle()
            part = server.fetch(target, {"Range": "bytes=1000-1999"})
            self.assertEqual((part.status, part.body), (206, content[1000:2000]))
            self.assertEqual(server.status().entries, kept)
            until(nginx.logged, "nginx has logged")
            if not kept:
                ranges = [line.range for line in nginx.logged()]
                self.assertEqual(ranges, ["", "bytes=1000-1999"])
            server.close()

    @threaded
    def test_collapsed_errors(self) -> None:
        """Clients that wait for one file share its 404 and its failure."""
        nginx = self.file_server()
        server = self.osproxy(nginx.url)
        answers = self.at_once(*[partial(server.fetch, _TARGET)] * 8)
        self.assertEqual([answer.status for answer in answers], [404] * 8)
        until(nginx.logged, "nginx has logged")
        self.assertEqual(len(nginx.logged()), 1)

    @threaded
    def test_refusals_that_say_how_long(self) -> None:
        """Of files that no rule knows they hold as long as they say; of others as ever."""

        def answer(question: Question, connection: socket.socket) -> None:
            status = question.target.rpartition("-")[2].partition(".")[0]
            connection.sendall(response(f"{status} No", b"no", Cache_Control="max-age=3600"))

        upstream = self.scripted(answer)
        server = self.osproxy(upstream.url)
        for target, told, asked in (
            ("/x/a-404.odd", 404, 1),
            ("/x/a-403.odd", 403, 1),
            ("/x/a-425.odd", 425, 2),
            ("/x/a-500.odd", 502, 2),
            ("/x/a-404.rpm", 404, 1),
            ("/x/a-403.rpm", 403, 2),
        ):
            first, second = server.fetch(target), server.fetch(target)
            self.assertEqual((first.status, second.status), (told, told), target)
            self.assertEqual(first.body, second.body, target)
            self.assertEqual(upstream.count(target), asked, target)
            self.assertEqual("hit" in second.cache_status, asked == 1, target)
