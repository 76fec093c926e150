"""Tests of `osproxy.http.versions`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.conditions import Validators, applicable_range
from osproxy.http.fields import Fields, first, parse_date
from osproxy.http.versions import Version

SENT = ("Date", "Thu, 01 Jan 1970 10:00:00 GMT")
OLD = ("Last-Modified", "Thu, 01 Jan 1970 09:59:00 GMT")
OLDER = ("Last-Modified", "Thu, 01 Jan 1970 09:58:00 GMT")
NEW = ("Last-Modified", "Thu, 01 Jan 1970 09:59:01 GMT")
GZIP = ("Content-Encoding", "GZIP")


def tag(value: str) -> tuple[str, str]:
    """Write an ETag."""
    return ("ETag", value)


class ReadingTests(SynchronousTestCase):
    """What a response says of its version, and what If-Range may say of it."""

    def test_validators(self) -> None:
        """A tag must be well-formed and strong, a date a minute old (RFC 9110 section 8.8)."""
        date = OLD[1]
        table: tuple[tuple[Fields, bool, str | None], ...] = (
            ((), False, None),
            ((tag('"a"'),), True, '"a"'),
            ((tag('"a"'), OLD, SENT), True, '"a"'),
            ((tag('""'),), True, '""'),
            ((tag("a"),), False, None),
            ((tag('"a'),), False, None),
            ((tag('"a"b"'),), False, None),
            ((tag('"a b"'),), False, None),
            ((tag('W/"a"'),), False, None),
            ((tag('w/"a"'),), False, None),
            # RFC 9110 section 13.1.5: no date where there is any tag.
            ((tag('W/"a"'), OLD, SENT), True, None),
            # MirrorCache's is none.
            ((tag("6B032FB6-3139D"), OLD, SENT), True, date),
            ((OLD, SENT), True, date),
            ((NEW, SENT), False, None),
            ((OLD,), False, None),
            ((SENT,), False, None),
            ((("Last-Modified", "yesterday"), SENT), False, None),
            ((OLD, ("Date", "now")), False, None),
        )
        for fields, certain, if_range in table:
            version = Version.of(fields)
            self.assertEqual((version.certain, version.if_range), (certain, if_range), fields)

    @given(
        st.lists(st.sampled_from([SENT, OLD, NEW, tag('"a"'), tag('W/"a"'), tag("a")])).map(tuple)
    )
    def test_if_range(self, fields: Fields) -> None:
        """Whoever has the same version finds that If-Range names it."""
        version = Version.of(fields)
        if version.if_range is None:
            return
        date = None if version.modified is None else parse_date(version.modified)
        sent = parse_date(first(fields, "date") or "")
        validators = Validators(version.etag, date, sent)
        asked = (("Range", "bytes=0-"), ("If-Range", version.if_range))
        self.assertEqual(applicable_range(asked, validators), "bytes=0-")


class SameTests(SynchronousTestCase):
    """Whether two responses are of one version."""

    def test_table(self) -> None:
        """Equal strong tags, or a date that is certain and the same; else it is not certain."""
        table: tuple[tuple[Fields, Fields, bool, bool], ...] = (
            # Before, later, same host, other hosts.
            ((tag('"a"'),), (tag('"a"'),), True, True),
            ((tag('"a"'),), (tag('"b"'),), False, False),
            ((tag('"a"'),), (tag('W/"a"'),), False, False),
            ((tag('W/"a"'),), (tag('W/"a"'),), False, False),
            ((tag('"a"'),), (), False, False),
            ((), (), False, False),
            ((OLD, SENT), (OLD, SENT), True, True),
            # That it was certain then is enough: it is later now.
            ((OLD, SENT), (OLD,), True, True),
            ((OLD,), (OLD, SENT), False, False),
            ((NEW, SENT), (NEW, SENT), False, False),
            ((OLD, SENT), (OLDER, SENT), False, False),
            ((OLD, SENT), (SENT,), False, False),
            # Mirrors make tags of their own; the date of a file travels with it.
            ((tag('"a"'), OLD, SENT), (tag('"b"'), OLD, SENT), False, True),
            ((tag('"a"'), OLD, SENT), (tag('W/"a"'), OLD, SENT), False, True),
            ((tag('W/"a"'), OLD, SENT), (tag('W/"a"'), OLD, SENT), True, True),
            ((tag('W/"a"'), OLD, SENT), (tag('W/"a"'), OLDER, SENT), False, False),
            ((tag('"a"'), OLD, SENT), (OLD, SENT), True, True),
            ((OLD, SENT), (tag('"b"'), OLD, SENT), True, True),
            ((tag('"a"'), OLD, SENT), (tag('"a"'), OLDER, SENT), True, True),
            # An encoding has octets of its own, at the same date.
            ((OLD, SENT, GZIP), (OLD, SENT), False, False),
            ((OLD, SENT), (OLD, SENT, GZIP), False, False),
            ((OLD, SENT, GZIP), (OLD, SENT, GZIP), True, True),
            ((tag('"a"'), GZIP), (tag('"a"'),), True, True),
        )
        for before, later, one_host, others in table:
            first, second = Version.of(before), Version.of(later)
            found = [first.same(second, tags_compare=compare) for compare in (True, False)]
            self.assertEqual(found, [one_host, others], (before, later))
