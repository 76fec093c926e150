"""Tests of `osproxy.upstream.request`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IClientRequest
from zope.interface.verify import verifyObject

from osproxy.http.lines import BadMessage
from osproxy.model import BodyBroken
from osproxy.upstream.request import Request
from osproxy.upstream.upload import Upload
from osproxy.upstream.watch import Watch
from tests.upstream.lines import lined
from tests.upstream.origins import HEAD_TIMEOUT, STALL_TIMEOUT
from tests.web.doubles import Passing

if TYPE_CHECKING:
    from twisted.web.iweb import IResponse

    from osproxy.http.fields import Fields

HERE = b"http://a.example/"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"


class RequestTestCase(SynchronousTestCase):
    """Has somebody who waits for an answer."""

    def setUp(self) -> None:
        """Let somebody wait."""
        self.clock = Clock()
        self.answered: Deferred[IResponse] = Deferred()
        self.watch = Watch(self.clock, 10, HEAD_TIMEOUT)
        self.watch.answered = self.answered

    def request(
        self, method: bytes, url: bytes = HERE, body: Passing | None = None, fields: Fields = ()
    ) -> Request:
        """Make a request."""
        headers = Headers()
        for name, value in fields:
            headers.addRawHeader(name, value)
        upload = None if body is None else Upload(body, self.clock, STALL_TIMEOUT)
        return Request(method, url, headers, upload, self.watch)

    def sent(self, request: Request) -> str:
        """Send a request by a new connection, and see what goes over the wire."""
        self.line, self.wire, _ = lined()
        self.successResultOf(request.writeTo(self.line))
        sent: str = self.wire.value().decode("latin-1")
        self.wire.clear()
        return sent


class HeadTests(RequestTestCase):
    """A request says what it is told, and to whom."""

    def test_interface(self) -> None:
        """It is what Twisted takes for a request."""
        verifyObject(IClientRequest, self.request(b"GET"))

    def test_urls(self) -> None:
        """Target and Host are made of the URL, octet for octet."""
        for url, target, host in (
            ("http://a.example", "/", "a.example"),
            ("http://a.example?", "/?", "a.example"),
            ("http://a.example:80//b//?c?d#e", "//b//?c?d", "a.example"),
            ("http://a.example:443/%2f;b?", "/%2f;b?", "a.example:443"),
            ("https://a.example:443/", "/", "a.example"),
            ("https://a.example:80/", "/", "a.example:80"),
            ("http://a.example:/", "/", "a.example"),
            ("http://b:c@a.example/", "/", "a.example"),
            ("http://[2001:db8::1]:81/x", "/x", "[2001:db8::1]:81"),
            ("http://[2001:db8::1]/", "/", "[2001:db8::1]"),
        ):
            with self.subTest(url):
                line, field, *_ = self.sent(self.request(b"GET", url.encode())).split("\r\n")
                self.assertEqual(line, f"GET {target} HTTP/1.1")
                self.assertEqual(field, f"Host: {host}")

    def test_no_urls(self) -> None:
        """What is no URL of http cannot be asked."""
        for url in (
            b"",
            b"/a",
            b"http:///",
            b"http://:80/",
            b"http://a:b/",
            b"ftp://a/",
            b"http://a@b@c/",
            b"http://a/ HTTP/1.1\r\nX: y\r\n\r\n",
            b"http://a/\x00",
        ):
            with self.subTest(url), self.assertRaises(ValueError):
                self.request(b"GET", url)

    def test_fields(self) -> None:
        """There are no other fields than those that are given; Host may be among them."""
        fields = (("A", "1"), ("A", "2"), ("Host", "b.example"), ("Cookie", "c"), ("Empty", ""))
        self.assertEqual(
            self.sent(self.request(b"GET", fields=fields)),
            "GET / HTTP/1.1\r\nHost: b.example\r\nA: 1\r\nA: 2\r\nCookie: c\r\nEmpty: \r\n\r\n",
        )

    def test_methods(self) -> None:
        """Any method is possible, and stays as it is written."""
        for method in (b"GET", b"get", b"PROPFIND", b"M-SEARCH"):
            with self.subTest(method):
                said = self.sent(self.request(method))
                self.assertEqual(said, f"{method.decode()} / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        with self.assertRaises(BadMessage):
            self.request(b"GE T")

    def test_framing(self) -> None:
        """How the body is framed follows from the body alone."""
        lies = (("Content-Length", "9"), ("Transfer-Encoding", "gzip, chunked"))
        for method, body, field in (
            (b"GET", None, ""),
            (b"DELETE", None, ""),
            (b"POST", None, "Content-Length: 0\r\n"),
            (b"PUT", None, "Content-Length: 0\r\n"),
            (b"PATCH", None, "Content-Length: 0\r\n"),
            (b"GET", Passing(0), "Content-Length: 0\r\n"),
            (b"POST", Passing(12), "Content-Length: 12\r\n"),
            (b"POST", Passing(), "Transfer-Encoding: chunked\r\n"),
        ):
            with self.subTest((method, body)):
                request = self.request(method, body=body, fields=lies)
                said = self.sent(request)
                self.assertEqual(said.partition("Host: a.example\r\n")[2], field + "\r\n")
                request.over(None)

    def test_persistent(self) -> None:
        """What must not be sent twice has a connection of its own."""
        for method, body, persistent in (
            (b"GET", None, True),
            (b"HEAD", None, True),
            (b"OPTIONS", None, True),
            (b"DELETE", None, True),
            (b"get", None, False),
            (b"POST", None, False),
            (b"PATCH", None, False),
            (b"GET", Passing(1), False),
        ):
            with self.subTest((method, body)):
                request = self.request(method, body=body)
                self.assertEqual(request.persistent, persistent)
                request.over(None)

    def test_time(self) -> None:
        """From when it is sent there is a time for the answer."""
        self.sent(self.request(b"GET"))
        self.clock.advance(HEAD_TIMEOUT)
        self.assertTrue(self.failureResultOf(self.answered))


class BodyTests(RequestTestCase):
    """A body is sent beside what comes meanwhile."""

    def test_length(self) -> None:
        """Its octets follow the head; the time to answer begins at its end."""
        request = self.request(b"POST", body=(body := Passing(5)))
        self.sent(request)
        body.send(b"abc")
        body.send(b"de")
        self.assertEqual(self.wire.value(), b"abcde")
        self.assertIsNotNone(self.wire.producer)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        body.over.callback(None)
        self.assertIsNone(self.wire.producer)
        self.clock.advance(HEAD_TIMEOUT)
        self.assertTrue(self.failureResultOf(self.answered))
        assert request.exchange is not None
        self.assertFalse(request.exchange.sending)

    def test_chunks(self) -> None:
        """Where its length is not known it goes in chunks, of which none ends it too early."""
        request = self.request(b"POST", body=(body := Passing()))
        self.sent(request)
        body.send(b"a" * 17)
        body.send(b"")
        self.assertEqual(self.wire.value(), b"11\r\n" + b"a" * 17 + b"\r\n")
        self.wire.clear()
        body.over.callback(None)
        self.assertEqual(self.wire.value(), b"0\r\n\r\n")
        request.over(None)
        self.watch.ended(None)  # type: ignore[arg-type]
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_broken_off(self) -> None:
        """A body that breaks off breaks the connection: it must not look whole."""
        for length in (None, 5):
            with self.subTest(length):
                self.setUp()
                self.sent(self.request(b"POST", body=(body := Passing(length))))
                body.send(b"abc")
                self.wire.clear()
                body.over.errback(BodyBroken("gone"))
                self.assertEqual(self.wire.value(), b"")
                self.assertTrue(self.wire.aborted)
                self.assertTrue(self.failureResultOf(self.answered))
                self.assertEqual(body.closed, 1)

    def test_answered(self) -> None:
        """When it is answered before, no more is sent, and the connection is not used again."""
        for length in (None, 5):
            with self.subTest(length):
                self.setUp()
                request = self.request(b"POST", body=(body := Passing(length)))
                self.sent(request)
                self.line.dataReceived(OK + b"abc")
                response = object()
                self.assertIs(request.over(response), response)
                self.assertEqual(body.closed, 1)
                self.assertEqual((self.wire.producer, self.wire.silenced), (None, True))
                self.assertEqual(self.wire.value(), b"")
                self.line.loseConnection()
                self.assertTrue(self.wire.aborted)

    def test_never_sent(self) -> None:
        """A body is closed, too, when there was no connection to send it by."""
        request = self.request(b"POST", body=(body := Passing()))
        failure = object()
        self.assertIs(request.over(failure), failure)
        self.assertEqual(body.closed, 1)

    def test_no_answer(self) -> None:
        """An answer that makes no sense is none, whatever Twisted's client calls it."""
        request = self.request(b"GET")
        self.sent(request)
        self.line.dataReceived(b"<html>\r\n\r\n")
        with self.assertRaises(BadMessage):
            request.over(None)
        self.watch.ended(None)  # type: ignore[arg-type]
