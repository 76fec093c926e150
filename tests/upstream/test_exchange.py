"""Tests of `osproxy.upstream.exchange`; what becomes of it on the wire is in those of origins."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.upstream.exchange import INTERIM_AT_MOST, Exchange

OK = b"HTTP/1.1 200 OK\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Type: no/no\r\n\r\n"
CHUNKS = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"


def taken(method: str, *pieces: bytes) -> tuple[Exchange, bytes]:
    """Let octets come, and return what Twisted's client has of them."""
    exchange = Exchange(method)
    return exchange, b"".join([exchange.take(piece) for piece in pieces])


class HeadTests(SynchronousTestCase):
    """A head is read here, and Twisted's client told where the body ends."""

    def test_told(self) -> None:
        """What is told has no field but those that frame the body."""
        for said, told in (
            (
                OK + b"ETag: x\r\nContent-Length: 3\r\nSet-Cookie: a\r\n\r\nab",
                b"HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nab",
            ),
            (
                OK + b"content-length: 03, 03\r\n\r\n",
                b"HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\n",
            ),
            (
                OK + b"Transfer-Encoding: Chunked\r\nContent-Encoding: gzip\r\n\r\n",
                b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            (OK + b"ETag: x\r\n\r\nabc", b"HTTP/1.1 200 \r\n\r\nabc"),
            (b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 304 \r\n\r\n"),
        ):
            with self.subTest(said):
                exchange, handed = taken("GET", said)
                self.assertIsNone(exchange.fault)
                self.assertEqual(handed, told)

    def test_fields(self) -> None:
        """The fields are known here, in their order, and a fold in one is a blank."""
        exchange, _ = taken("GET", OK + b"B: 1\r\nA: 2,\r\n\t 3\r\nB: 4\r\n\r\n")
        assert exchange.head is not None
        self.assertEqual(exchange.head.fields, (("B", "1"), ("A", "2, 3"), ("B", "4")))

    def test_lengths(self) -> None:
        """How long a body is, is known where it is said; of HEAD's, how long it would be."""
        for method, said, length in (
            ("GET", OK + b"Content-Length: 12\r\n\r\n", 12),
            ("GET", OK + b"\r\n", None),
            ("GET", OK + b"Transfer-Encoding: chunked\r\n\r\n", None),
            ("GET", b"HTTP/1.1 304 No\r\nContent-Length: 12\r\n\r\n", 0),
            ("GET", b"HTTP/1.1 204 No\r\n\r\n", 0),
            ("HEAD", OK + b"Content-Length: 12\r\n\r\n", 12),
            ("HEAD", OK + b"\r\n", None),
        ):
            with self.subTest((method, said)):
                self.assertEqual(taken(method, said)[0].length, length)

    def test_last(self) -> None:
        """A connection that does not persist is not used again (RFC 9112 section 9.3)."""
        for start, field, last in (
            (b"HTTP/1.1 ", b"X: close", False),
            (b"HTTP/1.1 ", b"Connection: x, Close", True),
            (b"HTTP/1.1 ", b"Connection: x\r\nConnection: close", True),
            (b"HTTP/1.0 ", b"X: y", True),
            (b"HTTP/1.0 ", b"Connection: keep-alive", False),
            (b"HTTP/1.0 ", b"Connection: keep-alive, close", True),
        ):
            with self.subTest((start, field)):
                said = start + b"200 OK\r\nContent-Length: 0\r\n" + field + b"\r\n\r\n"
                self.assertEqual(b"Connection: close\r\n" in taken("GET", said)[1], last)

    def test_sending(self) -> None:
        """Nor is one on which a request was not finished (RFC 9112 section 9.5)."""
        exchange = Exchange("POST")
        exchange.sending = True
        self.assertIn(b"Connection: close", exchange.take(OK + b"Content-Length: 3\r\n\r\n"))


class InterimTests(SynchronousTestCase):
    """Interim responses are passed over (RFC 9110 section 15.2)."""

    def test_passed_over(self) -> None:
        """Nothing of them is in the head that counts, and nothing is told of them."""
        interim = b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS * 3 + b"HTTP/1.1 102 \r\nX: y\r\n\r\n"
        exchange, handed = taken("GET", interim)
        self.assertEqual((exchange.head, exchange.over, handed), (None, False, b""))
        self.assertEqual(
            exchange.take(OK + b"ETag: x\r\nContent-Length: 0\r\n\r\n"),
            b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        )
        assert exchange.head is not None
        self.assertEqual(exchange.head.fields, (("ETag", "x"), ("Content-Length", "0")))

    def test_too_many(self) -> None:
        """There are only so many."""
        exchange, _ = taken("GET", HINTS * INTERIM_AT_MOST)
        self.assertIsNone(exchange.fault)
        exchange.take(HINTS)
        self.assertIn("interim", str(exchange.fault))

    def test_refused(self) -> None:
        """They are read as strictly as others, and none changes the protocol."""
        for said in (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            b"HTTP/1.1 103 Hints\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 103 Hints\r\nno colon\r\n\r\n",
        ):
            with self.subTest(said):
                self.assertIsNotNone(taken("GET", said)[0].fault)


class BodyTests(SynchronousTestCase):
    """A body passes as it is, up to where it ends."""

    def test_length(self) -> None:
        """By its length; what is more than that is a fault, and makes what came with it one."""
        exchange, _ = taken("GET", OK + b"Content-Length: 5\r\n\r\n")
        self.assertEqual((exchange.take(b"abc"), exchange.complete), (b"abc", False))
        self.assertEqual((exchange.take(b"de"), exchange.complete), (b"de", True))
        for said in (
            (OK + b"Content-Length: 5\r\n\r\n", b"abcdef"),
            (OK + b"Content-Length: 5\r\n\r\nabc", b"def"),
            (OK + b"Content-Length: 5\r\n\r\nabcdef",),
            (OK + b"Content-Length: 0\r\n\r\na",),
        ):
            with self.subTest(said):
                exchange = Exchange("GET")
                *first, last = said
                for piece in first:
                    exchange.take(piece)
                self.assertEqual(exchange.take(last), b"")
                self.assertIn("longer than it says", str(exchange.fault))

    def test_chunks(self) -> None:
        """By the last chunk and its trailers."""
        exchange, _ = taken("GET", OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNKS[:-1])
        self.assertFalse(exchange.over)
        self.assertEqual(exchange.take(CHUNKS[-1:]), CHUNKS[-1:])
        self.assertTrue(exchange.complete)

    def test_chunked_badly(self) -> None:
        """Chunks that are none are not handed on, nor is a body with something behind it."""
        for said in (
            b"3\r\nabcd\r\n",
            b"3 \r\nabc\r\n",
            b"3\nabc\n0\n\n",
            b"0x3\r\nabc\r\n",
            b"-1\r\n",
            b"0\r\nno colon\r\n\r\n",
            CHUNKS + b"H",
            b"10000\r\n" + b"x" * 0x10000 + b"\r\n0\r\n\r\n" + b"x" * 0x10000,
        ):
            with self.subTest(said[:20]):
                exchange, _ = taken("GET", OK + b"Transfer-Encoding: chunked\r\n\r\n")
                self.assertEqual(exchange.take(said), b"")
                self.assertIsNotNone(exchange.fault)
                self.assertFalse(exchange.complete)

    def test_without(self) -> None:
        """What has no body has none, and octets behind it end only the connection."""
        chunked = b"Transfer-Encoding: chunked\r\n\r\n"
        for method, said in (
            ("HEAD", OK + b"Content-Length: 3\r\n\r\n"),
            ("HEAD", OK + chunked),
            ("GET", b"HTTP/1.1 304 No\r\n" + chunked),
            ("GET", b"HTTP/1.1 204 No\r\n\r\n"),
        ):
            with self.subTest((method, said)):
                exchange, handed = taken(method, said)
                self.assertTrue(exchange.complete)
                self.assertNotIn(b"Connection: close", handed)
                exchange, handed = taken(method, said + b"abc")
                self.assertTrue(exchange.complete)
                self.assertTrue(handed.endswith(b"\r\nConnection: close\r\n\r\n"))

    def test_close(self) -> None:
        """By the end of the connection, if it was closed and not broken off."""
        for cleanly in (True, False):
            exchange, _ = taken("GET", OK + b"\r\n", b"abc")
            self.assertFalse(exchange.over)
            exchange.end(cleanly=cleanly)
            self.assertEqual(exchange.complete, cleanly)

    def test_ended(self) -> None:
        """The end of the connection ends nothing that has another end, or no beginning."""
        for said in (
            b"",
            OK,
            OK + b"Content-Length: 3\r\n\r\nab",
            OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS[:-2],
        ):
            with self.subTest(said):
                exchange, _ = taken("GET", said)
                exchange.end(cleanly=True)
                self.assertFalse(exchange.complete)

    @given(st.lists(st.integers(0, 200)), st.sampled_from((b"chunked", b"length", b"close")))
    def test_pieces(self, cuts: list[int], framing: bytes) -> None:
        """However it is cut, a response is read the same."""
        field, body = {
            b"chunked": (b"Transfer-Encoding: chunked\r\n", CHUNKS),
            b"length": (b"Content-Length: 5\r\n", b"abcde"),
            b"close": (b"", b"abcde"),
        }[framing]
        said = HINTS + OK + b"A: b,\r\n c\r\n" + field + b"\r\n" + body
        places = [0, *(cut for cut in sorted(cuts) if cut < len(said)), len(said)]
        exchange, handed = taken("GET", *(said[begin:end] for begin, end in pairwise(places)))
        self.assertEqual(handed, b"HTTP/1.1 200 \r\n" + field + b"\r\n" + body)
        assert exchange.head is not None
        self.assertEqual(exchange.head.fields[0], ("A", "b, c"))
        self.assertEqual((exchange.complete, exchange.fault), (framing != b"close", None))
