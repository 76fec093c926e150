"""Tests for `osproxy.http.ranges`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.ranges import (
    ContentRange,
    Span,
    Unsatisfiable,
    content_range,
    parse_content_range,
    parse_range,
    unsatisfied_range,
)

HUGE = "9" * 9999


class ParseRangeTests(SynchronousTestCase):
    """A Range is read as RFC 9110 section 14.1.2 says."""

    def test_satisfiable(self) -> None:
        """Spans are cut to the file, and keep the order asked."""
        for value, expected in (
            ("bytes=0-0", [(0, 1)]),
            ("bytes=0-9", [(0, 10)]),
            ("bytes=2-", [(2, 10)]),
            ("bytes=9-99", [(9, 10)]),
            ("bytes=-3", [(7, 10)]),
            ("bytes=-99", [(0, 10)]),
            ("Bytes=0-0", [(0, 1)]),
            (" bytes= 5-6 , ,0-1,", [(5, 7), (0, 2)]),
            ("bytes=0-1,50-60", [(0, 2)]),
            ("bytes=-0,1-1", [(1, 2)]),
            ("bytes=00000000000000000000001-1", [(1, 2)]),
            (f"bytes=1-{HUGE}", [(1, 10)]),
            (f"bytes=-{HUGE}", [(0, 10)]),
        ):
            with self.subTest(value=value):
                spans = parse_range(value, 10)
                self.assertEqual([(span.start, span.stop) for span in spans], expected)

    def test_ignored(self) -> None:
        """Another unit, and what is not well-formed, is as if not sent."""
        for value in (
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=0-1,x",
            "bytes=0--1",
            "bytes=1 - 2",
            "bytes=+1-2",
            "bytes=\N{ARABIC-INDIC DIGIT ONE}-2",
            "bytes 0-1",
            "octets=0-1",
        ):
            with self.subTest(value=value):
                self.assertEqual(parse_range(value, 10), ())

    def test_unsatisfiable(self) -> None:
        """A Range of which no octet exists is said to be so."""
        for value, length in (
            ("bytes=10-", 10),
            ("bytes=10-20,30-", 10),
            ("bytes=-0", 10),
            ("bytes=0-", 0),
            (f"bytes={HUGE}-", 10),
        ):
            with self.subTest(value=value):
                self.assertRaises(Unsatisfiable, parse_range, value, length)

    def test_end_of_nothing(self) -> None:
        """The last octets of an empty file are the whole file."""
        self.assertEqual(parse_range("bytes=-5", 0), ())

    @given(st.text(alphabet="bytes=0129-, ") | st.text(), st.integers(0, 200))
    def test_within_the_file(self, value: str, length: int) -> None:
        """Whatever is asked, spans have octets and lie in the file."""
        try:
            spans = parse_range(value, length)
        except Unsatisfiable:
            return
        for span in spans:
            self.assertTrue(0 <= span.start < span.stop <= length)

    @given(st.integers(0, 10**12), st.integers(1, 10**12), st.integers(0, 10**12))
    def test_asked_and_answered(self, start: int, size: int, rest: int) -> None:
        """What is asked for within a file is what is sent, and the answer says so."""
        length = start + size + rest
        (span,) = parse_range(f"bytes={start}-{start + size - 1}", length)
        self.assertEqual((span.start, span.length), (start, size))
        self.assertEqual(
            parse_content_range(content_range(span, length)),
            ContentRange(span.start, span.stop, length),
        )

    def test_many(self) -> None:
        """A field of a hundred thousand members is read in one go."""
        self.assertEqual(len(parse_range("bytes=" + "0-0," * 100_000, 1)), 100_000)
        self.assertEqual(parse_range("bytes=" + "0" * 400_000 + "x", 1), ())


class ContentRangeTests(SynchronousTestCase):
    """Content-Range is written and read as RFC 9110 section 14.4 says."""

    def test_written(self) -> None:
        """A 206 names its last octet, a 416 only the length."""
        self.assertEqual(content_range(Span(0, 10), 100), "bytes 0-9/100")
        self.assertEqual(unsatisfied_range(100), "bytes */100")

    def test_read(self) -> None:
        """What is well-formed is read; the length may be unknown."""
        for value, expected in (
            ("bytes 0-9/100", ContentRange(0, 10, 100)),
            (" Bytes 5-5/6 ", ContentRange(5, 6, 6)),
            ("bytes 5-9/*", ContentRange(5, 10, None)),
        ):
            with self.subTest(value=value):
                self.assertEqual(parse_content_range(value), expected)

    def test_unreadable(self) -> None:
        """What contradicts itself, or is no span, is not read."""
        for value in (
            "",
            "bytes */100",
            "bytes 5-4/10",
            "bytes 0-9/9",
            "bytes 0-9",
            "bytes=0-9/10",
            "octets 0-9/10",
            f"bytes 0-{HUGE}/*",
        ):
            with self.subTest(value=value):
                self.assertIsNone(parse_content_range(value))

    @given(st.text())
    def test_never_raises(self, value: str) -> None:
        """No value makes the reader raise."""
        parse_content_range(value)
