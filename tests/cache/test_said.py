"""Tests of `osproxy.cache.said`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.heads import Take, stored_of
from osproxy.cache.said import (
    AsSaid,
    Travelling,
    last_hop,
    localised,
    looked_at,
    renewed,
    target_of,
    variant_of,
)
from osproxy.http.cachestatus import CacheStatus
from osproxy.http.fields import first
from osproxy.model import Answer, Asked, Backend, Expectation, Head, Notice, Relayed, Target
from tests.cache.origin import Origin, Told

if TYPE_CHECKING:
    from osproxy.store.entries import Entry
    from osproxy.upstream.origin import Reply, Upstream

PLACE = Backend("/api", "https://origin.example/base", generic=True)
TAG, OTHER_TAG = ("ETag", '"1"'), ("ETag", '"2"')
HOUR = ("Cache-Control", "max-age=3600")
DATE = ("Date", "Thu, 01 Jan 1970 00:01:40 GMT")
STORED = Head('"1"', (DATE, HOUR, ("X-Said", "before")), '"1"', "origin.example", 100.0)


class _Stored:
    """As much of an entry as a rule looks at."""

    head = STORED


def reply(status: int, *fields: tuple[str, str], received_at: float = 200.0) -> Reply:
    """Make what an origin says."""
    told = Told(status, fields, host="origin.example")
    told.requested_at = told.received_at = received_at
    return cast("Reply", told)


class TravellingTests(SynchronousTestCase):
    """A client's request goes on to the origin."""

    def question(self, asked: Asked, *, as_asked: bool) -> tuple[str, str, set[str]]:
        """Return method, URL and names of fields of what the origin is asked."""
        origin = Origin()
        source = Travelling(cast("Upstream", origin), PLACE, Target("/api", "/x?q"), asked)
        work = source.as_asked() if as_asked else source(fields=(("Range", "bytes=7-"),))
        asking = Deferred.fromCoroutine(work)
        question = origin.next()
        question.answer(Told())
        self.successResultOf(asking)
        return question.method, question.url, {name for name, _ in question.fields}

    def test_conditions(self) -> None:
        """Conditions and range go along where it is asked for the client alone."""
        asked = Asked(fields=(("If-None-Match", '"x"'), ("Range", "bytes=1-2"), ("X-A", "b")))
        url = "https://origin.example/base/x?q"
        self.assertEqual(
            self.question(asked, as_asked=True),
            ("GET", url, {"If-None-Match", "Range", "X-A", "Via", "Forwarded"}),
        )
        self.assertEqual(
            self.question(asked, as_asked=False), ("GET", url, {"X-A", "Range", "Via", "Forwarded"})
        )

    def test_whom(self) -> None:
        """The origin is told who asks, by which proxy, and in the older field what it was told."""
        older = ("X-Forwarded-For", "10.0.0.9, 192.0.2.1")
        for method, fields, expected in (
            ("GET", (), ("for=192.0.2.1, for=10.0.0.1", None)),
            ("GET", (older,), ("for=192.0.2.1, for=10.0.0.1", f"{older[1]}, 10.0.0.1")),
            ("GET", (("Forwarded", "for=192.0.2.1"),), ("for=192.0.2.1, for=10.0.0.1", None)),
            ("POST", (), ("for=192.0.2.1, for=10.0.0.1;proto=http", None)),
            ("GET", (older, ("Connection", older[0])), ("for=192.0.2.1, for=10.0.0.1", None)),
        ):
            with self.subTest(method=method, fields=fields):
                asked = Asked(method, fields=fields, client="192.0.2.1", sender="10.0.0.1")
                origin = Origin()
                source = Travelling(cast("Upstream", origin), PLACE, Target("/api", "/x"), asked)
                asking = Deferred.fromCoroutine(source.as_asked())
                question = origin.next()
                question.answer(Told())
                self.successResultOf(asking)
                said = tuple(first(question.fields, name) for name in ("forwarded", older[0]))
                self.assertEqual(said, expected)

    def test_method(self) -> None:
        """The client's method is its own affair: when we fetch for ourselves it is GET."""
        for method in ("HEAD", "POST"):
            self.assertEqual(self.question(Asked(method), as_asked=True)[0], method)
            self.assertEqual(self.question(Asked(method), as_asked=False)[0], "GET")

    def test_last_hop(self) -> None:
        """Max-Forwards ends a request here when it is 0 and a number at all."""
        for value, expected in (
            ("0", True), ("00", True), ("1", False), ("-1", False), ("", False), ("9" * 99, False),
        ):  # fmt: skip
            self.assertIs(last_hop((("max-forwards", value),)), expected, value)
        self.assertFalse(last_hop(()))


class AsSaidTests(SynchronousTestCase):
    """The response says whether it is kept."""

    def judged(self, said: Reply, request: tuple[tuple[str, str], ...] = ()) -> Take:
        """Judge a reply beside what is stored."""
        return AsSaid(request).judge(said, cast("Entry", _Stored()))

    def test_judge(self) -> None:
        """A 304 about what is stored confirms it; else the rules of storing decide."""
        for said, request, expected in (
            (reply(304, TAG), (), Take.CONFIRMED),
            (reply(304), (), Take.CONFIRMED),
            (reply(304, OTHER_TAG), (), Take.NOTHING),
            (reply(200, HOUR), (), Take.KEEP),
            (reply(404, HOUR), (), Take.KEEP),
            (reply(500), (), Take.PASS),
            (reply(200, ("Cache-Control", "private")), (), Take.PASS),
            (reply(200, HOUR), (("Authorization", "Basic eDp5"),), Take.PASS),
        ):
            with self.subTest(status=said.status, fields=said.fields):
                self.assertIs(self.judged(said, request), expected)
        self.assertIs(AsSaid(()).judge(reply(304, TAG), None), Take.PASS)

    def test_head(self) -> None:
        """What is kept is what the origin says, its entity tag and its Date included."""
        rule = AsSaid((("Accept-Language", "de"),))
        said = reply(203, DATE, HOUR, ("ETag", 'W/"1"'), ("Vary", "Accept-Language"), ("Age", "5"))
        head = rule.head_of(said, Expectation(), 0.0)
        self.assertEqual((head.etag, head.upstream_etag, head.status), ('W/"1"', 'W/"1"', 203))
        self.assertEqual(set(head.fields), {DATE, HOUR, ("Vary", "Accept-Language")})
        self.assertEqual((head.source, head.date), ("origin.example", 100.0))
        target = rule.target_of(Target("/api", "/x"), head)
        self.assertEqual(target.variant, variant_of((("accept-language", "DE"),), head.fields))
        self.assertNotEqual(target.variant, variant_of((), head.fields))
        self.assertEqual(target.url, Target("/api", "/x"))

    def test_head_without_tag(self) -> None:
        """We make up no entity tag, but note when the response came if it does not say."""
        head = AsSaid(()).head_of(reply(200, HOUR), Expectation(), 0.0)
        self.assertIsNone(head.etag)
        self.assertEqual(first(head.fields, "date"), "Thu, 01 Jan 1970 00:03:20 GMT")
        self.assertEqual(AsSaid(()).target_of(Target("/", "/x"), head), Target("/", "/x"))

    def test_conditions(self) -> None:
        """What is stored is asked about with its validators."""
        asked = AsSaid(()).conditions(cast("Entry", _Stored()))
        self.assertEqual(asked, (("If-None-Match", '"1"'),))
        self.assertEqual(AsSaid(()).conditions(None), ())


class UpdateTests(SynchronousTestCase):
    """Stored heads are brought up to date."""

    def test_renewed(self) -> None:
        """A 304 brings new fields and a new date; the status stays."""
        date = ("Date", "Thu, 01 Jan 1970 00:03:20 GMT")
        head = renewed((), STORED, reply(304, TAG, date, ("X-Said", "after")))
        self.assertEqual((head.status, head.etag, head.date), (200, '"1"', 200.0))
        self.assertEqual(set(head.fields), {date, HOUR, ("X-Said", "after")})
        self.assertEqual(stored_of(head).lifetime, 3600)

    def test_looked_at(self) -> None:
        """The answer to HEAD brings the same, or shows that what is stored is out of date."""
        head = looked_at((), STORED, 3, reply(200, TAG, ("Content-Length", "3")))
        assert head is not None
        self.assertEqual(head.etag, '"1"')
        for fields in ((OTHER_TAG,), (TAG, ("Content-Length", "4"))):
            self.assertIsNone(looked_at((), STORED, 3, reply(200, *fields)))


class PlaceTests(SynchronousTestCase):
    """The origin's URLs and ours stand for each other."""

    def test_target_of(self) -> None:
        """An URL below the authority has a target, in its one form; another has none."""
        for url, path in (
            ("https://origin.example/base/x", "/x"),
            ("https://origin.example/base/%78?q=%78", "/x?q=%78"),
            ("https://origin.example/base/a//b", "/a//b"),
            ("https://origin.example/base/", "/"),
            ("https://origin.example/base", None),
            ("https://origin.example/basement/x", None),
            ("https://other.example/base/x", None),
            ("https://origin.example/base/../x", None),
            ("https://origin.example/base/%zz", None),
        ):
            with self.subTest(url=url):
                expected = None if path is None else Target("/api", path)
                self.assertEqual(target_of(url, PLACE), expected)

    def test_localised(self) -> None:
        """Only fields that point somewhere are changed, and only of what comes from there."""
        fields = (("Location", f"{PLACE.authority}/x"), ("X-Location", f"{PLACE.authority}/x"))
        answer = Answer(Relayed(302, fields, None), CacheStatus(), None)
        content = localised(answer, PLACE).content
        assert isinstance(content, Relayed)
        self.assertEqual(content.fields, (("Location", "/api/x"), fields[1]))
        notice = Answer(Notice(404), CacheStatus(), None)
        self.assertIs(localised(notice, PLACE), notice)
