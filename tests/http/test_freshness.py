"""Tests for `osproxy.http.freshness`."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.freshness import Lifetimes, Verdict, age, decide, ttl

NOW = 1_000_000_000.0
SHORT = Lifetimes(60.0, stale_while_revalidate=30.0)
STRICT = Lifetimes(60.0)
EVER = Lifetimes(math.inf)
BRIEF = Lifetimes(1.0)


class DecideTests(SynchronousTestCase):
    """What to do about a request follows from what is stored and from the time."""

    def test_table(self) -> None:
        """Fresh is served, a little stale too, the rest is asked about."""
        for lifetimes, elapsed, expected in (
            (SHORT, 0.0, Verdict.SERVE),
            (SHORT, 59.9, Verdict.SERVE),
            (SHORT, 60.0, Verdict.SERVE_AND_REFRESH),
            (SHORT, 89.9, Verdict.SERVE_AND_REFRESH),
            (SHORT, 90.0, Verdict.REVALIDATE),
            (STRICT, 60.0, Verdict.REVALIDATE),
            (EVER, 1e9, Verdict.SERVE),
            (EVER, -1e9, Verdict.SERVE),
        ):
            with self.subTest(lifetimes=lifetimes, elapsed=elapsed):
                self.assertIs(decide(NOW - elapsed, lifetimes, NOW), expected)

    def test_nothing_stored(self) -> None:
        """What is not stored is fetched."""
        self.assertIs(decide(None, EVER, NOW), Verdict.FETCH)

    def test_clock_set_back(self) -> None:
        """What was checked in the future is stale."""
        self.assertIs(decide(NOW + 1, SHORT, NOW), Verdict.REVALIDATE)

    @given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
    def test_served_only_while_fresh(self, fresh_for: float, stale: float, elapsed: float) -> None:
        """Nothing is served unasked that has outlived its freshness."""
        verdict = decide(0.0, Lifetimes(fresh_for, stale), elapsed)
        if verdict is Verdict.SERVE:
            self.assertLess(elapsed, fresh_for)
        if verdict is Verdict.SERVE_AND_REFRESH:
            self.assertLess(elapsed, fresh_for + stale)


class TtlTests(SynchronousTestCase):
    """What is left of freshness is told in whole seconds."""

    def test_table(self) -> None:
        """It is negative once stale, and None when it never ends."""
        for checked_at, lifetimes, expected in (
            (NOW, SHORT, 60),
            (NOW - 59.5, SHORT, 0),
            (NOW - 60.5, SHORT, -1),
            (NOW - 100, SHORT, -40),
            (NOW + 5, SHORT, -1),
            (NOW - 100, EVER, None),
        ):
            with self.subTest(checked_at=checked_at):
                self.assertEqual(ttl(checked_at, lifetimes, NOW), expected)


class AgeTests(SynchronousTestCase):
    """Ages are whole seconds."""

    def test_clamped(self) -> None:
        """An age is never negative, whatever the clock does."""
        self.assertEqual(age(NOW - 1.9, NOW), 1)
        self.assertEqual(age(NOW, NOW), 0)
        self.assertEqual(age(NOW + 100, NOW), 0)
