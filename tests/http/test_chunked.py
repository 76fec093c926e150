"""Tests for `osproxy.http.chunked`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.chunked import CHUNK_LINE_AT_MOST, EXTENSIONS_AT_MOST, ChunkedDecoder
from osproxy.http.lines import FIELDS_AT_MOST, BadMessage

CONTENTS = st.lists(st.binary(min_size=1, max_size=40), max_size=5)
EXTENSIONS = st.sampled_from((b"", b";a", b';a="b;c"', b"; a = b\xff"))
TRAILERS = st.sampled_from((b"", b"A: b\r\n", b"A:\r\nContent-Length: 5\r\n"))
PIECES = st.lists(
    st.sampled_from(
        (b"0", b"1", b"a", b"\r\n", b"\r", b"\n", b";", b" ", b"A: b\r\n", b"0\r\n\r\n")
    ),
    max_size=14,
)


def decoded(*pieces: bytes) -> tuple[bytes, bytes, bool]:
    """Decode what comes in pieces: the content, what is left, and whether it has ended."""
    decoder, buffer, content = ChunkedDecoder(), bytearray(), b""
    for piece in pieces:
        buffer += piece
        while more := decoder.take(buffer):
            content += more
    return content, bytes(buffer), decoder.done


class ChunkedTests(SynchronousTestCase):
    """Chunks are as RFC 9112 section 7.1 has them, or refused."""

    def refused(self, octets: bytes, status: int = 400) -> None:
        """See that a body is refused, whole or octet by octet, with a status."""
        for pieces in ((octets,), [bytes((octet,)) for octet in octets]):
            with self.subTest(octets=octets[:60]):
                with self.assertRaises(BadMessage) as caught:
                    decoded(*pieces)
                self.assertEqual(caught.exception.status, status)

    def test_bodies(self) -> None:
        """Content comes out; extensions and trailers do not, nor what is behind the body."""
        for octets, content, rest in (
            (b"0\r\n\r\n", b"", b""),
            (b"3\r\nabc\r\n0\r\n\r\nGET", b"abc", b"GET"),
            (b"3;x=y\r\nabc\r\n00A\r\n0123456789\r\n000;z\r\n\r\n", b"abc0123456789", b""),
            (b"2\r\n\r\n\r\n0\r\nA: b\r\nContent-Length: 9\r\n\r\n\r\n", b"\r\n", b"\r\n"),
            (b"0000000000000001\r\na\r\n0\r\n\r\n", b"a", b""),
        ):
            with self.subTest(octets=octets):
                self.assertEqual(decoded(octets), (content, rest, True))

    def test_unfinished(self) -> None:
        """A body that has not ended gives what has come of it."""
        whole = b"3\r\nabc\r\n0\r\nA: b\r\n\r\n"
        for stop in range(len(whole)):
            content, _, done = decoded(whole[:stop])
            self.assertEqual((content, done), (b"abc"[: max(0, stop - 3)], False))

    def test_sizes(self) -> None:
        """A size is one to sixteen hexadecimal digits, and nothing else."""
        for size in (
            b"",
            b" 3",
            b"3 ",
            b"3 ;x",
            b"\t3",
            b"+3",
            b"-3",
            b"-0",
            b"0x3",
            b"g",
            b"3_0",
            b"3,",
            b"3\r",
            b"3\0",
            b"3;\0",
            b"3;a\rb",
            b"\xb2",
            b"0" * 17,
            b"f" * 17,
        ):
            self.refused(size + b"\r\nabc\r\n0\r\n\r\n")
        self.assertEqual(decoded(b"F" * 16 + b"\r\nabc")[0], b"abc")

    def test_line_ends(self) -> None:
        """Lines and chunks end in CRLF; a chunk is exactly as long as it says."""
        for octets in (
            b"3\nabc\r\n0\r\n\r\n",
            b"3\r\nabc\n0\r\n\r\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"3\r\nabc0\r\n\r\n",
            b"3\r\nabc\r0\r\n\r\n",
            b"3\r\nabc\r\n0\n\r\n",
            b"3\r\nabc\r\n0\r\n\n",
            b"3\r\nab\r\n0\r\n\r\n",
            b"3\r\nabc\r\n\r\n0\r\n\r\n",
        ):
            self.refused(octets)

    def test_trailers(self) -> None:
        """Trailer fields are fields, and not without number."""
        for line in (b"A", b"A : b", b" A: b", b"A: \0", b"A: b\n", b"A: b\r\n c"):
            self.refused(b"0\r\n" + line + b"\r\n\r\n")
        self.refused(b"0\r\n" + b"A: b\r\n" * (FIELDS_AT_MOST + 1), 431)
        self.refused(b"0\r\nA: " + b"x" * 20_000, 431)
        self.refused(b"0\r\n" + (b"A: " + b"x" * 16_000 + b"\r\n") * 5, 431)

    def test_extensions(self) -> None:
        """Extensions are neither long nor many."""
        self.refused(b"3;" + b"x" * CHUNK_LINE_AT_MOST)
        longest = b"1;" + b"x" * (CHUNK_LINE_AT_MOST - 2) + b"\r\na\r\n"
        self.refused(longest * (EXTENSIONS_AT_MOST // CHUNK_LINE_AT_MOST + 1))

    def test_many(self) -> None:
        """A hundred thousand chunks are undone in one go, and so are as many octets of a line."""
        self.assertEqual(decoded(b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n")[0], b"a" * 100_000)
        slowly = (b"1", b"\r", b"\n", b"a", b"\r", b"\n") * 20_000
        self.assertEqual(decoded(*slowly)[0], b"a" * 20_000)

    @given(CONTENTS, EXTENSIONS, TRAILERS, st.binary(max_size=9), st.integers(1, 60))
    def test_round_trip(
        self, contents: list[bytes], extension: bytes, trailer: bytes, rest: bytes, cut: int
    ) -> None:
        """What was chunked comes out as it was, however it is cut into pieces."""
        octets = b"".join(
            b"%x%b\r\n%b\r\n" % (len(content), extension, content) for content in contents
        )
        octets += b"0" + extension + b"\r\n" + trailer + b"\r\n" + rest
        pieces = [octets[start : start + cut] for start in range(0, len(octets), cut)]
        self.assertEqual(decoded(*pieces), (b"".join(contents), rest, True))

    @given(PIECES)
    def test_one_error(self, pieces: list[bytes]) -> None:
        """Whatever comes is decoded or refused, and the same when it comes at once."""

        def tried(*pieces: bytes) -> tuple[bytes, bytes, bool] | int:
            try:
                return decoded(*pieces)
            except BadMessage as error:
                return error.status

        self.assertEqual(tried(*pieces), tried(b"".join(pieces)))
