"""Tests for `osproxy.http.storing`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.fields import Fields, every, first, format_date, without
from osproxy.http.storing import (
    after_head,
    fields_of_asker,
    kept_fields,
    matches_stored,
    may_be_personal,
    may_store,
    may_store_for_all,
    updated,
)

NOW = 1_000_000_000.0
SAME, EARLIER = format_date(NOW - 1000), format_date(NOW - 2000)

HUGE = "9" * 9999

NAMES = (
    "Age", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Range",
    "Content-Type", "Date", "ETag", "Expires", "Keep-Alive", "Last-Modified", "Link",
    "Proxy-Authenticate", "Set-Cookie", "Transfer-Encoding", "Vary", "Via", "Warning", "X-One",
)  # fmt: skip
VALUES = (
    'private="x-one"', 'no-cache="Link, x-one"', "x-one, Link", "max-age=1", "*", '"tag"', "5", "",
    SAME, 'private="',
)  # fmt: skip
fields = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text())).map(tuple)


def saying(control: str, *more: tuple[str, str]) -> Fields:
    """Make the fields of a message that says this."""
    return (("Cache-Control", control), *more)


class MayStoreTests(SynchronousTestCase):
    """Not everything may be stored for everybody (RFC 9111 section 3)."""

    def check(self, *rows: tuple[int, Fields, Fields, bool]) -> None:
        """Judge each row: a status, a request, a response."""
        for status, request, response, expected in rows:
            with self.subTest(status=status, request=request, response=response):
                self.assertIs(may_store(status, request, response), expected)

    def test_statuses(self) -> None:
        """What is understood without a word is stored; with one nearly all is."""
        silent = {status for status in range(-1, 1100) if may_store(status, (), ())}
        expected = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 451, 501}
        self.assertEqual(silent, expected)
        never = {206, 226, 304, 407, 412, 416, 417, 428, 429, 431, 511}
        for said in ("max-age=9", "public", "s-maxage=9"):
            explicit = {status for status in range(-1, 1100) if may_store(status, (), saying(said))}
            self.assertEqual(explicit, set(range(200, 600)) - never, said)

    def test_explicit(self) -> None:
        """Whatever has a freshness of its own may be stored, even one of none."""
        self.check(
            (302, (), (), False),
            (302, (), saying("max-age=0"), True),
            (302, (), saying("max-age=x"), True),
            (302, (), saying(f"max-age={HUGE}"), True),
            (302, (), saying("must-revalidate, immutable"), False),
            (302, (), saying("stale-while-revalidate=9"), False),
            (302, (), saying("no-cache"), False),
            (302, (), (("Expires", "0"),), True),
            (302, (), (("Last-Modified", SAME),), False),
            (599, (), (("expires", SAME),), True),
            (200, (), saying("no-cache"), True),
        )

    def test_no_store(self) -> None:
        """No-store of either side is heeded (sections 5.2.1.5 and 5.2.2.5)."""
        self.check(
            (200, (), saying("max-age=9, no-store"), False),
            (200, (), saying("No-Store=0"), False),
            (200, (), saying("public max-age=9 no-store"), False),
            (200, (), saying('max-age=9, x="'), False),
            (200, (), saying('x="no-store"'), True),
            (200, (), (("Pragma", "no-store"),), True),
            (200, saying("no-store"), saying("public"), False),
            (200, saying("no-cache"), (), True),
        )

    def test_must_understand(self) -> None:
        """Whoever understands the status may ignore no-store (section 5.2.2.3)."""
        both = saying("must-understand, no-store, max-age=9")
        understood = {status for status in range(-1, 1100) if may_store(status, (), both)}
        successes, redirections = {*range(200, 206)}, {300, 301, 302, 303, 307, 308}
        errors = {*range(400, 412), 413, 414, 415, 421, 422, 426, 451} - {407}
        self.assertEqual(understood, successes | redirections | errors | {*range(500, 506)})
        self.check(
            (200, (), both, True),
            (404, (), both, True),
            (599, (), both, False),
            (299, (), saying("must-understand, max-age=9"), False),
            (200, (), saying('must-understand, max-age=9, x="'), False),
            (206, (), both, False),
            (429, (), both, False),
            (200, (), saying("must-understand, no-store, private"), False),
            (200, saying("no-store"), both, False),
        )

    def test_private(self) -> None:
        """What is private in all is not stored; single fields may be (section 5.2.2.7)."""
        self.check(
            (200, (), saying("private, public, max-age=9"), False),
            (200, (), saying('private=""'), False),
            (200, (), saying('private="x-one"'), True),
            (200, (), saying('private="x-one", private'), False),
            (200, (), saying('private="a b"'), False),
            (200, (), saying('private="x-one, Content-Type"'), False),
            (200, (), saying("no-cache=vary"), False),
            (200, (), saying('no-cache="cache-control"'), False),
            (200, (), saying('no-cache="content-encoding"'), False),
        )

    def test_authorization(self) -> None:
        """What was for somebody in particular needs leave to be for others (section 3.5)."""
        authorized = (("authorization", ""),)
        self.check(
            (200, authorized, (), False),
            (200, authorized, saying("max-age=9"), False),
            (200, authorized, saying("proxy-revalidate, max-age=9"), False),
            (200, authorized, saying("no-cache"), False),
            (200, authorized, saying("public"), True),
            (200, authorized, saying("s-maxage=0"), True),
            (200, authorized, saying("must-revalidate"), True),
            (200, authorized, saying("must-revalidate, private"), False),
            (200, (("Proxy-Authorization", "x"),), (), True),
        )

    def test_cookies(self) -> None:
        """One that sets a cookie is somebody's own, unless it says otherwise."""
        cookie = ("Set-Cookie", "a=b")
        self.check(
            (200, (), (cookie,), False),
            (200, (), saying("max-age=9", cookie), False),
            (200, (), saying("public", cookie), True),
            (200, (), saying("s-maxage=9", cookie), True),
            (200, (), saying('no-cache="Set-Cookie"', cookie), True),
            (200, (), saying("private=set-cookie", cookie), True),
            (200, (), saying("public, private", cookie), False),
            (200, (("Cookie", "a=b"),), (), True),
        )

    def test_vary(self) -> None:
        """What no other request could have is not worth storing (section 4.1)."""
        for value, expected in (
            ("", True),
            ("Accept, Cookie", True),
            ("*", False),
            ("Accept,*", False),
            ("Accept Encoding", False),
            ('"Accept"', False),
        ):
            self.check((200, (), saying("public", ("Vary", value)), expected))

    def test_head(self) -> None:
        """The answer to a HEAD has nothing to store."""
        self.assertFalse(may_store(200, (), saying("public"), head=True))

    @given(st.integers(-10, 1000), fields, fields)
    def test_restrictions(self, status: int, request: Fields, response: Fields) -> None:
        """No other field gives leave to what one forbids."""
        for forbidden in ("no-store", "private"):
            self.assertFalse(may_store(status, request, (*response, *saying(forbidden))))
        self.assertFalse(may_store(status, (*request, *saying("no-store")), response))
        self.assertFalse(may_store(status, request, (*response, ("Vary", "*"))))


class MayBePersonalTests(SynchronousTestCase):
    """What answers a cookie or a token, and says nothing of caching, may be for that one alone."""

    def test_table(self) -> None:
        """Any word on how long it is fresh, or for whom, is taken for one on caching."""
        cookie = (("COOKIE", "a"),)
        for request, said, expected in (
            (cookie, (), True),
            (cookie, (("ETag", '"1"'), ("Last-Modified", "x"), ("Vary", "Accept")), True),
            (cookie, (("Cache-Control", "no-cache, must-revalidate"),), True),
            (cookie, (("Cache-Control", "max-age=0"),), False),
            (cookie, (("Cache-Control", "s-maxage=1"),), False),
            (cookie, (("Cache-Control", "public"),), False),
            (cookie, (("Expires", "0"),), False),
            ((), (), False),
            ((("Accept", "a"),), (), False),
            ((("Private-Token", "a"),), (), True),
            ((("X-API-Key", "a"),), (("Cache-Control", "max-age=9"),), False),
            ((("api_key", "a"),), (), True),
        ):
            with self.subTest(request=request, said=said):
                self.assertIs(may_be_personal(request, said), expected)


class ForAllTests(SynchronousTestCase):
    """What answers a question of our own is stored only if it is for everybody."""

    def test_table(self) -> None:
        """It must not vary by more than what we always send alike, nor be forbidden to store."""
        for status, fields, expected in (
            (200, (), True),
            (200, saying("max-age=0"), True),
            (200, saying("private"), False),
            (200, saying('private="x"'), True),
            (200, saying('no-cache="x"'), True),
            (200, saying('no-cache="Content-Type"'), False),
            (200, saying("no-cache"), True),
            (200, saying('x="'), False),
            (200, saying("max-age=9, no-store"), False),
            (200, saying("must-understand, no-store"), True),
            (299, saying("must-understand, no-store"), False),
            (200, (("Vary", "Accept-Encoding"),), True),
            (200, (("Vary", ""),), True),
            (200, (("Vary", "accept-encoding, Cookie"),), False),
            (200, (("Vary", "*"),), False),
            (200, (("Content-Type", "text/plain"),), True),
            (403, saying("max-age=9"), True),
            (412, saying("max-age=9"), False),
        ):
            with self.subTest(status=status, fields=fields):
                self.assertIs(may_store_for_all(status, fields), expected)


class KeptFieldsTests(SynchronousTestCase):
    """Not every field is stored (RFC 9111 section 3.1)."""

    def test_kept(self) -> None:
        """What is not excepted is kept as it is, known or not."""
        kept = (
            ("Content-Type", "text/plain"), ("Date", SAME), ("ETag", '"a"'), ("Vary", "Accept"),
            ("Cache-Control", "max-age=9"), ("Expires", SAME), ("Last-Modified", SAME),
            ("x-unknown", "1"), ("X-Unknown", "2"), ("Link", "<a>"), ("Via", "1.1 a"),
            ("Content-Encoding", "gzip"), ("WWW-Authenticate", "Basic"), ("Location", "/"),
        )  # fmt: skip
        self.assertEqual(kept_fields(kept), kept)

    def test_excepted(self) -> None:
        """What is of one hop, one transfer, one client or one proxy is left out."""
        names = (
            "Accept-Ranges", "AGE", "Alt-Svc", "Authentication-Info", "Connection", "Keep-Alive",
            "Content-Length", "Content-Range", "Proxy-Authenticate", "Proxy-Authentication-Info",
            "Proxy-Connection", "Proxy-Status", "Set-Cookie", "Set-Cookie2",
            "Strict-Transport-Security", "Trailer", "Transfer-Encoding", "Upgrade", "Warning",
        )  # fmt: skip
        self.assertEqual(kept_fields(tuple((name, "x") for name in names)), ())

    def test_named(self) -> None:
        """What Connection, private or no-cache name is left out."""
        for naming in (
            ("Connection", "close, x-one, X-TWO"),
            ("Cache-Control", 'private="X-One, x-two"'),
            ("Cache-Control", 'max-age=9, No-Cache="x-two", private=X-One'),
            ("Cache-Control", 'private="x-one,,x-two'),
        ):
            with self.subTest(naming=naming):
                kept = kept_fields((("X-One", "1"), naming, ("x-two", "2"), ("X-Three", "3")))
                unclosed = naming[1].count('"') % 2
                names = {name for name, _ in kept} - {"Cache-Control"}
                expected = {"X-One", "x-two", "X-Three"} if unclosed else {"X-Three"}
                self.assertEqual(names, expected)

    def test_of_asker(self) -> None:
        """What is left out since it is somebody's own is for whoever asked."""
        kept = (("Cache-Control", 'private="X-One", no-cache="x-two"'), ("ETag", '"a"'))
        own = (
            ("X-One", "1"), ("Set-Cookie", "a=b"), ("set-cookie", "c=d"), ("x-two", "2"),
            ("Authentication-Info", "nextnonce=x"), ("Proxy-Status", "a; error=dns_error"),
        )  # fmt: skip
        others = (
            ("Age", "9"), ("Content-Length", "9"), ("Content-Range", "bytes 0-8/9"),
            ("Accept-Ranges", "bytes"), ("Connection", "x-hop"), ("X-Hop", "1"),
            ("Proxy-Authenticate", "Basic"), ("Warning", "110"), ("Alt-Svc", "h3"),
            ("Strict-Transport-Security", "max-age=9"),
        )  # fmt: skip
        self.assertEqual(fields_of_asker((*kept, *own, *others)), own)
        self.assertEqual(kept_fields((*kept, *own, *others)), kept)

    @given(fields)
    def test_once(self, response: Fields) -> None:
        """What is kept is kept again, and nothing is added."""
        kept = kept_fields(response)
        self.assertLessEqual(set(kept), set(response))
        self.assertEqual(kept_fields(kept), kept)


class UpdatedTests(SynchronousTestCase):
    """A 304 brings stored fields up to date (RFC 9111 section 3.2)."""

    STORED = (
        ("Content-Type", "text/plain"),
        ("Date", EARLIER),
        ("ETag", '"a"'),
        ("Cache-Control", "max-age=9"),
        ("X-One", "1"),
        ("x-one", "2"),
    )

    def test_replaced(self) -> None:
        """New fields replace those of their names, all of them; others stay."""
        new = (("X-ONE", "3"), ("Date", SAME), ("x-two", "4"), ("X-Two", "5"))
        self.assertEqual(
            updated(self.STORED, new),
            (
                ("Content-Type", "text/plain"),
                ("ETag", '"a"'),
                ("Cache-Control", "max-age=9"),
                *new,
            ),
        )

    def test_depended_upon(self) -> None:
        """How the stored octets are to be read, and how many there are, stays."""
        new = (
            ("Content-Type", "text/html"),
            ("Content-Encoding", "gzip"),
            ("Content-Length", "0"),
            ("Content-Range", "bytes 0-0/1"),
            ("Transfer-Encoding", "chunked"),
            ("Set-Cookie", "a=b"),
            ("Age", "5"),
        )
        self.assertEqual(updated(self.STORED, new), without(self.STORED, "date"))

    def test_metadata(self) -> None:
        """Fields that only begin like those are brought up to date."""
        new = (("Content-Language", "de"), ("Content-Disposition", "inline"), ("ETag", 'W/"a"'))
        self.assertLess(set(new), set(updated(self.STORED, new)))

    def test_date(self) -> None:
        """A new response without a Date does not leave the old one."""
        self.assertIsNone(first(updated(self.STORED, ()), "date"))
        self.assertEqual(every(updated(self.STORED, (("date", SAME),)), "Date"), [SAME])

    def test_named(self) -> None:
        """What either of them names as private does not stay, nor comes in."""
        for stored, new in (
            (saying("max-age=9", ("X-One", "1")), saying('private="x-one"')),
            (saying('private="x-one"'), (("X-One", "1"),)),
            (saying("max-age=9"), saying("no-cache=x-one", ("X-One", "1"))),
            ((), (("Connection", "X-One"), ("X-One", "1"))),
        ):
            with self.subTest(stored=stored, new=new):
                self.assertIsNone(first(updated(stored, new), "x-one"))

    def test_hop_does_not_remove(self) -> None:
        """What the new response's Connection names is not taken from the stored one."""
        new = (("Connection", "X-One"), ("X-One", "3"))
        self.assertEqual(every(updated(self.STORED, new), "x-one"), ["1", "2"])

    @given(fields, fields)
    def test_updated(self, stored: Fields, new: Fields) -> None:
        """Updating twice changes nothing more, and adds nothing that neither has."""
        stored = kept_fields(stored)
        once = updated(stored, new)
        self.assertEqual(updated(once, new), once)
        self.assertLessEqual(set(once), set(stored) | set(new))


class MatchesStoredTests(SynchronousTestCase):
    """A 304 is about certain stored responses only (RFC 9111 section 4.3.4)."""

    STRONG = (("ETag", '"a"'), ("Last-Modified", SAME))
    OTHER = (("ETag", '"b"'), ("Last-Modified", SAME))
    WEAK = (("ETag", ' W/"a"'),)
    DATED = (("Last-Modified", SAME),)
    BARE: Fields = ()

    def check(self, *rows: tuple[Fields, tuple[Fields, ...], tuple[int, ...]]) -> None:
        """Look for what each row's 304 is about."""
        for new, stored, expected in rows:
            with self.subTest(new=new, stored=stored):
                self.assertEqual(matches_stored(new, stored), expected)

    def test_strong(self) -> None:
        """A strong tag is about all that have the same, and about nothing else."""
        tag = (("etag", '"a" '),)
        self.check(
            (tag, (self.STRONG,), (0,)),
            (tag, (self.OTHER, self.STRONG, self.STRONG), (1, 2)),
            (tag, (self.WEAK,), ()),
            (tag, (self.OTHER,), ()),
            (tag, (self.DATED,), ()),
            (tag, (self.BARE,), ()),
            ((*tag, ("Last-Modified", SAME)), (self.OTHER,), ()),
            ((("ETag", "6B032FB8-A72"),), ((("ETag", "6B032FB8-A72"),),), (0,)),
            ((("ETag", "6B032FB8-A72"),), (self.STRONG,), ()),
            ((("ETag", ""),), (self.STRONG,), ()),
        )

    def test_weak(self) -> None:
        """A weak validator is about the latest that has the same."""
        weak = (("ETag", 'W/"a"'),)
        self.check(
            (weak, (self.OTHER, self.WEAK, self.STRONG), (1,)),
            (weak, (self.STRONG, self.WEAK), (0,)),
            (weak, (self.OTHER,), ()),
            (weak, (self.DATED,), ()),
            ((*weak, *self.DATED), (self.OTHER, self.DATED), (1,)),
            (self.DATED, (self.BARE, self.DATED, self.STRONG), (1,)),
            ((("Last-Modified", EARLIER),), (self.DATED,), ()),
            ((("Last-Modified", "x"),), ((("Last-Modified", "x"),),), (0,)),
            ((("Last-Modified", "x"),), (self.DATED,), ()),
            ((("Last-Modified", "x"),), ((("Last-Modified", "y"),),), ()),
        )

    def test_none(self) -> None:
        """One without validators is about the only one there is."""
        self.check(
            (self.BARE, (self.BARE,), (0,)),
            (self.BARE, (self.STRONG,), (0,)),
            (self.BARE, (self.BARE, self.BARE), ()),
            (self.BARE, (), ()),
            (self.STRONG, (), ()),
        )

    @given(fields, st.lists(fields, max_size=4))
    def test_indexes(self, new: Fields, stored: list[Fields]) -> None:
        """What is found is there, and once."""
        found = matches_stored(new, stored)
        self.assertEqual(sorted(set(found)), list(found))
        self.assertLessEqual(set(found), set(range(len(stored))))


class AfterHeadTests(SynchronousTestCase):
    """A HEAD tells whether what is stored is still so (RFC 9111 section 4.3.5)."""

    STORED = (("ETag", '"a"'), ("Last-Modified", SAME), ("X-One", "1"))

    def test_same(self) -> None:
        """Where nothing received disagrees the fields are updated."""
        for head in (
            (),
            (("ETag", '"a"'),),
            (("Last-Modified", SAME),),
            (("Content-Length", "5"),),
            (("Content-Length", "5, 5"), ("content-length", "5")),
            (("ETag", '"a"'), ("Last-Modified", SAME), ("Content-Length", "5")),
        ):
            with self.subTest(head=head):
                found = after_head(self.STORED, 5, (*head, ("X-One", "2")))
                assert found is not None
                self.assertEqual(every(found, "x-one"), ["2"])
                self.assertIsNone(first(found, "content-length"))

    def test_different(self) -> None:
        """Where a validator or the length disagrees what is stored is stale."""
        for head in (
            (("ETag", '"b"'),),
            (("ETag", 'W/"a"'),),
            (("Last-Modified", EARLIER),),
            (("Last-Modified", "x"),),
            (("Content-Length", "6"),),
            (("Content-Length", "x"),),
            (("Content-Length", "5, 6"),),
            (("Content-Length", "5"), ("content-length", HUGE)),
            (("ETag", '"a"'), ("Content-Length", "6")),
        ):
            with self.subTest(head=head):
                self.assertIsNone(after_head(self.STORED, 5, head))

    def test_nothing_to_compare(self) -> None:
        """A validator that what is stored does not have disagrees."""
        self.assertIsNone(after_head((), 5, (("ETag", '"a"'),)))
        self.assertIsNone(after_head((), 5, (("Last-Modified", SAME),)))
