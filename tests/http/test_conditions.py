"""Tests for `osproxy.http.conditions`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.conditions import (
    Outcome,
    Validators,
    answers,
    applicable_range,
    evaluate,
)
from osproxy.http.fields import format_date

MODIFIED = 1_000_000_000.0
LONG_AGO = MODIFIED + 60
OURS = Validators('"v1"', MODIFIED, LONG_AGO)
WEAK = Validators('W/"v1"', MODIFIED, LONG_AGO)
UNQUOTED = Validators("65f-1a", MODIFIED, LONG_AGO)
DATED = Validators(None, MODIFIED, LONG_AGO)
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
            (OURS, {"If-None-Match": '"*"'}, GO),
            (OURS, {"If-None-Match": '*, "v2"'}, GO),
            (OURS, {"If-None-Match": '"V1"'}, GO),
            (OURS, {"If-None-Match": 'w/"v1"'}, GO),
            (OURS, {"If-None-Match": '"never closed'}, GO),
            (OURS, {"If-None-Match": ""}, GO),
            (BARE, {"If-None-Match": '"v1"'}, GO),
            (Validators('"a\\"', None), {"If-None-Match": '"a\\", "b"'}, UNCHANGED),
        )

    def test_unquoted(self) -> None:
        """A tag without quotes is what it would be with them, whoever has left them out."""
        self.check(
            (OURS, {"If-None-Match": "v1"}, UNCHANGED),
            (OURS, {"If-None-Match": 'v0 ,"x",v1'}, UNCHANGED),
            (UNQUOTED, {"If-None-Match": "65f-1a"}, UNCHANGED),
            (UNQUOTED, {"If-None-Match": '"65f-1a"'}, UNCHANGED),
            (UNQUOTED, {"If-None-Match": 'W/"65f-1a"'}, UNCHANGED),
            (OURS, {"If-None-Match": "v"}, GO),
            (OURS, {"If-None-Match": "v1x"}, GO),
            (OURS, {"If-None-Match": "v 1"}, GO),
            (UNQUOTED, {"If-None-Match": "65f-1b"}, GO),
            (Validators('""', None), {"If-None-Match": ""}, GO),
        )

    def test_several_fields(self) -> None:
        """Several fields of a name are one list."""
        fields = (("If-None-Match", '"v0"'), ("if-none-match", '"v1"'))
        self.assertIs(evaluate(fields, OURS), UNCHANGED)
        fields = (("If-Match", '"v1"'), ("If-Match", '"v0"'))
        self.assertIs(evaluate(fields, OURS), GO)

    def test_if_modified_since(self) -> None:
        """If-Modified-Since counts only with a date on either side."""
        self.check(
            (OURS, {"If-Modified-Since": SAME}, UNCHANGED),
            (OURS, {"If-Modified-Since": LATER}, UNCHANGED),
            (OURS, {"If-Modified-Since": EARLIER}, GO),
            (OURS, {"If-Modified-Since": "yesterday"}, GO),
            (OURS, {"If-Modified-Since": f"{SAME}, {SAME}"}, GO),
            (DATED, {"If-Modified-Since": SAME}, UNCHANGED),
            (BARE, {"If-Modified-Since": SAME}, GO),
        )

    def test_undated(self) -> None:
        """
        Where nobody knows when it was modified, it was not after its Date (RFC 9111 section 4.3.2).

        That is no date to fail for, nor one that parts could be put together by.
        """
        undated = Validators(None, None, MODIFIED + 0.5)
        self.check(
            (undated, {"If-Modified-Since": SAME}, UNCHANGED),
            (undated, {"If-Modified-Since": LATER}, UNCHANGED),
            (undated, {"If-Modified-Since": EARLIER}, GO),
            (undated, {"If-Modified-Since": "yesterday"}, GO),
            (undated, {"If-None-Match": '"v1"', "If-Modified-Since": SAME}, GO),
            (undated, {"If-Unmodified-Since": EARLIER}, GO),
        )
        asked = (("Range", "bytes=0-"), ("If-Range", SAME))
        self.assertIsNone(applicable_range(asked, undated))

    def test_repeated_dates(self) -> None:
        """A date that is there twice is none."""
        for name in ("If-Modified-Since", "If-Unmodified-Since"):
            for sent in (EARLIER, SAME):
                self.assertIs(evaluate(((name, sent), (name, sent)), OURS), GO, name)

    def test_tags_before_dates(self) -> None:
        """Where there are entity tags, dates do not matter."""
        self.check(
            (OURS, {"If-None-Match": '"v2"', "If-Modified-Since": SAME}, GO),
            (OURS, {"If-None-Match": "", "If-Modified-Since": SAME}, GO),
            (OURS, {"If-None-Match": '"v1"', "If-Modified-Since": EARLIER}, UNCHANGED),
            (OURS, {"If-Match": '"v1"', "If-Unmodified-Since": EARLIER}, GO),
            (OURS, {"If-Match": '"v0"', "If-Unmodified-Since": SAME}, FAILED),
            (DATED, {"If-None-Match": '"v1"', "If-Modified-Since": SAME}, GO),
        )

    def test_if_match(self) -> None:
        """If-Match compares strongly, and fails rather than say that nothing has changed."""
        self.check(
            (OURS, {"If-Match": '"v0", "v1"'}, GO),
            (OURS, {"If-Match": "*"}, GO),
            (BARE, {"If-Match": "*"}, GO),
            (OURS, {"If-Match": "v1"}, FAILED),
            (OURS, {"If-Match": ""}, FAILED),
            (OURS, {"If-Match": '*, "v1"'}, GO),
            (UNQUOTED, {"If-Match": "65f-1a"}, FAILED),
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
            (OURS, {"If-Unmodified-Since": LATER}, GO),
            (OURS, {"If-Unmodified-Since": EARLIER, "If-None-Match": '"v1"'}, FAILED),
            (OURS, {"If-Unmodified-Since": SAME, "If-Modified-Since": SAME}, UNCHANGED),
            (OURS, {"If-Unmodified-Since": EARLIER}, FAILED),
            (OURS, {"If-Unmodified-Since": "yesterday"}, GO),
            (BARE, {"If-Unmodified-Since": EARLIER}, GO),
        )

    @given(st.text(), st.text(alphabet='W/"v1, *'))
    def test_never_raises(self, one: str, other: str) -> None:
        """No value of a condition makes the judge raise."""
        fields = (("If-None-Match", one), ("If-Match", other), ("If-Range", one), ("Range", one))
        evaluate(fields, OURS)
        applicable_range(fields, OURS)

    def test_long(self) -> None:
        """A list of a hundred thousand tags is read in one go, closed or not."""
        for value in ('"x",' * 100_000, "x," * 100_000, 'W/"' * 100_000, 'W/"x' * 100_000):
            self.assertIs(evaluate((("If-None-Match", value),), OURS), GO)


class AnswersTests(SynchronousTestCase):
    """Some statuses answer only those who asked for them."""

    def test_table(self) -> None:
        """A part is for who wants a part, and 304 for who has something."""
        for status, asked, expected in (
            (200, (), True),
            (416, (), True),
            (206, (), False),
            (206, (("If-Range", '"a"'),), False),
            (206, (("range", "bytes=0-"),), True),
            (304, (), False),
            (304, (("Range", "bytes=0-"),), False),
            (304, (("IF-NONE-MATCH", '"a"'),), True),
            (304, (("If-Modified-Since", "x"),), True),
        ):
            with self.subTest(status=status, asked=asked):
                self.assertIs(answers(status, asked), expected)


class ApplicableRangeTests(SynchronousTestCase):
    """If-Range says whether a part is wanted (RFC 9110 section 13.1.5)."""

    range = ("Range", "bytes=0-")

    def test_table(self) -> None:
        """Only what is exactly ours, and strong, lets the Range hold."""
        for validators, value, applies in (
            (OURS, '"v1"', True),
            (OURS, ' "v1" ', True),
            (OURS, '"v2"', False),
            (OURS, '"v1", "v2"', False),
            (OURS, 'W/"v1"', False),
            (WEAK, 'W/"v1"', False),
            (WEAK, '"v1"', False),
            (UNQUOTED, "65f-1a", False),
            (UNQUOTED, '"65f-1a"', False),
            (BARE, '"v1"', False),
            (OURS, SAME, True),
            (DATED, SAME, True),
            (OURS, LATER, False),
            (OURS, EARLIER, False),
            (BARE, SAME, False),
            (OURS, "v1", False),
            (OURS, "*", False),
            (OURS, "", False),
        ):
            with self.subTest(validators=validators, value=value):
                found = applicable_range((self.range, ("If-Range", value)), validators)
                self.assertEqual(found, "bytes=0-" if applies else None)

    def test_strong_dates(self) -> None:
        """A date is strong if the file was a minute old when it was sent (section 8.8.2.2)."""
        for date, applies in (
            (MODIFIED + 3600, True),
            (MODIFIED + 60, True),
            (MODIFIED + 59, False),
            (MODIFIED, False),
            (MODIFIED - 60, False),
            (None, False),
        ):
            validators = Validators('"v1"', MODIFIED, date)
            found = applicable_range((self.range, ("If-Range", SAME)), validators)
            self.assertEqual(found is not None, applies, date)

    def test_absent(self) -> None:
        """Without If-Range the Range holds; without a Range If-Range means nothing."""
        self.assertEqual(applicable_range((self.range,), BARE), "bytes=0-")
        self.assertIsNone(applicable_range((("If-Range", '"v1"'),), OURS))
        self.assertIsNone(applicable_range((), OURS))

    def test_repeated(self) -> None:
        """Of two If-Range fields, or two Range fields, nobody knows which is meant."""
        condition = ("If-Range", '"v1"')
        self.assertIsNone(applicable_range((self.range, condition, condition), OURS))
        self.assertIsNone(applicable_range((self.range, ("range", "bytes=1-")), OURS))
