"""Tests for `osproxy.http.messages`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.lines import BadMessage
from osproxy.http.messages import (
    End,
    RequestHead,
    ResponseHead,
    check_field_line,
    parse_request_head,
    serialise_request,
    serialise_response,
)
from tests.http.support import FIELDS, PIECES, TARGETS, TOKENS

if TYPE_CHECKING:
    from osproxy.http.messages import Framing


def request(*lines: str, first: str = "GET / HTTP/1.1", host: bool = True) -> bytes:
    """Write a request of these lines."""
    hosts = ("Host: x",) if host else ()
    return "\r\n".join((first, *hosts, *lines, "", "")).encode("latin-1")


class RequestTests(SynchronousTestCase):
    """Requests are as RFC 9112 has them, or refused."""

    def refused(self, octets: bytes, status: int = 400) -> None:
        """See that a request is refused with a status."""
        with self.subTest(octets=octets[:80]):
            with self.assertRaises(BadMessage) as caught:
                parse_request_head(octets)
            self.assertEqual(caught.exception.status, status, caught.exception)

    def test_taken_apart(self) -> None:
        """What is well-formed is read as it was sent, blanks around values aside."""
        head = parse_request_head(
            b"\r\nQUERY /a%20b?%E9 HTTP/1.0\r\nHost: x:80\r\nA:\t b \xe9\t\x1bc \r\na:\r\n\r\n"
        )
        fields = (("Host", "x:80"), ("A", "b \xe9\t\x1bc"), ("a", ""))
        self.assertEqual(head, RequestHead("QUERY", b"/a%20b?%E9", (1, 0), fields))

    def test_request_lines(self) -> None:
        """A request line has two single blanks and nothing odd (RFC 9112 section 3)."""
        for first in (
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET / x HTTP/1.1",
            "GET /\x0b HTTP/1.1",
            "GET /\0 HTTP/1.1",
            "GET /\r HTTP/1.1",
            "GET /\xe9 HTTP/1.1",
            "G(T / HTTP/1.1",
            "G\xe9T / HTTP/1.1",
            "GET / HTTP/1.1\r",
            "GET / http/1.1",
            "GET / HTTP/1",
            "GET / HTTP/1.10",
            "GET / HTTP/+1.1",
            "GET / HTTPS/1.1",
            "GET HTTP/1.1",
        ):
            self.refused(request(first=first))

    def test_versions(self) -> None:
        """Another major version is 505, a later minor one is read (RFC 9110 section 2.5)."""
        for version in ("0.9", "2.0", "3.1"):
            self.refused(request(first=f"GET / HTTP/{version}"), 505)
        self.assertEqual(parse_request_head(request(first="GET / HTTP/1.9")).version, (1, 9))

    def test_ends(self) -> None:
        """A head ends with one empty line, and nothing is behind it."""
        for octets in (
            b"",
            b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n",
            request() + b"x",
            request() + b"\r\n",
            request().replace(b"\r\n", b"\n"),
            b"\r\n" * 5 + request(),
        ):
            self.refused(octets)

    def test_field_lines(self) -> None:
        """Names are tokens that the colon follows, values have no NUL, CR or LF."""
        for line in (
            "X",
            ":",
            ": x",
            "X : x",
            "X\t: x",
            " X: x",
            "X: x\r\n y: z",
            "X: x\r\n\ty",
            "X(: x",
            "X\xe9: x",
            "X\0: x",
            'X"Y: x',
            "X: \0",
            "X: a\rb",
            "X: a\nb",
            "X: a\r\r",
        ):
            self.refused(request(line))

    def test_hosts(self) -> None:
        """HTTP/1.1 has one Host, HTTP/1.0 at most one; it is valid (RFC 9112 section 3.2)."""
        self.refused(request(host=False))
        self.refused(request("Host: x"))
        self.refused(request("Host: x", first="GET / HTTP/1.0"))
        self.assertEqual(parse_request_head(request(first="GET / HTTP/1.0", host=False)).fields, ())
        for host in (
            "a b",
            "a,b, c",
            "user@x",
            "x:y",
            "x:123456",
            "x:80:80",
            "http://x",
            "x/y",
            "x?",
            "x#",
            "x\\y",
            ":80",
            "[::1",
            "::1",
            "[::1]x",
            "[:::]",
            "[1.2.3.4]",
            "[v1.x]",
            "[]",
            "%zz",
            "%4",
            "\xe9",
            '"x"',
            "<x>",
        ):
            for version in ("1.0", "1.1"):
                self.refused(request(f"Host: {host}", first=f"GET / HTTP/{version}", host=False))
        for host in (
            "x",
            "x:",
            "x:65535",
            "X.example",
            "_x.example",
            "192.0.2.1:80",
            "[::1]:80",
            "[2001:db8::192.0.2.1]",
            "%41",
            "a!$&'()*+,;=",
        ):
            with self.subTest(host=host):
                head = parse_request_head(request(f"Host: {host}", host=False))
                self.assertEqual(head.fields, (("Host", host),))

    def test_empty_host(self) -> None:
        """It is empty only where the target has no authority either."""
        for target in ("/", "*"):
            head = parse_request_head(
                request("Host:", first=f"OPTIONS {target} HTTP/1.1", host=False)
            )
            self.assertEqual(head.fields, (("Host", ""),))
        for target in ("http://x/", "x:443"):
            self.refused(request("Host:", first=f"OPTIONS {target} HTTP/1.1", host=False))

    def test_framing(self) -> None:
        """A body has a length or is chunked, else there is none (RFC 9112 section 6.3)."""
        found: Framing
        for lines, found in (
            ((), End.NO_BODY),
            (("Content-Length: 0",), 0),
            (("content-length: 0012 ",), 12),
            (("Content-Length: " + "9" * 18,), 10**18 - 1),
            (("Transfer-Encoding: chunked",), End.CHUNKED),
            (("transfer-encoding:\tCHUNKED\t",), End.CHUNKED),
        ):
            with self.subTest(lines=lines):
                self.assertEqual(parse_request_head(request(*lines)).framing, found)

    def test_lengths(self) -> None:
        """Content-Length is one number."""
        for line in (
            "",
            "+1",
            "-1",
            "1 1",
            "1,1",
            "1, 1",
            "1,",
            "0x1",
            "1e1",
            "1.0",
            "1_0",
            "\xb2",
            "1" * 19,
            "1\r\nContent-Length: 1",
            "1\r\ncontent-length: 2",
            "1\r\nTransfer-Encoding: chunked",
            "1\r\nTransfer-Encoding: identity",
        ):
            self.refused(request(f"Content-Length: {line}"))

    def test_codings(self) -> None:
        """The one transfer coding that there is, is chunked; others are 501 or, misused, 400."""
        self.refused(request("Transfer-Encoding: gzip, chunked"), 501)
        self.refused(request("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), 501)
        self.refused(request("Transfer-Encoding: identity, chunked"), 501)
        for lines in (
            ("Transfer-Encoding:",),
            ("Transfer-Encoding: ,chunked",),
            ("Transfer-Encoding: chunked,",),
            ("Transfer-Encoding: chunked, chunked",),
            ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
            ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
            ("Transfer-Encoding: chunked, gzip",),
            ("Transfer-Encoding: chunked;a=b",),
            ('Transfer-Encoding: "chunked"',),
            ("Transfer-Encoding: xchunked",),
            ("Transfer-Encoding: chunke\xe4",),
            ("Transfer-Encoding: identity",),
            ("Transfer-Encoding: gzip",),
            ("Transfer-Encoding: chunked", "Content-Length: 3"),
        ):
            self.refused(request(*lines))
        self.refused(request("Transfer-Encoding: chunked", first="POST / HTTP/1.0"))

    def test_too_large(self) -> None:
        """Lines, fields and heads have limits."""
        self.refused(request(first=f"GET /{'x' * 8192} HTTP/1.1"), 414)
        self.refused(request("X: " + "x" * 16384), 431)
        self.refused(request(*["X: x"] * 100), 431)
        self.refused(request(*["X: " + "x" * 1000] * 70), 431)

    def test_linear(self) -> None:
        """The worst lines that are short enough are refused in one go."""
        for line in ("Host: " + "%41" * 5000 + "%", "Transfer-Encoding: " + "," * 16000):
            for _ in range(200):
                self.refused(request(line, host=False))

    @given(PIECES)
    def test_one_error(self, octets: bytes) -> None:
        """Whatever comes is read or refused; what is read is written and read again."""
        try:
            head = parse_request_head(octets)
        except BadMessage as error:
            self.assertIn(error.status, (400, 414, 431, 501, 505))
            return
        self.assertEqual(parse_request_head(serialise_request(head)), head)

    @given(TOKENS, TARGETS, st.integers(0, 9), FIELDS)
    def test_round_trip(
        self, method: str, target: bytes, minor: int, fields: list[tuple[str, str]]
    ) -> None:
        """What is written is read as the same."""
        head = RequestHead(method, target, (1, minor), (("Host", "x"), *fields))
        self.assertEqual(parse_request_head(serialise_request(head)), head)


class WritingTests(SynchronousTestCase):
    """Nothing is written that would be read as something else."""

    def test_requests(self) -> None:
        """A line is never more than one line, and keeps its parts."""
        head = RequestHead("GET", b"/", (1, 1), (("Host", "x"),))
        for wrong in (
            evolve(head, method="GET /x"),
            evolve(head, method="G\u1234T"),
            evolve(head, target=b"/ HTTP/1.1\r\nX:"),
            evolve(head, target=b""),
            evolve(head, fields=(("X", "a\r\nB: c"),)),
            evolve(head, fields=(("X:", "a"),)),
            evolve(head, fields=(("X", " a"),)),
            evolve(head, fields=(("", "a"),)),
            evolve(head, fields=(("X", "\u1234"),)),
        ):
            with self.subTest(wrong=wrong):
                self.assertRaises(BadMessage, serialise_request, wrong)

    def test_responses(self) -> None:
        """That holds for responses."""
        head = ResponseHead((1, 1), 200, "OK", ())
        for wrong in (
            evolve(head, reason="a\r\nB: c"),
            evolve(head, status=99),
            evolve(head, version=(2, 0)),
            evolve(head, fields=(("X", "a\nb"),)),
        ):
            with self.subTest(wrong=wrong):
                self.assertRaises(BadMessage, serialise_response, wrong)

    def test_contradictions(self) -> None:
        """A request head with fields that contradict each other cannot be made."""
        fields = (("Content-Length", "1"), ("Transfer-Encoding", "chunked"))
        self.assertRaises(BadMessage, RequestHead, "GET", b"/", (1, 1), fields)

    def test_field_lines(self) -> None:
        """A single line is judged as those of heads are."""
        check_field_line(b"A: b")
        self.assertRaises(BadMessage, check_field_line, b"A : b")
