"""Tests of `osproxy.cache.heads`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from osproxy.cache.heads import conditions_of, confirmed, head_of, unchanged
from osproxy.http.cachecontrol import EVER
from osproxy.model import Expectation
from osproxy.repo.digests import Digest
from tests.cache.doubles import DATE, MODIFIED, CacheTestCase
from tests.cache.origin import Told

if TYPE_CHECKING:
    from osproxy.http.fields import Fields
    from osproxy.store.entries import Entry
    from osproxy.upstream.origin import Reply


def reply(*fields: tuple[str, str], length: int | None = 4) -> Reply:
    """Make a reply of the upstream's."""
    return cast("Reply", Told(200, fields, length))


class HeadTests(CacheTestCase):
    """Of a response that is kept, what speaks of the file is kept."""

    def test_fields(self) -> None:
        """What speaks of the file stays; what speaks of one transfer goes."""
        kept: Fields = (("Content-Type", "text/xml"), MODIFIED)
        gone = (
            DATE, ("Age", "7"), ("Set-Cookie", "a=b"), ("ETag", '"x"'), ("Server", "nginx"),
            ("Proxy-Status", "cdn"),
        )  # fmt: skip
        head = head_of(reply(*kept, *gone), Expectation(), 1000.0)
        self.assertEqual(head.fields, kept)
        self.assertEqual((head.upstream_etag, head.source), ('"x"', "authority.example"))
        self.assertEqual(head.last_modified, MODIFIED[1])

    def test_age(self) -> None:
        """What a cache before us has had for a while is as old for us."""
        for age, date in (
            ("7", 993.0),
            ("7, 9", 993.0),
            ("-7", 1000.0),
            ("old", 1000.0),
            ("9" * 40, 1000.0 - EVER),
        ):
            self.assertEqual(head_of(reply(("Age", age)), Expectation(), 1000.0).date, date)

    def test_protocol(self) -> None:
        """The version of HTTP by which it came is kept."""
        for protocol in ("1.0", "1.1"):
            came = cast("Reply", Told(200, protocol=protocol))
            self.assertEqual(head_of(came, Expectation(), 0.0).protocol, protocol)

    def test_entity_tag(self) -> None:
        """The tag is the expected digest, else one of a kind."""
        digest = Digest("sha1", "ab" * 20)
        self.assertEqual(head_of(reply(), Expectation(digest), 0.0).etag, f'"{"ab" * 20}"')
        minted = {head_of(reply(), Expectation(), 0.0).etag for _ in range(10)}
        self.assertEqual(len(minted), 10)

    def test_confirmed(self) -> None:
        """A 304 brings the date and a new upstream's tag; our tag stays."""
        head = head_of(reply(("ETag", '"1"')), Expectation(), 0.0)
        later = confirmed(head, reply(("ETag", '"2"')), 50.0)
        self.assertEqual((later.etag, later.upstream_etag, later.date), (head.etag, '"2"', 50.0))
        self.assertEqual(confirmed(head, reply(), 50.0).upstream_etag, '"1"')

    def test_renewed(self) -> None:
        """What a 304 says of caching replaces what was said before, the rest stays."""
        before = (("Content-Type", "a/b"), ("Cache-Control", "max-age=1"), MODIFIED)
        after = (("cache-control", "max-age=2"), ("Expires", "never"), ("Content-Type", "c/d"))
        later = confirmed(head_of(reply(*before), Expectation(), 0.0), reply(*after), 50.0)
        self.assertEqual(later.fields, (("Content-Type", "a/b"), MODIFIED, *after[:2]))
        self.assertEqual(confirmed(later, reply(("Age", "9")), 50.0).date, 41.0)

    def entry(self, *fields: tuple[str, str]) -> Entry:
        """Store a file of four octets."""
        self.store("/a.rpm", b"body", *fields)
        return self.entry_of("/a.rpm")

    def test_conditions(self) -> None:
        """We ask with the validators that the upstream gave us."""
        self.assertEqual(conditions_of(None), ())
        entry = self.entry(("ETag", '"1"'), MODIFIED)
        expected = (("If-None-Match", '"1"'), ("If-Modified-Since", MODIFIED[1]))
        self.assertEqual(conditions_of(entry), expected)

    def test_no_validators(self) -> None:
        """What came without validators is asked for anew."""
        self.assertEqual(conditions_of(self.entry()), ())

    def test_unchanged(self) -> None:
        """The same length and the same date, a minute old at least, make the same file."""
        entry = self.entry(MODIFIED)
        young = ("Date", "Thu, 01 Jan 1970 01:00:59 GMT")
        other = ("Last-Modified", "Thu, 01 Jan 1970 02:00:00 GMT")
        for told, same in (
            (reply(MODIFIED, DATE), True),
            (reply(MODIFIED, DATE, length=5), False),
            (reply(MODIFIED, DATE, length=None), False),
            (reply(MODIFIED, young), False),
            (reply(MODIFIED), False),
            (reply(MODIFIED, ("Date", "today")), False),
            (reply(other, DATE), False),
            (reply(DATE), False),
        ):
            self.assertEqual(unchanged(entry, told), same, told.fields)
