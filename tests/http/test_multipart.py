"""Tests for `osproxy.http.multipart`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.multipart import Multipart, multipart
from osproxy.http.ranges import Span
from tests.byteranges import parts_of

TEXT = b"0123456789" * 800


def written(body: Multipart, content: bytes) -> bytes:
    """Put the pieces together."""
    return b"".join(
        piece if isinstance(piece, bytes) else content[piece.start : piece.stop]
        for piece in body.pieces
    )


class MultipartTests(SynchronousTestCase):
    """Many parts are one body."""

    def test_literal(self) -> None:
        """It is the example of RFC 9110 section 15.3.7.2, octet by octet."""
        spans = (Span(500, 510), Span(7000, 7005))
        body = multipart(spans, 8000, "application/pdf", "THIS_STRING_SEPARATES")
        expected = (
            b"--THIS_STRING_SEPARATES\r\n"
            b"Content-Type: application/pdf\r\n"
            b"Content-Range: bytes 500-509/8000\r\n"
            b"\r\n"
            b"0123456789\r\n"
            b"--THIS_STRING_SEPARATES\r\n"
            b"Content-Type: application/pdf\r\n"
            b"Content-Range: bytes 7000-7004/8000\r\n"
            b"\r\n"
            b"01234\r\n"
            b"--THIS_STRING_SEPARATES--\r\n"
        )
        self.assertEqual(written(body, TEXT), expected)
        self.assertEqual(body.length, len(expected))
        self.assertEqual(body.content_type, "multipart/byteranges; boundary=THIS_STRING_SEPARATES")

    def test_no_type(self) -> None:
        """What has no type has none in its parts; a type may have any octets."""
        for content_type in (None, "text/plain; charset=utf-8", 'a/b; c="caf\xe9"'):
            body = multipart((Span(0, 1), Span(2, 3)), 9, content_type, "x")
            head = body.pieces[0]
            assert isinstance(head, bytes)
            self.assertEqual(b"Content-Type" in head, content_type is not None)
            self.assertIn((content_type or "").encode("latin-1"), head)

    @given(
        st.lists(st.tuples(st.integers(0, 7999), st.integers(1, 8000)), min_size=1, max_size=30),
        st.sampled_from((None, "application/x-rpm")),
    )
    def test_taken_apart(self, pairs: list[tuple[int, int]], content_type: str | None) -> None:
        """What is put together can be taken apart, and is as long as was said."""
        spans = [Span(start, min(start + length, 8000)) for start, length in pairs]
        body = multipart(spans, 8000, content_type, "0123456789abcdef")
        octets = written(body, TEXT)
        self.assertEqual(len(octets), body.length)
        found = parts_of(body.content_type, octets)
        self.assertEqual(
            [(part.start, part.stop) for part in found], [(s.start, s.stop) for s in spans]
        )
        for part in found:
            self.assertEqual(part.body, TEXT[part.start : part.stop])
            self.assertEqual((part.length, part.content_type), (8000, content_type))
