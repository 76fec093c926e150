"""Tests for `osproxy.http.lines`."""

from __future__ import annotations

from typing import SupportsIndex

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.lines import (
    FIELD_LINE_AT_MOST,
    FIELDS_AT_MOST,
    HEAD_AT_MOST,
    REQUEST_LINE_AT_MOST,
    BadMessage,
    HeadReader,
    LineReader,
)

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Searched(bytearray):
    """A buffer that counts how many octets are looked at for the end of a line."""

    looked_at = 0

    def find(
        self,
        sub: bytes | bytearray | memoryview | SupportsIndex,  # type: ignore[override]
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
    ) -> int:
        """Count, and find."""
        at = super().find(sub, start, end)
        stop = min(len(self), len(self) if end is None else int(end))
        self.looked_at += (stop if at < 0 else at) - int(start or 0)
        return at


class LineReaderTests(SynchronousTestCase):
    """Lines end in CRLF."""

    def test_one_after_the_other(self) -> None:
        """Lines are taken off the front, and what is behind them is left."""
        reader, buffer = LineReader(), bytearray(b"one\r\n\r\ntwo\r")
        self.assertEqual([reader.take(buffer, 9) for _ in range(3)], [b"one", b"", None])
        buffer += b"\nrest"
        self.assertEqual(reader.take(buffer, 9), b"two")
        self.assertEqual(buffer, b"rest")

    def test_bare_lf(self) -> None:
        """A LF that no CR precedes is refused as soon as it is seen."""
        for octets in (b"\n", b"a\n", b"a\n\r\n", b"\r\r\na\n"):
            with self.subTest(octets=octets):
                reader, buffer = LineReader(), bytearray(octets)
                with self.assertRaises(BadMessage):
                    while reader.take(buffer, 9) is not None:
                        pass

    def test_length(self) -> None:
        """A line may have as many octets as are allowed; more are refused before its end comes."""
        self.assertEqual(LineReader().take(bytearray(b"12345\r\n"), 5), b"12345")
        self.assertIsNone(LineReader().take(bytearray(b"12345\r"), 5))
        for octets in (b"1234567", b"123456\r\n"):
            with self.assertRaises(BadMessage) as caught:
                LineReader().take(bytearray(octets), 5, 414)
            self.assertEqual(caught.exception.status, 414)

    def test_searched_once(self) -> None:
        """However slowly a line comes, each octet of it is looked at once."""
        reader, buffer = LineReader(), Searched()
        for _ in range(5000):
            buffer += b"x"
            self.assertIsNone(reader.take(buffer, 9999))
        self.assertEqual(buffer.looked_at, 5000)


class HeadReaderTests(SynchronousTestCase):
    """A head ends with its empty line."""

    def test_whole(self) -> None:
        """What is behind the head is left."""
        buffer = bytearray(HEAD + b"body")
        self.assertEqual(HeadReader().take(buffer), HEAD)
        self.assertEqual(buffer, b"body")

    @given(st.integers(1, len(HEAD) - 1), st.integers(1, len(HEAD) - 1))
    def test_in_pieces(self, one: int, other: int) -> None:
        """It is the same however it is cut."""
        reader, buffer = HeadReader(), bytearray()
        first, second = sorted((one, other))
        found = []
        for piece in (HEAD[:first], HEAD[first:second], HEAD[second:] + b"rest"):
            buffer += piece
            found.append(reader.take(buffer))
        self.assertEqual(found, [None, None, HEAD])
        self.assertEqual(buffer, b"rest")

    def test_empty_lines(self) -> None:
        """As many empty lines are ignored as it was told, and then no more."""
        reader, buffer = HeadReader(2), bytearray(b"\r\n\r\n")
        self.assertIsNone(reader.take(buffer))
        self.assertFalse(reader.begun)
        buffer += HEAD
        self.assertEqual(reader.take(buffer), HEAD)
        self.assertTrue(reader.begun)
        self.assertRaises(BadMessage, HeadReader(2).take, bytearray(b"\r\n\r\n\r\n"))
        self.assertRaises(BadMessage, HeadReader().take, bytearray(b"\r\n"))

    def test_limits(self) -> None:
        """What is too large is refused before it is whole; what is just not, is read."""
        line, longest = b"GET / HTTP/1.1\r\n", b"x" * FIELD_LINE_AT_MOST + b"\r\n"
        most = HEAD_AT_MOST - len(line) - 3 * len(longest) - 2
        for octets, status in (
            (b"x" * REQUEST_LINE_AT_MOST + b"\r\n", None),
            (b"x" * (REQUEST_LINE_AT_MOST + 2), 414),
            (line + longest, None),
            (line + b"x" * (FIELD_LINE_AT_MOST + 2), 431),
            (line + b"x\r\n" * FIELDS_AT_MOST, None),
            (line + b"x\r\n" * (FIELDS_AT_MOST + 1), 431),
            (line + longest * 3 + b"x" * most + b"\r\n", None),
            (line + longest * 3 + b"x" * (most + 1) + b"\r\n", 431),
        ):
            with self.subTest(octets=octets[:60], status=status):
                reader, buffer = HeadReader(), bytearray(octets)
                if status is None:
                    self.assertIsNone(reader.take(buffer))
                    buffer += b"\r\n"
                    self.assertEqual(reader.take(buffer), octets + b"\r\n")
                    continue
                with self.assertRaises(BadMessage) as caught:
                    reader.take(buffer)
                self.assertEqual(caught.exception.status, status)

    def test_slowly(self) -> None:
        """The largest head that can be is read octet by octet, each looked at once."""
        octets = b"x\r\n" * FIELDS_AT_MOST
        octets += b"x" * (FIELD_LINE_AT_MOST - 1) + b"\r\n\r\n"
        reader, buffer = HeadReader(), Searched()
        for octet in octets[:-1]:
            buffer.append(octet)
            self.assertIsNone(reader.take(buffer))
        buffer.append(octets[-1])
        self.assertEqual(reader.take(buffer), octets)
        # But for the LF, which is found and not passed.
        self.assertEqual(buffer.looked_at, len(octets) - octets.count(b"\n"))
