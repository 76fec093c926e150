"""Tests for `osproxy.http.freshness`."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.fields import Fields, format_date
from osproxy.http.freshness import (
    Lifetimes,
    Stored,
    Verdict,
    age,
    date_of,
    decide,
    initial_age,
    lifetime,
    ttl,
)

NOW = 1_000_000_000.0
EVER_FRESH = float(2**31)
DAY = 24 * 3600.0
SHORT = Lifetimes(60.0, stale_while_revalidate=30.0)
STRICT = Lifetimes(60.0)
EVER = Lifetimes(math.inf)


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


class InitialAgeTests(SynchronousTestCase):
    """A response may be old when it comes (RFC 9111 section 4.2.3)."""

    def test_table(self) -> None:
        """Of Date and Age the worse is believed; what is no number is ignored."""
        past, future = format_date(NOW - 100), format_date(NOW + 100)
        for fields, delay, expected in (
            ((), 0.0, 0.0),
            ((), 2.0, 2.0),
            ((("Age", "30"),), 0.0, 30.0),
            ((("Age", "30"),), 2.0, 32.0),
            ((("Date", past),), 2.0, 100.0),
            ((("Date", past), ("Age", "30")), 0.0, 100.0),
            ((("Date", past), ("Age", "130")), 2.0, 132.0),
            ((("Date", future),), 0.0, 0.0),
            ((("Date", future), ("Age", "30")), 0.0, 30.0),
            ((("Date", "yesterday"),), 0.0, 0.0),
            ((("Date", format_date(0)),), 0.0, NOW),
            ((("Date", "Mon, 01 Jan 0001 00:00:00 GMT"),), 0.0, EVER_FRESH),
            ((), -50.0, 0.0),
            ((("Age", "30"),), -50.0, 30.0),
            ((("Age", " 030\t"),), 0.0, 30.0),
            ((("Age", "30, 40"),), 0.0, 30.0),
            ((("Age", "30 ,x"),), 0.0, 30.0),
            ((("Age", "30"), ("age", "40")), 0.0, 30.0),
            ((("Age", "9" * 9999),), 5.0, EVER_FRESH),
            ((("Age", "4294967296"),), 0.0, EVER_FRESH),
            ((("Age", "01500000000"),), 0.0, 1.5e9),
        ):
            with self.subTest(fields=fields, delay=delay):
                self.assertEqual(initial_age(fields, NOW - delay, NOW), expected)
        for text in (
            "x, 40",
            "",
            "-30",
            "+30",
            "3.5",
            '"30"',
            "30 40",
            "\N{ARABIC-INDIC DIGIT ONE}",
        ):
            with self.subTest(text=text):
                self.assertEqual(initial_age((("Age", text),), NOW, NOW), 0.0)

    def test_date(self) -> None:
        """One without a Date was made when it was received (RFC 9110 section 6.6.1)."""
        self.assertEqual(date_of((("Date", format_date(5)),), NOW), 5.0)
        self.assertEqual(date_of((("Date", "0"),), NOW), NOW)
        self.assertEqual(date_of((), NOW), NOW)

    @given(st.text() | st.text(alphabet="0123456789, \t"), st.floats(0, 1e10), st.floats(0, 1e10))
    def test_bounds(self, text: str, requested_at: float, received_at: float) -> None:
        """Whatever the fields, an age is neither negative nor without limit."""
        fields = (("Age", text), ("Date", text))
        self.assertTrue(0 <= initial_age(fields, requested_at, received_at) <= EVER_FRESH)

    def test_hostile(self) -> None:
        """A field of hundreds of thousands of octets is read in one go."""
        for text in ("0" * 400_000, " " * 400_000, "0 " * 200_000, "1," * 200_000):
            initial_age((("Age", text), ("Date", text)), NOW, NOW)


class LifetimeTests(SynchronousTestCase):
    """How long a response is fresh is said, or guessed (RFC 9111 section 4.2)."""

    def test_heuristic(self) -> None:
        """A tenth of the time without change, a day at most, where it may be guessed at all."""
        old = ("Last-Modified", format_date(NOW - 1000))
        ancient = ("Last-Modified", format_date(0))
        public = ("Cache-Control", "public")
        rows: tuple[tuple[int, Fields, float], ...] = (
            (200, (old,), 100.0),
            (200, (), 0.0),
            (200, (ancient,), DAY),
            (200, (("Last-Modified", format_date(NOW - 10 * DAY - 10)),), DAY),
            (200, (("Last-Modified", format_date(NOW - 10 * DAY + 10)),), DAY - 1),
            (200, (("Last-Modified", format_date(NOW + 10)),), 0.0),
            (200, (("Last-Modified", "0"),), 0.0),
            (302, (old,), 0.0),
            (302, (old, public), 100.0),
            (302, (public,), 0.0),
            (500, (old,), 0.0),
            (200, (old, ("Cache-Control", "max-age=7")), 7.0),
            (200, (old, ("Cache-Control", "max-age=x")), 0.0),
            (200, (old, ("Cache-Control", "no-cache")), 0.0),
            (200, (old, ("Cache-Control", "must-revalidate")), 100.0),
            (200, (old, ("Expires", "0")), 0.0),
            (302, (("Cache-Control", "max-age=7"),), 7.0),
            (599, (("Expires", format_date(NOW + 7)),), 7.0),
        )
        for status, fields, expected in rows:
            with self.subTest(status=status, fields=fields):
                self.assertEqual(lifetime(status, fields, NOW), expected)

    def test_statuses(self) -> None:
        """It is guessed for just the statuses of RFC 9110 section 15.1, and for 451."""
        old = (("Last-Modified", format_date(NOW - 1000)),)
        guessed = {status for status in range(100, 1000) if lifetime(status, old, NOW)}
        expected = {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 451, 501}
        self.assertEqual(guessed, expected)

    def test_without_date(self) -> None:
        """Expires counts from when a response without a Date was made."""
        expires = ("Expires", format_date(NOW + 60))
        self.assertEqual(Stored(200, (expires,), NOW).lifetime, 60.0)
        self.assertEqual(Stored(200, (expires, ("Date", "x")), NOW - 5).lifetime, 65.0)

    def test_clocks_apart(self) -> None:
        """Where the origin's clock is wrong Expires and Date are so together."""
        for shift in (-7200, 7200):
            fields = (
                ("Date", format_date(NOW + shift)),
                ("Expires", format_date(NOW + shift + 60)),
            )
            self.assertEqual(Stored(200, fields, NOW).lifetime, 60.0)
