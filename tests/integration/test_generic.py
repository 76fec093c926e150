"""
A generic backend: whatever a web server has, kept as it says, and all that clients send.
"""

from __future__ import annotations

import hashlib
import http.client
import subprocess
import time
from typing import TYPE_CHECKING

from osproxy.http.fields import format_date
from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern
from tests.integration.scripted import Question, response, saying
from tests.integration.server import MEBIBYTE
from tests.integration.tools import require, threaded
from tests.integration.wire import Connection

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tests.integration.scripted import ScriptedUpstream
    from tests.integration.server import Osproxy

_LARGE = 64 * MEBIBYTE


class GenericTests(IntegrationCase):
    """curl, and octets written by hand, through a generic backend."""

    def setUp(self) -> None:
        """Need curl, too."""
        super().setUp()
        require("curl")

    def serve(self, *options: str) -> tuple[ScriptedUpstream, Osproxy]:
        """Start an origin that echoes, and a proxy with a generic backend for it."""

        def answer(question: Question, connection: socket.socket) -> None:
            path, _, query = question.target.partition("?")
            said = hashlib.sha256(question.content).hexdigest()
            now = time.time()  # noqa: TID251
            fields = {"Content_Type": "text/plain", "Date": format_date(now)}
            if path.endswith("/kept"):
                fields["Cache_Control"] = "max-age=3600"
                fields["ETag"] = 'W/"1"'
            if path.endswith("/vary"):
                fields |= {"Cache_Control": "max-age=3600", "Vary": "Accept-Language"}
                said = question.fields.get("accept-language", "none")
            if path.endswith("/cookie"):
                fields["Set_Cookie"] = "a=b; Path=/"
                said = question.fields.get("cookie", "none")
            if path.endswith("/gone"):
                connection.sendall(response("410 Gone", b"gone", Cache_Control="max-age=3600"))
                return
            if path.endswith("/moved"):
                where = f"http://{question.fields['host']}/base/kept"
                connection.sendall(response("302 Found", b"", Location=where))
                return
            body = f"{question.method} {query} {len(question.content)} {said}".encode()
            connection.sendall(response("200 OK", body, **fields))

        origin = self.scripted(answer)
        table = f'[backend."/api"]\nauthority = "{origin.url}/base"\npolicy = "generic"\n'
        return origin, self.osproxy(f"{origin.url}/repo", *options, backends=table)

    def curl(self, *arguments: str) -> tuple[int, str]:
        """Run curl, and return the last status and the body."""
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", *arguments],
            capture_output=True,
            check=True,
            text=True,
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    @threaded
    def test_kept(self) -> None:
        """What says that it may be kept is, by URL with its query; the rest is asked for anew."""
        origin, server = self.serve()
        began = time.monotonic()
        for query in ("a=1", "a=2", "a=1"):
            self.assertIn(f"GET {query}", self.curl(f"{server.url}/api/kept?{query}")[1])
        self.assertEqual(len(origin.asked), 2)
        server.settle()
        answer = server.fetch("/api/kept?a=1")
        # The origin's Date has whole seconds, and so has what is left.
        ttl = int(answer.cache_status.removeprefix("osproxy; hit; ttl="))
        self.assertTrue(0 <= 3600 - ttl <= time.monotonic() - began + 2, answer.cache_status)
        self.assertEqual(answer.field("etag"), 'W/"1"')
        self.assertEqual(answer.field("content-type"), "text/plain")
        self.assertEqual(server.fetch("/api/kept?a=1", {"If-None-Match": 'W/"1"'}).status, 304)
        for _ in range(2):
            self.assertEqual(self.curl(f"{server.url}/api/other")[0], 200)
        self.assertEqual(origin.count("/base/other"), 2)
        for _ in range(2):
            self.assertEqual(self.curl(f"{server.url}/api/gone"), (410, "gone"))
        self.assertEqual(origin.count("/base/gone"), 1)

    @threaded
    def test_survives(self) -> None:
        """Variants and statuses are kept over a restart, and told apart as before."""
        origin, server = self.serve()
        for language in ("de", "en"):
            asked = {"Accept-Language": language}
            self.assertIn(language.encode(), server.fetch("/api/vary", asked).body)
        self.assertEqual(server.fetch("/api/gone").status, 410)
        server.settle()
        server.stop()
        server.start()
        for language in ("en", "de"):
            answer = server.fetch("/api/vary", {"Accept-Language": language})
            self.assertIn("; hit; ", answer.cache_status)
            self.assertIn(language.encode(), answer.body)
        self.assertEqual(server.fetch("/api/gone").status, 410)
        self.assertEqual(len(origin.asked), 3)

    @threaded
    def test_fields(self) -> None:
        """Cookies travel both ways; hop-by-hop fields do not; the way is told."""
        origin, server = self.serve()
        fields = {"Cookie": "x=y", "Connection": "X-Mine", "X-Mine": "1", "Accept-Encoding": "gzip"}
        answer = server.fetch("/api/cookie", fields)
        self.assertIn(b"x=y", answer.body)
        self.assertEqual(answer.field("set-cookie"), "a=b; Path=/")
        (question,) = origin.asked
        self.assertEqual(question.fields["accept-encoding"], "gzip")
        self.assertNotIn("x-mine", question.fields)
        self.assertRegex(question.fields["via"], r"^1\.1 osproxy-[0-9a-f]+$")
        self.assertIn("for=127.0.0.1", question.fields["forwarded"])
        self.assertEqual(question.fields["host"], str(origin.port))
        self.assertNotIn("zypp", question.fields.get("user-agent", "").lower())

    @threaded
    def test_redirected(self) -> None:
        """A redirect to the origin leads back through us, and curl follows it."""
        _, server = self.serve()
        self.assertEqual(server.fetch("/api/moved").field("location"), "/api/kept")
        self.assertEqual(self.curl("-L", f"{server.url}/api/moved")[0], 200)

    @threaded
    def test_uploads(self) -> None:
        """Large content goes through whole, of known length or not, and never into memory."""
        origin, server = self.serve()
        content = pattern(_LARGE)
        digest = hashlib.sha256(content).hexdigest()
        file = self.place("upload")
        file.write_bytes(content)
        before = server.resident()
        for arguments in (
            ["-T", str(file)],
            ["-T", str(file), "-H", "Transfer-Encoding: chunked"],
            ["-X", "PATCH", "--data-binary", f"@{file}"],
        ):
            status, body = self.curl(*arguments, f"{server.url}/api/up?q")
            self.assertEqual((status, body.split()[-1]), (200, digest), arguments)
        self.assertLess(server.resident() - before, 32 * MEBIBYTE)
        methods = [question.method for question in origin.asked]
        self.assertEqual(methods, ["PUT", "PUT", "PATCH"])
        chunked = [question.fields.get("transfer-encoding") for question in origin.asked]
        self.assertEqual(chunked, [None, "chunked", None])

    @threaded
    def test_bounded(self) -> None:
        """Content beyond the limit is refused, whether its length is said before or not."""
        origin, server = self.serve("--client-body-size=1MiB")
        file = self.place("upload")
        file.write_bytes(bytes(2 * MEBIBYTE))
        for arguments in (["-T", str(file)], ["-T", str(file), "-H", "Transfer-Encoding: chunked"]):
            status, body = self.curl(*arguments, f"{server.url}/api/up")
            self.assertEqual(status, 413, body)
        self.assertEqual([question.target for question in origin.asked if question.content], [])
        self.assertEqual(self.curl("-d", "x", f"{server.url}/api/up")[0], 200)

    @threaded
    def test_invalidated(self) -> None:
        """An upload to what is stored takes it away; other backends go on refusing uploads."""
        origin, server = self.serve()
        for _ in range(2):
            server.fetch("/api/kept")
        self.assertEqual(origin.count("/base/kept"), 1)
        self.assertEqual(self.curl("-X", "POST", "-d", "new", f"{server.url}/api/kept")[0], 200)
        self.assertIn("fwd=uri-miss", server.fetch("/api/kept").cache_status)
        self.assertEqual(self.curl("-X", "POST", "-d", "x", f"{server.url}/other/a.rpm")[0], 405)
        self.assertEqual(self.curl("-X", "TRACE", f"{server.url}/api/kept")[0], 405)

    @threaded
    def test_origin_away(self) -> None:
        """What may be served stale is, when nobody answers; an upload is told 502."""
        origin, server = self.serve()
        server.fetch("/api/kept")
        server.settle()
        origin.close()
        answer = server.fetch("/api/kept", {"Cache-Control": "max-age=0, max-stale"})
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.curl("-d", "x", f"{server.url}/api/kept")[0], 502)
        only = {"Cache-Control": "only-if-cached"}
        self.assertEqual(server.fetch("/api/nothing", only).status, 504)


class ExactTests(IntegrationCase):
    """What is told to, and asked by, those who are exact."""

    def serve(
        self, answer: Callable[[Question, socket.socket], None]
    ) -> tuple[ScriptedUpstream, Osproxy]:
        """Start an origin, and a proxy for it."""
        origin = self.scripted(answer)
        table = f'[backend."/api"]\nauthority = "{origin.url}"\npolicy = "generic"\n'
        return origin, self.osproxy(None, backends=table)

    @threaded
    def test_way(self) -> None:
        """By which version a response came to us is told, be it passed on or kept."""
        for control, asked in (("no-store", 2), ("max-age=3600", 1)):
            head = f"HTTP/1.0 200 OK\r\nCache-Control: {control}\r\nVia: 1.1 before\r\n\r\n"
            origin, server = self.serve(saying(head.encode() + b"old"))
            for _ in range(2):
                answer = server.fetch("/api/a")
                self.assertEqual(answer.body, b"old")
                self.assertRegex(answer.field("via") or "", "^1.1 before, 1.0 osproxy-[0-9a-f]+$")
                server.settle()
            self.assertEqual(origin.count("/a"), asked)

    @threaded
    def test_empty_query(self) -> None:
        """An empty query goes on, and is another name than none."""
        origin, server = self.serve(saying(response("200 OK", b"x", Cache_Control="max-age=3600")))
        for target in ("/api/a?", "/api/a", "/api/a?", "/api/a"):
            self.assertEqual(server.fetch(target).body, b"x")
            server.settle()
        self.assertEqual([question.target for question in origin.asked], ["/a?", "/a"])

    @threaded
    def test_hints(self) -> None:
        """Interim responses stay here, for clients that would take one for the response."""
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </hint>\r\n\r\n"
        for control, asked in (("no-store", 3), ("max-age=3600", 1)):
            said = hints + response("200 OK", b"x", Cache_Control=control)
            origin, server = self.serve(saying(said))
            for method in ("GET", "GET", "HEAD"):
                client = http.client.HTTPConnection(server.port.host, server.port.number)
                client.request(method, "/api/a")
                answer = client.getresponse()
                self.assertEqual((answer.status, answer.getheader("Link")), (200, None))
                self.assertEqual(answer.read(), b"" if method == "HEAD" else b"x")
                client.close()
                server.settle()
            self.assertEqual(len(origin.asked), asked)

    @threaded
    def test_bad_content(self) -> None:
        """Content that is framed badly is refused with the fields of any other answer."""
        _, server = self.serve(saying(response("200 OK", b"x")))
        with Connection(server.port) as connection:
            connection.ask("/api/a", {"Transfer-Encoding": "chunked"}, "POST")
            connection.send(b"3\r\nabcd\r\n0\r\n\r\n")
            answer = connection.answer()
        self.assertEqual((answer.status, answer.field("connection")), (400, "close"))
        for name in ("date", "via", "cache-status"):
            self.assertIsNotNone(answer.field(name), name)

    @threaded
    def test_parts_of_what_passes(self) -> None:
        """Of what is not kept the whole is asked for once in vain, and not each time."""

        def answer(question: Question, connection: socket.socket) -> None:
            control = {"Cache_Control": "no-store"}
            if "range" in question.fields:
                part = {"Content_Range": "bytes 1-1/3", **control}
                connection.sendall(response("206 Partial Content", b"b", **part))
            else:
                connection.sendall(response("200 OK", b"abc", **control))

        origin, server = self.serve(answer)
        for _ in range(3):
            part = server.fetch("/api/a", {"Range": "bytes=1-1"})
            self.assertEqual((part.status, part.body), (206, b"b"))
        asked = [question.fields.get("range") for question in origin.asked]
        self.assertEqual(asked, [None, *["bytes=1-1"] * 3])
