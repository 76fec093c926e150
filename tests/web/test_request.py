"""Tests of `osproxy.web.request`."""

from __future__ import annotations

from io import BytesIO

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from osproxy.web.channel import REQUEST_AT_MOST
from tests.web.doubles import Front, notice
from tests.web.reading import request, responses


class ClientRequestTests(SynchronousTestCase):
    """Tests of `ClientRequest`."""

    def setUp(self) -> None:
        """Make a front."""
        self.front = Front(Clock())
        self.front.cache.put("/a", notice)

    def test_large_body(self) -> None:
        """A request with a body is refused when it is complete, and nothing is kept of the body."""
        channel, wire = self.front.connect()
        size = REQUEST_AT_MOST - 1000
        channel.dataReceived(request("/a", f"Content-Length: {size}", method="PUT"))
        kept = channel.requests[0].content
        for _ in range(size // 100):
            channel.dataReceived(b"x" * 100)
        self.assertEqual(kept.tell(), 0)
        channel.dataReceived(b"x" * (size % 100) + request("/a"))
        put, get = responses(wire.value())
        self.assertEqual((put.status, put["Allow"], get.status), (405, "GET, HEAD", 200))

    def test_chunked_body(self) -> None:
        """The same holds for a body of unknown length."""
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a", "Transfer-Encoding: chunked", method="PUT"))
        kept = channel.requests[0].content
        channel.dataReceived(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        self.assertEqual(kept.tell(), 0)
        channel.dataReceived(b"0\r\n\r\n" + request("/a"))
        self.assertEqual([got.status for got in responses(wire.value())], [405, 200])

    def test_no_file(self) -> None:
        """However much a client announces, no file is made for it."""
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a", "Content-Length: 999999999", method="PUT"))
        self.assertIsInstance(channel.requests[0].content, BytesIO)
        for _ in range(5):
            channel.dataReceived(b"x" * 16384)
        self.assertTrue(wire.value().startswith(b"HTTP/1.1 405 "))

    def test_form(self) -> None:
        """A form is not parsed."""
        form = b"Content-Type: multipart/form-data; boundary=x"
        got = self.front.ask("/a", form.decode(), "Content-Length: 0", method="POST")
        self.assertEqual(got.status, 405)

    def test_body_of_get(self) -> None:
        """A GET may have a body, which means nothing (RFC 9110 section 9.3.1)."""
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a", "Content-Length: 3") + b"abc" + request("/a"))
        self.assertEqual([got.status for got in responses(wire.value())], [200, 200])

    def test_many_at_once(self) -> None:
        """Any number of requests may come in one piece."""
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a") * 1000)
        self.assertEqual(len(responses(wire.value())), 1000)
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual({record.status for record in self.front.records}, {200})

    def test_old_client(self) -> None:
        """A client of HTTP/1.0 is answered, and its connection closed."""
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a", version="1.0"))
        self.assertTrue(wire.value().startswith(b"HTTP/1.0 200 OK\r\n"))
        self.assertTrue(wire.disconnecting)
