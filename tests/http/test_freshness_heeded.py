"""Tests for what `osproxy.http.freshness` makes of what responses and requests say."""

from __future__ import annotations

import math

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.cachecontrol import CacheControl, RequestControl, may_be_stale
from osproxy.http.cachestatus import Fwd
from osproxy.http.fields import format_date
from osproxy.http.freshness import (
    Decision,
    Stored,
    Verdict,
    decide_heeded,
    may_serve_stale_on_error,
    ttl_of,
)

NOW = 1_000_000_000.0

SERVED = Decision(Verdict.SERVE)
REFRESHED = Decision(Verdict.SERVE_AND_REFRESH)
STALE = Decision(Verdict.REVALIDATE, Fwd.STALE)
REQUESTED = Decision(Verdict.REVALIDATE, Fwd.REQUEST)

responses = st.lists(
    st.sampled_from(
        (
            "max-age=60", "s-maxage=60", "no-cache", "must-revalidate", "proxy-revalidate",
            "stale-while-revalidate=30", "stale-if-error=30", "immutable", 'no-cache="x"', "public",
        )
    ),
    unique=True,
)  # fmt: skip
# Eighths of seconds, so that no sum of them is rounded.
moments = st.integers(-80, 2400).map(lambda eighths: eighths / 8)
ages = st.none() | st.integers(0, 200)
requests = st.builds(
    RequestControl,
    no_cache=st.booleans(),
    max_age=ages,
    min_fresh=ages,
    max_stale=st.none() | st.integers(0, 200).map(float) | st.just(math.inf),
    stale_if_error=ages,
)


def response(control: str, elapsed: float = 0.0, *more: tuple[str, str]) -> Stored:
    """Make a response that says this, and was born some seconds ago."""
    born = NOW - elapsed
    fields = (("Date", format_date(born)), ("Cache-Control", control), *more)
    return Stored(200, fields, born)


def asking(control: str) -> RequestControl:
    """Make a request that says this."""
    return RequestControl.parse((("Cache-Control", control),))


class DecideHeededTests(SynchronousTestCase):
    """What to do about a request follows from what response and request say."""

    def check(self, *rows: tuple[str, float, str, Decision]) -> None:
        """Decide each row: a response, its age, a request."""
        for said, elapsed, asked, expected in rows:
            with self.subTest(said=said, elapsed=elapsed, asked=asked):
                decision = decide_heeded(response(said, elapsed), asking(asked), NOW)
                self.assertEqual(decision, expected)

    def test_nothing_stored(self) -> None:
        """What is not stored is fetched; why nothing is, others know."""
        self.assertEqual(decide_heeded(None, asking(""), NOW), Decision(Verdict.FETCH))

    def test_freshness(self) -> None:
        """What is fresh is served, what is stale is asked about (section 4.2)."""
        self.check(
            ("max-age=60", 0.0, "", SERVED),
            ("max-age=60", 59.9, "", SERVED),
            ("max-age=60", 60.0, "", STALE),
            ("max-age=0", 0.0, "", STALE),
            ("", 0.0, "", STALE),
            ("no-cache, max-age=60", 0.0, "", STALE),
            ('no-cache="set-cookie", max-age=60', 0.0, "", SERVED),
            ("must-revalidate, max-age=60", 0.0, "", SERVED),
            ("s-maxage=60, max-age=0", 59.0, "", SERVED),
            ("max-age=60", -1.0, "", STALE),
            ("max-age=60, stale-while-revalidate=60", -1.0, "max-stale", STALE),
        )

    def test_request(self) -> None:
        """A request may want it fresher than the origin does (section 5.2.1)."""
        self.check(
            ("max-age=60", 0.0, "no-cache", REQUESTED),
            ("max-age=60", 70.0, "no-cache", STALE),
            ("max-age=60", 0.0, "no-store", SERVED),
            ("max-age=60", 0.0, "only-if-cached", SERVED),
            ("max-age=60", 70.0, "only-if-cached", STALE),
            ("max-age=60", 0.0, "max-age=0", SERVED),
            ("max-age=60", 0.5, "max-age=0", REQUESTED),
            ("max-age=60", 30.0, "max-age=30", SERVED),
            ("max-age=60", 30.1, "max-age=30", REQUESTED),
            ("max-age=60", 1.0, "max-age=x", REQUESTED),
            ("max-age=60", 30.0, "min-fresh=30", SERVED),
            ("max-age=60", 30.1, "min-fresh=30", REQUESTED),
            ("max-age=60", 0.0, "min-fresh", REQUESTED),
            ("max-age=60", 30.0, "max-age=40, min-fresh=40", REQUESTED),
            ("max-age=60", 30.0, "max-age=20, max-stale=99", REQUESTED),
        )

    def test_immutable(self) -> None:
        """What never changes is not asked about because of a reload (RFC 8246 section 2.1)."""
        self.check(
            ("max-age=60, immutable", 30.0, "max-age=0", SERVED),
            ("max-age=60, immutable", 30.0, "no-cache", REQUESTED),
            ("max-age=60, immutable", 30.0, "min-fresh=50", REQUESTED),
            ("max-age=60, immutable", 60.0, "", STALE),
            ("max-age=60, immutable", 60.0, "max-age=0", STALE),
        )

    def test_max_stale(self) -> None:
        """A request may put up with what is stale (section 5.2.1.2)."""
        self.check(
            ("max-age=60", 70.0, "max-stale", SERVED),
            ("max-age=60", 70.0, "max-stale=10", SERVED),
            ("max-age=60", 70.1, "max-stale=10", STALE),
            ("max-age=60", 60.0, "max-stale=0", SERVED),
            ("max-age=60", 70.0, "max-stale=x", STALE),
            ("max-age=60", 70.0, "max-stale, no-cache", STALE),
            ("max-age=60", 70.0, "max-stale, min-fresh=0", STALE),
            ("max-age=60", 70.0, "max-stale, max-age=65", STALE),
            ("max-age=60", 70.0, "max-stale, max-age=70", SERVED),
            ("max-age=60", 70.0, "max-stale, max-age=75", SERVED),
            ("", 1e9, "max-stale", SERVED),
        )

    def test_stale_forbidden(self) -> None:
        """Nobody puts up with what the origin forbids (section 4.2.4)."""
        for said in ("must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"):
            for asked in ("", "max-stale"):
                both = f"max-age=60, stale-while-revalidate=60, {said}"
                self.check((both, 70.0, asked, STALE))

    def test_stale_while_revalidate(self) -> None:
        """What is a little stale is served while it is asked about (RFC 5861 section 3)."""
        said = "max-age=60, stale-while-revalidate=30"
        self.check(
            (said, 59.0, "", SERVED),
            (said, 60.0, "", REFRESHED),
            (said, 89.9, "", REFRESHED),
            (said, 90.0, "", STALE),
            (said, 70.0, "no-cache", STALE),
            (said, 70.0, "max-age=80", STALE),
            (said, 70.0, "min-fresh=0", STALE),
            (said, 70.0, "max-stale=5", STALE),
            (said, 70.0, "max-stale=15", REFRESHED),
            (said, 70.0, "max-age=80, max-stale=15", REFRESHED),
            (said, 95.0, "max-stale", SERVED),
            ("max-age=60, stale-while-revalidate=x", 60.0, "", STALE),
            ("stale-while-revalidate=30", 0.0, "", REFRESHED),
            ("stale-while-revalidate=99999999999", 1e9, "", REFRESHED),
        )

    @given(responses, moments, requests)
    def test_promises(self, said: list[str], elapsed: float, request: RequestControl) -> None:
        """Nothing is served that response or request does not allow."""
        stored = response(", ".join(said), elapsed)
        decision = decide_heeded(stored, request, NOW)
        left = stored.lifetime - elapsed
        control = CacheControl.parse([", ".join(said)])
        self.assertEqual(decision.fwd is None, decision.verdict is not Verdict.REVALIDATE)
        if decision.verdict is Verdict.REVALIDATE:
            return
        self.assertFalse(request.no_cache or control.no_cache or elapsed < 0)
        self.assertGreaterEqual(left, request.min_fresh or -math.inf)
        if not control.immutable or left <= 0:
            self.assertLessEqual(elapsed, math.inf if request.max_age is None else request.max_age)
        if left <= 0:
            self.assertTrue(may_be_stale(stored.fields))
            granted = max(control.stale_while_revalidate or 0, request.max_stale or 0)
            self.assertLessEqual(-left, granted)
        else:
            self.assertIs(decision.verdict, Verdict.SERVE)

    @given(responses, moments.map(abs), requests, moments.map(abs))
    def test_older_is_no_better(
        self, said: list[str], elapsed: float, request: RequestControl, more: float
    ) -> None:
        """What is not served is not served either when it is older."""
        rank = {Verdict.SERVE: 0, Verdict.SERVE_AND_REFRESH: 0, Verdict.REVALIDATE: 1}
        stored = response(", ".join(said), elapsed)
        young = decide_heeded(stored, request, NOW)
        old = decide_heeded(stored, request, NOW + more)
        self.assertLessEqual(rank[young.verdict], rank[old.verdict])


class StaleOnErrorTests(SynchronousTestCase):
    """What is stored may help out when the upstream fails (RFC 5861, RFC 9111 section 4.2.4)."""

    def check(self, *rows: tuple[str, float, str, int | None, bool]) -> None:
        """Judge each row: a response, its age, a request, what the upstream said."""
        for said, elapsed, asked, status, expected in rows:
            with self.subTest(said=said, elapsed=elapsed, asked=asked, status=status):
                stored = response(said, elapsed)
                found = may_serve_stale_on_error(stored, asking(asked), NOW, status)
                self.assertIs(found, expected)

    def test_errors(self) -> None:
        """No answer is an error, and so are four statuses."""
        allowed = {
            status
            for status in (None, *range(200, 600))
            if may_serve_stale_on_error(response("", 9.0), asking(""), NOW, status)
        }
        self.assertEqual(allowed, {None, 500, 502, 503, 504})

    def test_response(self) -> None:
        """The response may forbid it, or limit for how long."""
        self.check(
            ("max-age=60", 1e9, "", None, True),
            ("max-age=60, stale-if-error=30", 90.0, "", 500, True),
            ("max-age=60, stale-if-error=30", 90.1, "", 500, False),
            ("max-age=60, stale-if-error=0", 61.0, "", None, False),
            ("max-age=60, stale-if-error=x", 61.0, "", None, False),
            ("max-age=60, must-revalidate", 60.0, "", None, False),
            ("max-age=60, must-revalidate, stale-if-error=30", 61.0, "", None, False),
            ("max-age=60, proxy-revalidate", 61.0, "", None, False),
            ("s-maxage=60", 61.0, "", None, False),
            ("no-cache", 1.0, "", None, False),
            ("no-cache, stale-if-error=30", 1.0, "stale-if-error=30", None, False),
            ("no-cache", -1.0, "", None, False),
            ('no-cache="x"', 1.0, "", None, True),
        )

    def test_request(self) -> None:
        """The request may refuse it, limit it, or ask for it."""
        said = "max-age=60"
        self.check(
            (said, 70.0, "no-cache", None, False),
            (said, 70.0, "max-age=100", None, False),
            (said, 70.0, "min-fresh=0", None, False),
            (said, 70.0, "max-stale=5", None, False),
            (said, 70.0, "max-stale=10", None, True),
            (said, 70.0, "max-stale", None, True),
            (said, 70.0, "stale-if-error=5", None, False),
            (said, 70.0, "stale-if-error=10", None, True),
            (said, 70.0, "stale-if-error=10, no-cache", None, True),
            (said, 70.0, "stale-if-error=10, max-age=0", None, True),
            (f"{said}, stale-if-error=5", 70.0, "stale-if-error=10", None, False),
        )

    def test_fresh(self) -> None:
        """What is fresh but was to be confirmed is served, unless that was the point."""
        self.check(
            ("max-age=60", 30.0, "max-age=0", 503, True),
            ("max-age=60", 30.0, "min-fresh=50", 503, True),
            ("s-maxage=60, must-revalidate", 30.0, "max-age=0", None, True),
            ("max-age=60", 30.0, "no-cache", 503, False),
            ("max-age=60", 30.0, "no-cache, stale-if-error=0", 503, True),
            ("max-age=60", 30.0, "max-age=0", 404, False),
        )

    @given(responses, moments, requests)
    def test_promises(self, said: list[str], elapsed: float, request: RequestControl) -> None:
        """No failure makes good what is forbidden, and none is worse than a success."""
        stored = response(", ".join(said), elapsed)
        decision = decide_heeded(stored, request, NOW)
        allowed = may_serve_stale_on_error(stored, request, NOW, None)
        if elapsed >= stored.lifetime and not may_be_stale(stored.fields):
            self.assertFalse(allowed)
        unlimited = evolve(request, stale_if_error=None)
        if decision.verdict is not Verdict.REVALIDATE and "stale-if-error=30" not in said:
            self.assertTrue(may_serve_stale_on_error(stored, unlimited, NOW, None))


class TtlTests(SynchronousTestCase):
    """What is left of freshness is told in whole seconds."""

    def test_table(self) -> None:
        """It is negative once stale, and where the clock was set back."""
        for elapsed, expected in ((0.0, 60), (59.5, 0), (60.0, 0), (60.5, -1), (99.0, -39)):
            with self.subTest(elapsed=elapsed):
                self.assertEqual(ttl_of(response("max-age=60", elapsed), NOW), expected)
        self.assertEqual(ttl_of(response("max-age=60", -5.0), NOW), -1)
