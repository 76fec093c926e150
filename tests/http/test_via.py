"""Tests for `osproxy.http.via`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.via import add, seen

if TYPE_CHECKING:
    from osproxy.http.fields import Fields

US = "osproxy"

pseudonyms = st.text(alphabet="os-proxy.1", min_size=1, max_size=8)
comments = st.recursive(
    st.text(alphabet="a, 1.1osproxy\"'"),
    lambda inner: st.lists(inner).map(lambda parts: "".join(f"({part})" for part in parts)),
) | st.sampled_from((r"\(", r"\)", r"\\", r"\), 1.1 osproxy, \("))


def via(*values: str) -> Fields:
    """Make a message that came by these."""
    return tuple(("Via", value) for value in values)


class AddTests(SynchronousTestCase):
    """Who sends a message on says so (RFC 9110 section 7.6.3)."""

    def test_table(self) -> None:
        """Ours comes last, what was there stays, empty fields go."""
        for fields, expected in (
            ((), "1.1 osproxy"),
            (via(""), "1.1 osproxy"),
            (via(" 1.0 a ", "1.1 b (c, d)"), "1.0 a, 1.1 b (c, d), 1.1 osproxy"),
            ((("VIA", "2 a"), ("Host", "h")), "2 a, 1.1 osproxy"),
        ):
            with self.subTest(fields=fields):
                self.assertEqual(add(fields, "1.1", US), expected)


class SeenTests(SynchronousTestCase):
    """A message that came back is known by its Via."""

    def test_table(self) -> None:
        """Just the name of whoever received it counts, exactly, comments and protocols aside."""
        for value, expected in (
            ("", False),
            ("1.1 osproxy", True),
            ("HTTP/1.1\tosproxy", True),
            ("  1.1   osproxy  ", True),
            ("1.0 a, 1.1 osproxy, 1.1 b", True),
            ("1.0 a,,1.1 osproxy,", True),
            ("1.1 osproxy (a comment)", True),
            ("1.1 osproxy(a comment)", True),
            ("(first) 1.1 osproxy", True),
            ("1.1 (between) osproxy", True),
            ("1.1 a (b (c), d), 1.1 osproxy", True),
            (r"1.1 a (b \) \( c), 1.1 osproxy", True),
            ("1.1 a (never, 1.1 osproxy", True),
            ("1.1 a ((closed) once, 1.1 osproxy", True),
            ("1.1 a \\(, 1.1 osproxy", True),
            ("1.1 a ), 1.1 osproxy", True),
            ("1.1 osproxy extra", True),
            ("1.1 osproxy2", False),
            ("1.1 my-osproxy", False),
            ("1.1 OSPROXY", False),
            ("1.1 osproxy:8080", False),
            ("1.1 a osproxy", False),
            ("osproxy", False),
            ("osproxy 1.1", False),
            ("1.1 a (1.1 osproxy)", False),
            ("1.1 a (b, 1.1 osproxy, c)", False),
            ("1.1 a (b (c), 1.1 osproxy)", False),
            (r"1.1 a (b \), 1.1 osproxy)", False),
            ("1.1 os(x)proxy", False),
        ):
            with self.subTest(value=value):
                self.assertIs(seen(via(value), US), expected)

    def test_several(self) -> None:
        """What one field leaves open does not reach into the next."""
        self.assertTrue(seen(via("1.1 a (", "1.1 osproxy"), US))
        self.assertTrue(seen((("VIA", "1.1 a"), ("via", "1.1 osproxy")), US))
        self.assertFalse(seen((("X-Via", "1.1 osproxy"),), US))

    @given(st.lists(st.tuples(st.sampled_from(("1.1", "HTTP/2", "x/y")), pseudonyms, comments)))
    def test_round_trip(self, hops: list[tuple[str, str, str]]) -> None:
        """Just those are seen that have added themselves, whatever they comment."""
        value = ""
        for protocol, pseudonym, comment in hops:
            value = f"{add(via(value), protocol, pseudonym)} ({comment})"
        names = {pseudonym for _, pseudonym, _ in hops}
        for name in names | {US}:
            self.assertIs(seen(via(value), name), name in names)

    @given(st.text(alphabet='1.1 osproxy,()\\"') | st.text())
    def test_ours_is_seen(self, value: str) -> None:
        """Nothing that came before hides what we add in a field of its own."""
        self.assertTrue(seen(via(value, add((), "1.1", US)), US))
        seen(via(value), US)

    def test_hostile(self) -> None:
        """A field of hundreds of thousands of octets is read in one go."""
        for text in ("(", ")", "()", "\\", "\\(", ",", " ", "1.1 a,", "((),", "1.1 a (b), "):
            self.assertFalse(seen(via(text * 100_000), US))
