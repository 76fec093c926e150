"""
Requests with content, requests that are none, and clients that end their side, on a whole server.

Every rule has its literals in ``tests/web/test_channel_strict.py``; here some of them meet curl,
large files and a slow upstream.
"""

from __future__ import annotations

import hashlib
import socket

from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern
from tests.integration.tools import require, run, threaded, until
from tests.integration.wire import Connection

_TARGET = "/x/noarch/a-1-1.noarch.rpm"
_SIZE = 20_000_000


class UploadTests(IntegrationCase):
    """curl sends what nobody wants."""

    def setUp(self) -> None:
        """Need curl."""
        require("curl")
        super().setUp()

    @threaded
    def test_refused(self) -> None:
        """It is told 405 without being asked to send, asking first or not, at once and for good."""
        upload = self.place("upload")
        upload.write_bytes(bytes(50_000_000))
        server = self.osproxy("http://127.0.0.1:9")
        url = f"{server.url}{_TARGET}"
        for options in (
            ["--upload-file", upload],
            ["--upload-file", upload, "--header", "Expect:"],
            ["--upload-file", upload, "--header", "Transfer-Encoding: chunked"],
            ["--data-binary", f"@{upload}"],
            ["--data", "abc"],
            ["--request", "DELETE"],
        ):
            done = run(["curl", "--silent", "--verbose", *options, url])
            self.assertIn("< HTTP/1.1 405 ", done.err, options)
            self.assertIn("< Allow: GET, HEAD", done.err, options)
            self.assertNotIn("100 Continue", done.err, options)

    @threaded
    def test_reused(self) -> None:
        """A connection over which little was sent for nothing is used again."""
        server = self.osproxy("http://127.0.0.1:9")
        ask = [
            "--silent",
            "--write-out",
            "%{http_code} %{num_connects}\n",
            f"{server.url}/-/healthy",
        ]
        post = [*ask, "--data", "abc"]
        get = [*post, "--request", "GET"]
        done = run(["curl", *get, "--next", *post, "--next", *ask])
        self.assertEqual(
            done.out.splitlines(),
            ["ok", "200 1", "Only GET, HEAD are answered.", "405 0", "ok", "200 0"],
        )


class RefusalTests(IntegrationCase):
    """What is no request."""

    @threaded
    def test_table(self) -> None:
        """It is told so, logged, closed, never passed on, and hurts nobody else."""
        nginx = self.file_server()
        server = self.osproxy(nginx.url)
        get = f"GET {_TARGET} HTTP/1.1\r\n".encode()
        host = b"Host: x\r\n"
        chunked = b"Transfer-Encoding: chunked\r\n"
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
        table = (
            (get + b"\r\n", 400),
            (get + host + b"Host: y\r\n\r\n", 400),
            (get + b"Host: a b\r\n\r\n", 400),
            (get + host + b"X: a\r\n b\r\n\r\n", 400),
            (get.replace(b"\r\n", b"\n") + b"Host: x\n\n", 400),
            (get + host + b"X : y\r\n\r\n", 400),
            (get + host + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\n", 400),
            (get + host + b"Content-Length: 5\r\n" + chunked + b"\r\n0\r\n\r\n", 400),
            (get + host + chunked + b"\r\nx\r\n", 400),
            (get + host + chunked + b"\r\n1\r\nab\r\n0\r\n\r\n", 400),
            (get + host + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
            (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + host + b"\r\n", 414),
            (get + host + b"X: y\r\n" * 101 + b"\r\n", 431),
            (get + host + b"X: " + b"y" * 17_000 + b"\r\n\r\n", 431),
            (b"GET / HTTP/2.0\r\n" + host + b"\r\n", 505),
        )
        for octets, status in table:
            with Connection(server.port) as connection:
                connection.send(octets + smuggled)
                answer = connection.answer()
                said = (answer.status, answer.field("Connection"))
                self.assertEqual(said, (status, "close"), octets[:80])
                self.assertTrue(connection.closed_within(), octets[:80])
        self.assertEqual(server.fetch("/-/healthy").status, 200)

        def logged() -> list[str]:
            lines = (line.partition('] "- - HTTP/1.1" ')[2] for line in server.logged())
            return [line.split()[0] for line in lines if line]

        until(lambda: len(logged()) == len(table), "they are logged")
        self.assertEqual(logged(), [str(status) for _, status in table])
        self.assertEqual(nginx.logged(), [])
        self.assertNotIn("Traceback", server.said())


class HalfClosedTests(IntegrationCase):
    """Clients that end their side behind their requests, as ``printf ... | nc`` does."""

    def ask(self, connection: Connection, *targets: str) -> None:
        """Ask for these at once, and end our side."""
        lines = "".join(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n" for target in targets)
        connection.send(lines.encode())
        connection.socket.shutdown(socket.SHUT_WR)

    @threaded
    def test_while_it_is_filled(self) -> None:
        """A file that is still being fetched comes whole."""
        digest = self.site.write(_TARGET, pattern(_SIZE))
        server = self.osproxy(self.file_server(limit_rate="5m").url)
        with Connection(server.port) as connection:
            self.ask(connection, _TARGET)
            self.assert_whole(connection.answer(), digest)
            self.assertTrue(connection.closed_within())

    @threaded
    def test_pipelined(self) -> None:
        """Large and small ones, stored, passed on and of our own, come in order and whole."""
        small, image = "/x/noarch/b-1-1.noarch.rpm", "/iso/large.iso"
        digests = {
            target: self.site.write(target, pattern(size, seed=size))
            for target, size in ((_TARGET, _SIZE), (small, 1000), (image, _SIZE))
        }
        digests["/-/healthy"] = hashlib.sha256(b"ok\n").hexdigest()
        server = self.osproxy(self.file_server().url)
        server.fetch(_TARGET)
        server.settle()
        order = (_TARGET, small, _TARGET, image, "/-/healthy", _TARGET, small, image, _TARGET)
        with Connection(server.port) as connection:
            self.ask(connection, *order)
            for target in order:
                self.assert_whole(connection.answer(), digests[target])
            self.assertTrue(connection.closed_within())

    @threaded
    def test_idle_or_within_a_request(self) -> None:
        """One that has asked for nothing is let go at once; half a request is 400."""
        server = self.osproxy("http://127.0.0.1:9")
        for octets, statuses in ((b"", []), (b"GET / HTTP/1.1\r\nHost:", [400])):
            with Connection(server.port) as connection:
                connection.send(octets)
                connection.socket.shutdown(socket.SHUT_WR)
                self.assertEqual([connection.answer().status for _ in statuses], statuses)
                self.assertTrue(connection.closed_within())
