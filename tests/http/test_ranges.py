"""Tests for `osproxy.http.ranges`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.ranges import (
    SPANS_AT_MOST,
    ContentRange,
    Span,
    Unsatisfiable,
    content_range,
    merge,
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
        """More than can be meant are none; a hundred thousand members are read in one go."""
        self.assertEqual(len(parse_range("bytes=" + "0-0," * SPANS_AT_MOST, 1)), SPANS_AT_MOST)
        self.assertEqual(len(parse_range("bytes=" + ", ," * 100_000 + "0-0", 1)), 1)
        for value in ("0-0," * (SPANS_AT_MOST + 1), "9-9," * 100_000, "0" * 400_000 + "x"):
            self.assertEqual(parse_range("bytes=" + value, 1), ())


def spans(*pairs: tuple[int, int]) -> list[Span]:
    """Make spans."""
    return [Span(*pair) for pair in pairs]


class MergeTests(SynchronousTestCase):
    """Many spans become few (RFC 9110 sections 14.2 and 15.3.7.2)."""

    def check(self, asked: list[Span], *expected: tuple[int, int], length: int = 1000) -> None:
        """Merge spans of a file of 1000 octets."""
        found = [(span.start, span.stop) for span in merge(asked, length)]
        self.assertEqual(found, list(expected), asked)

    def test_merged(self) -> None:
        """What overlaps or touches becomes one, in whatever order it was asked for."""
        self.check(spans())
        self.check(spans((5, 9)), (5, 9))
        self.check(spans((0, 5), (5, 9)), (0, 9))
        self.check(spans((5, 9), (0, 5)), (0, 9))
        self.check(spans((0, 50), (40, 60)), (0, 60))
        self.check(spans((0, 50), (10, 20)), (0, 50))
        self.check(spans((3, 4), (3, 4), (3, 4)), (3, 4))
        self.check(spans((0, 5), (20, 30), (4, 21)), (0, 30))

    def test_apart(self) -> None:
        """What has a gap between it, be it one octet, stays as it was asked for."""
        self.check(spans((0, 5), (6, 9)), (0, 5), (6, 9))
        self.check(spans((900, 1000), (0, 5)), (900, 1000), (0, 5))

    def test_order(self) -> None:
        """A merged span comes where the first of its spans was asked for."""
        self.check(
            spans((500, 600), (0, 5), (800, 900), (590, 650), (5, 9)),
            (500, 650), (0, 9), (800, 900),
        )  # fmt: skip
        self.check(spans((7, 9), (90, 99), (0, 7)), (0, 9), (90, 99))

    def test_chunks(self) -> None:
        """Those who fetch chunks ask for hundreds of spans, in order, and get them."""
        for count in (255, 256, 512, SPANS_AT_MOST):
            asked = [Span(start * 10, start * 10 + 7) for start in range(count)]
            self.assertEqual(merge(asked, count * 10), tuple(asked))

    def test_twice_the_file(self) -> None:
        """Nobody needs more than twice the file."""
        self.check(spans((0, 1000), (0, 1000)), (0, 1000))
        self.check(spans((0, 1000), (0, 1000), (0, 1)))

    def test_disorderly(self) -> None:
        """Nor spans that overlap and overlap, or go back and back."""
        orderly = [Span(start, start + 1) for start in range(0, 1000, 50)]
        # One step back, and so many that overlap.
        self.check([*orderly, *orderly[:15]], *((span.start, span.stop) for span in orderly))
        self.check([*orderly, *orderly[:16]])
        self.check([Span(0, 3)] * 17, (0, 3))
        self.check([Span(0, 3)] * 18)
        backwards = [Span(start, start + 1) for start in range(900, 0, -50)]
        self.check(backwards[:17], *((span.start, span.stop) for span in backwards[:17]))
        self.check(backwards[:18])

    @given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 100)), max_size=20))
    def test_same_octets(self, pairs: list[tuple[int, int]]) -> None:
        """The merged spans have the octets asked for and no others, each of them once."""
        asked = [Span(start, min(start + length, 100)) for start, length in pairs]
        merged = merge(asked, 100)
        if not merged:
            self.assertTrue(not asked or sum(span.length for span in asked) > 200 or len(asked) > 9)
            return
        octets = [octet for span in merged for octet in range(span.start, span.stop)]
        self.assertEqual(len(octets), len(set(octets)))
        wanted = {octet for span in asked for octet in range(span.start, span.stop)}
        self.assertEqual(set(octets), wanted)
        # None touches another, and each begins where one began that was asked for.
        stops = {span.stop for span in merged}
        starts = {span.start for span in merged}
        self.assertEqual(starts & stops, set())
        self.assertLessEqual(starts, {span.start for span in asked})


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
