"""Tests for `osproxy.http.messages`: responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.lines import BadMessage
from osproxy.http.messages import (
    End,
    ResponseHead,
    parse_response_head,
    serialise_response,
)
from tests.http.support import FIELDS, PIECES, REASONS

if TYPE_CHECKING:
    from osproxy.http.messages import Framing


def response(*lines: str, first: str = "HTTP/1.1 200 OK") -> bytes:
    """Write a response of these lines."""
    return "\r\n".join((first, *lines, "", "")).encode("latin-1")


class ResponseTests(SynchronousTestCase):
    """Responses are as RFC 9112 has them, or bad gateways."""

    def refused(self, octets: bytes, method: str = "GET") -> None:
        """See that a response, or what it says of its body, is refused."""
        with self.subTest(octets=octets[:80]), self.assertRaises(BadMessage):
            parse_response_head(octets).framing(method)

    def test_taken_apart(self) -> None:
        """What is well-formed is read as it was sent, a reason or none."""
        fields = (("A", "b"), ("a", ""))
        for first, expected in (
            ("HTTP/1.1 200 OK", ((1, 1), 200, "OK")),
            ("HTTP/1.0 404 n\xf6 such file ", ((1, 0), 404, "n\xf6 such file ")),
            ("HTTP/1.1 599 ", ((1, 1), 599, "")),
            ("HTTP/1.1 100", ((1, 1), 100, "")),
        ):
            with self.subTest(first=first):
                head = parse_response_head(response("A: b", "a: ", first=first))
                self.assertEqual(head, ResponseHead(*expected, fields))

    def test_status_lines(self) -> None:
        """A status line that is no status line is refused (RFC 9112 section 4)."""
        for first in (
            "",
            "HTTP/1.1",
            "HTTP/1.1 ",
            "HTTP/1.1 20",
            "HTTP/1.1 2000",
            "HTTP/1.1 000 x",
            "HTTP/1.1 600 x",
            "HTTP/1.1 +20 x",
            "HTTP/1.1  200 x",
            " HTTP/1.1 200 x",
            "HTTP/2.0 200 x",
            "HTTP/0.9 200 x",
            "http/1.1 200 x",
            "ICY 200 OK",
            "HTTP/1.1 200 a\0",
            "HTTP/1.1 200 a\rb",
            "HTTP/1.1 200 a\nb",
        ):
            self.refused(response(first=first))

    def test_field_lines(self) -> None:
        """Names and values are those of requests."""
        for line in ("X", "X : x", ": x", "X\0: x", "X: \0", "X: a\rb", "X: a\nb", " X: x"):
            self.refused(response(line))
        self.refused(response("A: b").replace(b"\r\n", b"\n"))
        self.refused(response() + b"x")
        self.refused(b"\r\n" + response())

    def test_folds(self) -> None:
        """A blank takes the place of a fold (RFC 9112 section 5.2)."""
        head = parse_response_head(response("A: b \r\n \t c", "\td", "B:", " ", "C:", " c"))
        self.assertEqual(head.fields, (("A", "b c d"), ("B", ""), ("C", "c")))
        self.refused(response("A: b\r\n c\0"))
        self.refused(response("Content-Length: 1\r\n 2"))

    def test_framing(self) -> None:
        """A body has a length, is chunked, or ends with the connection, unless there is none."""
        length, chunked = "Content-Length: 5", "Transfer-Encoding: Chunked"
        found: Framing
        for status, lines, method, found in (
            (200, (), "GET", End.CLOSE),
            (200, (length,), "GET", 5),
            (200, ("Content-Length: 5, 5",), "GET", 5),
            (200, (length, length), "GET", 5),
            (200, (chunked,), "GET", End.CHUNKED),
            (200, (length,), "HEAD", End.NO_BODY),
            (200, (chunked,), "HEAD", End.NO_BODY),
            (404, (), "HEAD", End.NO_BODY),
            (304, (length,), "GET", End.NO_BODY),
            (304, (chunked,), "GET", End.NO_BODY),
            (204, (), "GET", End.NO_BODY),
            (204, ("Content-Length: 0",), "GET", End.NO_BODY),
            (100, (), "GET", End.NO_BODY),
            (200, (), "CONNECT", End.NO_BODY),
            (403, (length,), "CONNECT", 5),
        ):
            with self.subTest(status=status, lines=lines, method=method):
                head = parse_response_head(response(*lines, first=f"HTTP/1.1 {status} x"))
                self.assertEqual(head.framing(method), found)

    def test_one_length(self) -> None:
        """A length that is said several times is said once from here on (RFC 9110 section 8.6)."""
        head = parse_response_head(response("Content-Length: 5,5", "A: b", "Content-Length: 5"))
        self.assertEqual(head.fields, (("A", "b"), ("Content-Length", "5")))

    def test_odd_framing(self) -> None:
        """What could be read in two ways is not read at all."""
        for lines in (
            ("Content-Length: 1", "Content-Length: 2"),
            ("Content-Length: 1, 2",),
            ("Content-Length: 1, 01",),
            ("Content-Length: 1,",),
            ("Content-Length: +1",),
            ("Content-Length:",),
            ("Content-Length: " + "1" * 19,),
            ("Content-Length: 1", "Transfer-Encoding: chunked"),
            ("Content-Length: 1", "Transfer-Encoding: identity"),
            ("Transfer-Encoding: identity",),
            ("Transfer-Encoding: gzip, chunked",),
            ("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"),
            ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
            ("Transfer-Encoding: chunked, chunked",),
            ("Transfer-Encoding: chunked, identity",),
            ("Transfer-Encoding:",),
        ):
            for method in ("GET", "HEAD"):
                self.refused(response(*lines), method)
        self.refused(response("Transfer-Encoding: chunked", first="HTTP/1.0 200 OK"))
        for line in ("Content-Length: 1", "Transfer-Encoding: chunked"):
            for status in (100, 103, 204):
                self.refused(response(line, first=f"HTTP/1.1 {status} x"))

    @given(PIECES)
    def test_one_error(self, octets: bytes) -> None:
        """Whatever comes is read or refused; what is read is written and read again."""
        try:
            head = parse_response_head(octets)
        except BadMessage:
            return
        self.assertEqual(parse_response_head(serialise_response(head)), head)

    @given(st.integers(0, 9), st.integers(100, 599), REASONS, FIELDS)
    def test_round_trip(
        self, minor: int, status: int, reason: str, fields: list[tuple[str, str]]
    ) -> None:
        """What is written is read as the same."""
        head = ResponseHead((1, minor), status, reason, tuple(fields))
        self.assertEqual(parse_response_head(serialise_response(head)), head)
