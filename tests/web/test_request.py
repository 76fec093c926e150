"""Tests of `osproxy.web.request`."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.messages import RequestHead
from tests.web.clients import Server, answer
from tests.web.doubles import Front, notice
from tests.web.reading import request, responses


class ClientRequestTests(SynchronousTestCase):
    """Tests of `ClientRequest`."""

    def setUp(self) -> None:
        """Make a front."""
        self.front = Front(Clock())
        self.front.cache.put("/a", notice)

    def test_head(self) -> None:
        """The head is what was sent; Twisted has a copy without what frames the content."""
        server = Server()
        channel, _ = server.connect()
        channel.dataReceived(request("/a?b", "x-A:  b ", "Content-Length: 3", version="1.2"))
        (asked,) = server.answers.asked
        fields = (("Host", "x"), ("x-A", "b"), ("Content-Length", "3"))
        self.assertEqual(asked.head, RequestHead("GET", b"/a?b", (1, 2), fields))
        self.assertIsNone(asked.refusal)
        self.assertEqual(
            (asked.method, asked.uri, asked.clientproto), (b"GET", b"/a?b", b"HTTP/1.1")
        )
        self.assertEqual(
            list(asked.requestHeaders.getAllRawHeaders()), [(b"Host", [b"x"]), (b"X-A", [b"b"])]
        )

    def test_reasons(self) -> None:
        """Each status has the reason that it is registered with, or none (RFC 9112 section 4)."""
        for status, line in (
            (404, b"HTTP/1.1 404 Not Found\r\n"),
            (431, b"HTTP/1.1 431 Request Header Fields Too Large\r\n"),
            (451, b"HTTP/1.1 451 Unavailable For Legal Reasons\r\n"),
            (508, b"HTTP/1.1 508 Loop Detected\r\n"),
            (599, b"HTTP/1.1 599 \r\n"),
        ):
            server = Server()
            channel, wire = server.connect()
            channel.dataReceived(request("/a"))
            (asked,) = server.answers.asked
            asked.setResponseCode(status)
            answer(asked)
            self.assertEqual(wire.value()[: len(line)], line)

    def test_content(self) -> None:
        """Content is there to be taken, where there is any; it is closed with the request."""
        server = Server()
        channel, _ = server.connect()
        channel.dataReceived(request("/a") + request("/a", "Content-Length: 3") + b"abc")
        (without,) = server.answers.asked
        self.assertIsNone(without.content)
        answer(without)
        _, with_some = server.answers.asked
        content = with_some.content
        assert content is not None
        self.assertEqual((content.length, content.held), (3, 3))
        answer(with_some)
        self.assertEqual(content.held, 0)

    def test_form(self) -> None:
        """A form is not parsed."""
        form = b"Content-Type: multipart/form-data; boundary=x"
        got = self.front.ask("/a", form.decode(), "Content-Length: 0", method="POST")
        self.assertEqual(got.status, 405)

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
        self.assertIn(b"\r\nConnection: close\r\n", wire.value())
        self.assertTrue(wire.disconnecting)
