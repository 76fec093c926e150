"""Tests for `osproxy.http.cachecontrol`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.cachecontrol import CacheControl, explicit_lifetime, may_be_stale, storable
from osproxy.http.fields import format_date

EVER = 2**31


class ParseTests(SynchronousTestCase):
    """Directives are read leniently."""

    def test_table(self) -> None:
        """Case, quotes and blanks do not matter; of ages that disagree the least holds."""
        for values, expected in (
            ([], CacheControl()),
            (["No-Store, PRIVATE"], CacheControl(no_store=True, private=True)),
            (["public", "max-age=60"], CacheControl(max_age=60)),
            (['max-age="60"'], CacheControl(max_age=60)),
            (["max-age = 60"], CacheControl(max_age=60)),
            (["max-age=60, max-age=30"], CacheControl(max_age=30)),
            (["s-maxage=0060,must-revalidate"], CacheControl(s_maxage=60, must_revalidate=True)),
            (["proxy-revalidate"], CacheControl(must_revalidate=True)),
            (['no-cache="a, no-store"'], CacheControl(no_cache=True)),
            (["max-age=99999999999999"], CacheControl(max_age=EVER)),
            (["max-age=4000000000"], CacheControl(max_age=EVER)),
            (["max-age=" + "9" * 9999], CacheControl(max_age=EVER)),
        ):
            with self.subTest(values=values):
                self.assertEqual(CacheControl.parse(values), expected)

    def test_may_be_stale(self) -> None:
        """A shared cache serves nothing stale of which it is told not to."""
        for said, may in (
            ("", True),
            ("max-age=1", True),
            ("must-revalidate", False),
            ("proxy-revalidate", False),
            ("no-cache", False),
            ("s-maxage=1", False),
        ):
            self.assertEqual(may_be_stale((("Cache-Control", said),)), may, said)

    def test_no_number(self) -> None:
        """An age that is no number is zero: stale at once (RFC 9111 section 4.2.1)."""
        for value in (
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=x",
            "max-age=1.5",
            "max-age=6h",
        ):
            with self.subTest(value=value):
                self.assertEqual(CacheControl.parse([value]).max_age, 0)

    def test_without_commas(self) -> None:
        """MirrorCache's directives, separated by blanks, do not spoil the first."""
        said = CacheControl.parse(
            ["public, max-age=310 stale-while-revalidate=63 stale-if-error=86400"]
        )
        self.assertEqual(said, CacheControl(max_age=310))

    @given(st.lists(st.text() | st.text(alphabet='max-age=1" ,\\')))
    def test_never_raises(self, values: list[str]) -> None:
        """No value makes the reader raise."""
        CacheControl.parse(values)


class StorableTests(SynchronousTestCase):
    """What is not for everybody is not stored."""

    def test_table(self) -> None:
        """Private responses, those with cookies and those that vary are refused."""
        for name, value, expected in (
            ("Cache-Control", "max-age=0", True),
            ("Cache-Control", "private", False),
            ("Cache-Control", "max-age=9, no-store", False),
            ("Vary", "Accept-Encoding", True),
            ("Vary", "", True),
            ("Vary", "accept-encoding, Cookie", False),
            ("Vary", "*", False),
            ("Set-Cookie", "a=b", False),
            ("Content-Type", "text/plain", True),
        ):
            with self.subTest(name=name, value=value):
                self.assertIs(storable(((name, value),)), expected)


class ExplicitLifetimeTests(SynchronousTestCase):
    """A response may say how long it stays fresh."""

    def test_table(self) -> None:
        """The word for shared caches comes first, then max-age, then Expires."""
        date = 1_000_000_000.0
        in_an_hour = ("Expires", format_date(date + 3600))
        for fields, expected in (
            ((), None),
            ((("Cache-Control", "public"),), None),
            ((in_an_hour,), 3600.0),
            ((("Cache-Control", "max-age=60"), in_an_hour), 60.0),
            ((("Cache-Control", "max-age=60, s-maxage=0"), in_an_hour), 0.0),
            ((("Cache-Control", "no-cache, max-age=60"),), 0.0),
            ((("Expires", "0"),), 0.0),
            ((("Expires", format_date(date - 60)),), 0.0),
        ):
            with self.subTest(fields=fields):
                self.assertEqual(explicit_lifetime(fields, date), expected)
