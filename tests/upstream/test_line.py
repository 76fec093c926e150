"""Tests of `osproxy.upstream.line`; how connections end is seen in those of replies."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.upstream.line import LONGEST_HEAD, Head

HEAD = b"HTTP/1.1 200 OK\r\nA: b\r\nConnection: c,\r\n\td\r\nA:e\n\r\n"
FIELDS = (("A", "b"), ("Connection", "c, d"), ("A", "e"))


class HeadTests(SynchronousTestCase):
    """A head is gathered from octets."""

    @given(st.lists(st.integers(0, 100)))
    def test_pieces(self, cuts: list[int]) -> None:
        """However it is cut, a head has its fields, and none of what follows or went before."""
        said = b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" + HEAD + b"Z: 1\r\n\r\nabc"
        head = Head()
        places = [0, *sorted(cuts), len(said)]
        for begin, end in pairwise(places):
            head.take(said[begin:end])
        self.assertTrue(head.complete)
        self.assertEqual(head.fields(), FIELDS)

    def test_incomplete(self) -> None:
        """It is complete with its last octet, and not before."""
        head = Head()
        head.take(HEAD[:-1])
        self.assertFalse(head.complete)
        head.take(HEAD[-1:])
        self.assertTrue(head.complete)

    def test_without_fields(self) -> None:
        """It may have no fields."""
        head = Head()
        head.take(b"HTTP/1.1 200 OK\n\n")
        self.assertEqual((head.complete, head.fields()), (True, ()))

    def test_too_long(self) -> None:
        """It may be long; then what follows may be as long as it wants."""
        head = Head()
        head.take(b"x" * LONGEST_HEAD)
        self.assertFalse(head.too_long)
        head.take(b"x")
        self.assertTrue(head.too_long)
        head = Head()
        head.take(HEAD + b"x" * LONGEST_HEAD)
        self.assertFalse(head.too_long)
