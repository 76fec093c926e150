"""Tests for `osproxy.http.conditions`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.conditions import Outcome, Validators, evaluate, range_applies
from osproxy.http.fields import format_date

MODIFIED = 1_000_000_000.0
OURS = Validators('"v1"', MODIFIED)
WEAK = Validators('W/"v1"', MODIFIED)
BARE = Validators(None, None)
SAME, EARLIER, LATER = (format_date(MODIFIED + shift) for shift in (0, -60, 60))

GO, UNCHANGED, FAILED = Outcome.PROCEED, Outcome.NOT_MODIFIED, Outcome.PRECONDITION_FAILED


class EvaluateTests(SynchronousTestCase):
    """Conditions are judged as RFC 9110 section 13 says."""

    def check(self, *rows: tuple[Validators, dict[str, str], Outcome]) -> None:
        """Judge the conditions of each row."""
        for validators, conditions, outcome in rows:
            with self.subTest(validators=validators, conditions=conditions):
                self.assertIs(evaluate(tuple(conditions.items()), validators), outcome)

    def test_if_none_match(self) -> None:
        """If-None-Match compares weakly, knows lists and the star."""
        self.check(
            (OURS, {}, GO),
            (OURS, {"If-None-Match": '"v1"'}, UNCHANGED),
            (OURS, {"if-none-match": 'W/"v1"'}, UNCHANGED),
            (WEAK, {"If-None-Match": '"v1"'}, UNCHANGED),
            (OURS, {"If-None-Match": '"v0", W/"a,b" ,"v1"'}, UNCHANGED),
            (OURS, {"If-None-Match": " * "}, UNCHANGED),
            (BARE, {"If-None-Match": "*"}, UNCHANGED),
            (OURS, {"If-None-Match": '"v2"'}, GO),
            (OURS, {"If-None-Match": "v1"}, GO),
            (OURS, {"If-None-Match": '"never closed'}, GO),
            (BARE, {"If-None-Match": '"v1"'}, GO),
            (Validators('"a\\"', None), {"If-None-Match": '"a\\", "b"'}, UNCHANGED),
        )

    def test_several_fields(self) -> None:
        """Several fields of a name are one list."""
        fields = (("If-None-Match", '"v0"'), ("If-None-Match", '"v1"'))
        self.assertIs(evaluate(fields, OURS), UNCHANGED)

    def test_if_modified_since(self) -> None:
        """If-Modified-Since counts only with a date on either side."""
        self.check(
            (OURS, {"If-Modified-Since": SAME}, UNCHANGED),
            (OURS, {"If-Modified-Since": LATER}, UNCHANGED),
            (OURS, {"If-Modified-Since": EARLIER}, GO),
            (OURS, {"If-Modified-Since": "yesterday"}, GO),
            (BARE, {"If-Modified-Since": SAME}, GO),
        )

    def test_tags_before_dates(self) -> None:
        """Where there are entity tags, dates do not matter."""
        self.check(
            (OURS, {"If-None-Match": '"v2"', "If-Modified-Since": SAME}, GO),
            (OURS, {"If-Match": '"v1"', "If-Unmodified-Since": EARLIER}, GO),
        )

    def test_if_match(self) -> None:
        """If-Match compares strongly, and fails rather than say that nothing has changed."""
        self.check(
            (OURS, {"If-Match": '"v0", "v1"'}, GO),
            (OURS, {"If-Match": "*"}, GO),
            (OURS, {"If-Match": 'W/"v1"'}, FAILED),
            (WEAK, {"If-Match": 'W/"v1"'}, FAILED),
            (BARE, {"If-Match": '"v1"'}, FAILED),
            (OURS, {"If-Match": '"v0"', "If-None-Match": '"v1"'}, FAILED),
            (OURS, {"If-Match": '"v1"', "If-None-Match": '"v1"'}, UNCHANGED),
        )

    def test_if_unmodified_since(self) -> None:
        """If-Unmodified-Since fails when the file is younger."""
        self.check(
            (OURS, {"If-Unmodified-Since": SAME}, GO),
            (OURS, {"If-Unmodified-Since": EARLIER}, FAILED),
            (OURS, {"If-Unmodified-Since": "yesterday"}, GO),
            (BARE, {"If-Unmodified-Since": EARLIER}, GO),
        )

    @given(st.text(), st.text(alphabet='W/"v1, *'))
    def test_never_raises(self, one: str, other: str) -> None:
        """No value of a condition makes the judge raise."""
        fields = (("If-None-Match", one), ("If-Match", other), ("If-Range", one))
        evaluate(fields, OURS)
        range_applies(fields, OURS)


class RangeAppliesTests(SynchronousTestCase):
    """If-Range says whether a part is wanted (RFC 9110 section 13.1.5)."""

    def test_table(self) -> None:
        """Only what is exactly ours lets the Range hold."""
        for validators, value, applies in (
            (OURS, '"v1"', True),
            (OURS, ' "v1" ', True),
            (OURS, '"v2"', False),
            (OURS, 'W/"v1"', False),
            (WEAK, 'W/"v1"', False),
            (BARE, '"v1"', False),
            (OURS, SAME, True),
            (OURS, LATER, False),
            (OURS, EARLIER, False),
            (BARE, SAME, False),
            (OURS, "v1", False),
            (OURS, "*", False),
            (OURS, "", False),
        ):
            with self.subTest(validators=validators, value=value):
                self.assertIs(range_applies((("If-Range", value),), validators), applies)

    def test_absent(self) -> None:
        """Without If-Range the Range holds."""
        self.assertTrue(range_applies((("Range", "bytes=0-"),), BARE))

    def test_repeated(self) -> None:
        """Of two If-Range fields nobody knows which is meant."""
        self.assertFalse(range_applies((("If-Range", '"v1"'), ("If-Range", '"v1"')), OURS))
