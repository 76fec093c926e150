"""Tests of `osproxy.cache.generic`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from osproxy.cache.experience import REST
from osproxy.cache.generic import PASSING
from osproxy.cache.said import VARIANTS_AT_MOST
from osproxy.cache.transfer import PAUSES
from osproxy.http.fields import first, format_date, only
from osproxy.model import Answer, BodyBroken, Relayed, Representation, Target
from osproxy.upstream.turns import OURS
from tests.cache.doubles import close, octets, read
from tests.cache.generics import HOUR, URL, GenericCase
from tests.cache.origin import Question, Told, unreachable, whole
from tests.store.doubles import Slow, at_once

if TYPE_CHECKING:
    from osproxy.http.fields import Fields


class FreshnessTests(GenericCase):
    """The response says for how long it may be used, the request what will do."""

    def test_fresh(self) -> None:
        """What is fresh is served from the store, with the time that is left."""
        self.assertEqual(
            self.get(self.told(b"one", HOUR)), "200 one | fwd=uri-miss; fwd-status=200; stored"
        )
        self.bench.advance(60)
        self.assertEqual(self.get(None), "200 one | hit; ttl=3540")

    def test_query(self) -> None:
        """The query belongs to the name."""
        queries = {"a=1": "/x?a=1", "a=2": "/x?a=2", "": "/x?", None: "/x"}
        for query, name in queries.items():
            asking = self.ask(query=query)
            question = self.origin.next()
            self.assertEqual(question.url, f"{URL}{name}")
            question.answer(self.told(name.encode(), HOUR))
            octets(self.successResultOf(asking))
        for query, name in queries.items():
            self.assertEqual(octets(self.successResultOf(self.ask(query=query))), name.encode())

    def test_revalidated(self) -> None:
        """What is stale is asked about with its validators, and a 304 renews it and its fields."""
        tag, modified = ("ETag", 'W/"1"'), ("Last-Modified", "Thu, 01 Jan 1970 01:00:00 GMT")
        self.kept(HOUR, tag, modified, ("X-Said", "before"))
        self.bench.advance(3600)
        asking = self.ask()
        question = self.origin.next()
        self.assertEqual(question.field("if-none-match"), 'W/"1"')
        self.assertEqual(question.field("if-modified-since"), modified[1])
        question.answer(self.told(b"", HOUR, tag, ("X-Said", "after"), status=304))
        answer = self.successResultOf(asking)
        assert isinstance(answer.content, Representation)
        self.assertEqual(first(answer.content.head.fields, "x-said"), "after")
        self.assertEqual(answer.content.head.etag, 'W/"1"')
        self.assertEqual(answer.age, 0)
        self.assertEqual(self.outcome(answer), "200 one | fwd=stale; fwd-status=304")
        self.assertEqual(self.get(None), "200 one | hit; ttl=3600")

    def test_replaced(self) -> None:
        """What has changed takes the place of what was stored."""
        self.kept()
        self.bench.advance(3600)
        self.assertEqual(
            self.get(self.told(b"two", HOUR)), "200 two | fwd=stale; fwd-status=200; stored"
        )
        self.assertEqual(self.get(None), "200 two | hit; ttl=3600")

    def test_304_of_another(self) -> None:
        """A 304 about something that is not stored confirms nothing; the file is fetched anew."""
        self.kept(HOUR, ("ETag", '"1"'))
        self.bench.advance(3600)
        asking = self.ask()
        self.origin.next().answer(self.told(b"", ("ETag", '"2"'), status=304))
        question = self.origin.next()
        self.assertIsNone(question.field("if-none-match"))
        question.answer(self.told(b"two", HOUR, ("ETag", '"2"')))
        self.assertEqual(octets(self.successResultOf(asking)), b"two")

    def test_304_takes_it_back(self) -> None:
        """A 304 may say that what it confirms is not to be stored any more."""
        self.kept(HOUR, ("ETag", '"1"'))
        self.bench.advance(3600)
        asking = self.ask()
        no_store = ("Cache-Control", "no-store")
        self.origin.next().answer(self.told(b"", ("ETag", '"1"'), no_store, status=304))
        self.origin.next().answer(self.told(b"two", no_store))
        self.assertEqual(self.outcome(self.successResultOf(asking)).partition(" |")[0], "200 two")
        self.assertEqual(self.bench.store.entries, 0)

    def test_requests(self) -> None:
        """What a request says of caching is heeded, be it stricter or more lenient."""
        for number, (field, fwd) in enumerate(
            (
                (("Cache-Control", "max-age=599"), "request"),
                (("Cache-Control", "max-age=601"), None),
                (("Cache-Control", "min-fresh=3001"), "request"),
                (("Cache-Control", "min-fresh=2999"), None),
                (("Cache-Control", "no-cache"), "request"),
                (("Pragma", "no-cache"), "request"),
                (("Cache-Control", "max-stale"), None),
            )
        ):
            with self.subTest(field=field):
                path = f"/{number}"
                self.kept(path=path)
                self.bench.advance(600)
                told = None if fwd is None else self.told(b"two", HOUR)
                said = "200 one | hit" if fwd is None else f"200 two | fwd={fwd}"
                self.assertIn(said, self.get(told, path, field))

    def test_max_stale(self) -> None:
        """Who has nothing against stale answers gets them, up to what it says."""
        self.kept()
        self.bench.advance(3660)
        for said, hit in (("max-stale=61", True), ("max-stale", True), ("max-stale=59", False)):
            told = None if hit else self.told(b"two", HOUR)
            found = self.get(told, "/x", ("Cache-Control", said))
            self.assertIn("200 one | hit; ttl=-60" if hit else "200 two | fwd=stale", found)

    def test_only_if_cached(self) -> None:
        """Who wants nothing fetched is told 504 where something would have to be."""
        only = ("Cache-Control", "only-if-cached")
        self.assertEqual(self.get(None, "/x", only), '504 | detail="only-if-cached"')
        self.kept()
        self.assertEqual(self.get(None, "/x", only), "200 one | hit; ttl=3600")
        self.bench.advance(3600)
        self.assertEqual(self.get(None, "/x", only), '504 | detail="only-if-cached"')

    def test_no_store(self) -> None:
        """What a client does not want stored is not, but what is stored may be used for it."""
        private = ("Cache-Control", "no-store")
        self.assertEqual(
            self.get(self.told(b"one", HOUR), "/x", private), "200 one | fwd=bypass; fwd-status=200"
        )
        self.assertEqual(self.bench.store.entries, 0)
        self.kept()
        self.assertEqual(self.get(None, "/x", private), "200 one | hit; ttl=3600")

    def test_stale_while_revalidate(self) -> None:
        """What is a little stale is served while it is asked about, once."""
        self.kept(("Cache-Control", "max-age=10, stale-while-revalidate=60"))
        self.bench.advance(20)
        for _ in range(2):
            answer = self.successResultOf(self.ask())
            self.assertEqual(
                self.outcome(answer), '200 one | hit; ttl=-10; detail="stale-while-revalidate"'
            )
        self.assertEqual([question.asker for question in self.origin.asked], [OURS])
        self.origin.next().answer(self.told(b"two", HOUR))
        self.assertEqual(self.get(None), "200 two | hit; ttl=3600")

    def test_stale_while_revalidate_for_all(self) -> None:
        """What one client puts up with does not go along then: another cache would heed it."""
        self.kept(("Cache-Control", "max-age=10, stale-while-revalidate=60"))
        self.bench.advance(20)
        said = ("Cache-Control", "no-store, max-stale"), ("Pragma", "x"), ("X-A", "1")
        octets(self.successResultOf(self.ask("/x", *said)))
        question = self.origin.next()
        self.assertEqual([question.field(name) for name, _ in said], [None, None, "1"])
        question.answer(self.told(b"two", HOUR))
        self.assertEqual(self.get(None), "200 two | hit; ttl=3600")

    def test_no_answer(self) -> None:
        """Where what is stored may not be served, it is told why it would not do."""
        said = ("Cache-Control", "max-age=10, must-revalidate")
        self.kept(said)
        no_cache = ("Cache-Control", "no-cache")
        for method, seconds, fields, why in (
            ("GET", 0, (no_cache,), "request"),
            ("HEAD", 0, (no_cache,), "request"),
            ("GET", 20, (), "stale"),
            ("HEAD", 0, (), "stale"),
        ):
            self.bench.advance(seconds)
            asking = self.ask("/x", *fields, method=method)
            self.origin.next().fail()
            answer = self.successResultOf(asking)
            self.assertEqual((self.status_of(answer), answer.cache_status.fwd), (502, why))

    def test_errors(self) -> None:
        """An upstream that fails does not cost what may be served stale."""
        for number, (said, status, expected) in enumerate(
            (
                ("max-age=10", None, "200 one"),
                ("max-age=10", 503, "200 one"),
                ("max-age=10, must-revalidate", None, "502"),
                ("max-age=10, must-revalidate", 503, "503 busy"),
                ("max-age=10, stale-if-error=60", 500, "200 one"),
                ("max-age=10, stale-if-error=60", 404, "404 busy"),
                ("max-age=10, stale-if-error=5", 500, "500 busy"),
                ("s-maxage=10", None, "502"),
            )
        ):
            with self.subTest(said=said, status=status):
                path = f"/{number}"
                self.kept(("Cache-Control", said), path=path)
                self.bench.advance(30)
                asking = self.ask(path)
                question = self.origin.next()
                if status is None:
                    question.fail()
                else:
                    question.answer(self.told(b"busy", status=status))
                found = self.outcome(self.successResultOf(asking))
                self.assertEqual(found.partition(" |")[0], expected)

    def test_left_alone(self) -> None:
        """An upstream that has just failed is not asked again while there is something to serve."""
        self.kept(("Cache-Control", "max-age=10"))
        self.bench.advance(30)
        asking = self.ask()
        self.origin.next().fail()
        octets(self.successResultOf(asking))
        self.assertIn("200 one | fwd=stale", self.get(None))
        self.bench.advance(5)
        self.assertIn("200 two", self.get(self.told(b"two", HOUR)))

    def test_age(self) -> None:
        """What a cache before us has had for a while is no younger here."""
        age = ("Age", "100")
        asking = self.ask()
        question = self.origin.next()
        self.bench.advance(2)
        question.answer(self.told(b"one", HOUR, age))
        answer = self.successResultOf(asking)
        self.assertEqual(answer.age, 102)
        octets(answer)
        self.assertEqual(self.get(None), "200 one | hit; ttl=3498")

    def test_date(self) -> None:
        """The origin's Date is replayed; where there is none it is when the response came."""
        for date in (("Date", "Thu, 01 Jan 1970 09:00:00 GMT"), ("X-Date", "none")):
            asking = self.ask(f"/{date[0]}")
            self.origin.next().answer(whole(b"one", HOUR, date))
            answer = self.successResultOf(asking)
            assert isinstance(answer.content, Representation)
            found = first(answer.content.head.fields, "date")
            self.assertEqual(found, date[1] if date[0] == "Date" else self.now())
            close(answer)


class StoringTests(GenericCase):
    """What is stored is for all whom the response is for."""

    def test_not_for_all(self) -> None:
        """What is somebody's own passes, and the next one asks for itself."""
        for number, fields in enumerate(
            (
                (("Cache-Control", "private, max-age=60"),),
                (("Cache-Control", "no-store"),),
                (HOUR, ("Vary", "*")),
                (HOUR, ("Set-Cookie", "a=b")),
            )
        ):
            with self.subTest(fields=fields):
                for _ in range(2):
                    asking = self.ask(f"/{number}")
                    self.origin.next().answer(self.told(b"mine", *fields))
                    answer = self.successResultOf(asking)
                    assert isinstance(answer.content, Relayed)
                    self.assertLessEqual(set(fields), set(answer.content.fields))
                    self.assertEqual(
                        self.outcome(answer), "200 mine | fwd=uri-miss; fwd-status=200"
                    )

    def test_collapsed(self) -> None:
        """Those who ask at once share a response that is for all, and no other."""
        asking = [self.ask() for _ in range(3)]
        self.origin.next().answer(self.told(b"one", HOUR))
        said = [self.outcome(self.successResultOf(one)) for one in asking]
        self.assertEqual(
            said,
            [
                "200 one | fwd=uri-miss; fwd-status=200; stored",
                *["200 one | fwd=uri-miss; fwd-status=200; stored; collapsed"] * 2,
            ],
        )
        asking = [self.ask("/mine", ("Cookie", name)) for name in "ab"]
        self.origin.next().answer(self.told(b"a", ("Cache-Control", "private")))
        other = self.origin.next()
        self.assertEqual(other.field("cookie"), "b")
        other.answer(self.told(b"b", ("Cache-Control", "private")))
        self.assertEqual(
            [self.outcome(self.successResultOf(one))[:5] for one in asking], ["200 a", "200 b"]
        )

    def fields_said(self, asking: Deferred[Answer]) -> tuple[Fields, bytes]:
        """Return the fields that are for one client only, and the body."""
        answer = self.successResultOf(asking)
        assert isinstance(answer.content, Representation)
        return only(answer.content.head.fields, "set-cookie", "x-user"), octets(answer)

    def test_fields_of_asker(self) -> None:
        """What is not stored of a response is for the one who asked (section 5.2.2.4)."""
        own = (("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"), ("X-User", "me"))
        said = ("Cache-Control", 'max-age=60, no-cache="Set-Cookie, X-User"')
        tag = ("ETag", '"1"')
        asking = [self.ask() for _ in range(2)]
        self.origin.next().answer(self.told(b"one", said, tag, *own))
        self.assertEqual([self.fields_said(one) for one in asking], [(own, b"one"), ((), b"one")])
        self.assertEqual(self.fields_said(self.ask()), ((), b"one"))
        self.bench.advance(61)
        asking = [self.ask() for _ in range(2)]
        self.origin.next().answer(Told(304, (said, tag, *own[1:])))
        self.assertEqual(
            [self.fields_said(one) for one in asking], [(own[1:], b"one"), ((), b"one")]
        )
        self.assertEqual(self.fields_said(self.ask()), ((), b"one"))

    def test_arrived(self) -> None:
        """What has come whole is as good as stored, however long the disk takes."""
        self.bench.place.in_thread = disk = Slow("publish")
        first = self.get(self.told(b"one", HOUR, ("Vary", "Foo")), "/x", ("Foo", "1"))
        self.assertEqual(first, "200 one | fwd=uri-miss; fwd-status=200; stored")
        for method, *fields in (
            ("GET", ("Foo", "1")),
            ("HEAD", ("Foo", "1")),
            ("GET", ("Foo", "1"), ("Cache-Control", "only-if-cached")),
        ):
            answer = self.successResultOf(self.ask("/x", *fields, method=method))
            assert isinstance(answer.content, Representation)
            self.assertEqual(answer.cache_status.serialise(), "osproxy; hit; ttl=3600")
            close(answer)
        for unlike in ((("Foo", "2"),), (("Foo", "1"), ("Cache-Control", "no-cache"))):
            other = self.get(self.told(b"other"), "/x", *unlike)
            self.assertTrue(other.startswith("200 other | fwd="), other)
        disk.run_all()
        self.bench.place.in_thread = at_once
        self.assertEqual(self.get(None, "/x", ("Foo", "1")), "200 one | hit; ttl=3600")

    def test_arrived_and_changed(self) -> None:
        """What was changed since it was asked for is none, though it has come."""
        self.bench.place.in_thread = disk = Slow("publish")
        self.get(self.told(b"one", HOUR))
        posting = self.ask(method="POST")
        self.origin.next().answer(self.told(b"done"))
        self.outcome(self.successResultOf(posting))
        self.assertEqual(self.get(self.told(b"two"))[:7], "200 two")
        disk.run_all()
        self.bench.place.in_thread = at_once

    def test_no_collapsing(self) -> None:
        """What could not be used a moment later is not for who asks at the same time, either."""
        for number, fields in enumerate(
            ((), (("Cache-Control", "no-cache"),), (("Cache-Control", "max-age=0"),))
        ):
            with self.subTest(fields=fields):
                path = f"/{number}"
                asking = [self.ask(path, ("Cookie", name)) for name in "ab"]
                self.origin.next().answer(self.told(b"a", *fields))
                other = self.origin.next()
                self.assertEqual(other.field("cookie"), "b")
                other.answer(self.told(b"b", *fields))
                self.assertEqual(
                    [self.outcome(self.successResultOf(one))[:5] for one in asking],
                    ["200 a", "200 b"],
                )

    def test_no_collapsed_revalidation(self) -> None:
        """What must be confirmed for each request is, be they at once or not."""
        tag = ("ETag", '"1"')
        self.kept(("Cache-Control", "no-cache"), tag)
        asking = [self.ask("/x", ("Cookie", name)) for name in "ab"]
        self.origin.next().answer(self.told(b"", tag, status=304))
        other = self.origin.next()
        self.assertEqual(other.field("cookie"), "b")
        other.answer(self.told(b"b's"))
        self.assertEqual(
            [self.outcome(self.successResultOf(one))[:7] for one in asking], ["200 one", "200 b's"]
        )

    def test_insisting_at_once(self) -> None:
        """Those who want a look at the source now share one that is taken after they asked."""
        asking = [self.ask("/x", ("Cache-Control", "no-cache")) for _ in range(2)]
        self.origin.next().answer(self.told(b"one", HOUR))
        found = [octets(self.successResultOf(one)) for one in asking]
        self.assertEqual(found, [b"one", b"one"])

    def test_left_behind(self) -> None:
        """What was asked with somebody's credentials is not handed to who comes after them."""
        leaving = self.ask("/mine", ("Authorization", "secret"))
        leaving.addErrback(lambda _: None)
        staying = self.ask("/mine")
        leaving.cancel()
        self.origin.next().answer(theirs := self.told(b"theirs", ("Cache-Control", "private")))
        self.assertTrue(theirs.abandoned)
        question = self.origin.next()
        self.assertIsNone(question.field("authorization"))
        question.answer(self.told(b"public", ("Cache-Control", "private")))
        self.assertEqual(
            self.outcome(self.successResultOf(staying)), "200 public | fwd=uri-miss; fwd-status=200"
        )

    def test_refreshed_for_another(self) -> None:
        """What a refresh behind somebody's back brings of theirs is handed to nobody."""
        self.kept(("Cache-Control", "max-age=60, stale-while-revalidate=600"))
        self.bench.advance(61)
        self.assertEqual(octets(self.successResultOf(self.ask("/x", ("Cookie", "a")))), b"one")
        question = self.origin.next()
        other = self.ask("/x", ("Cache-Control", "no-cache"))
        question.answer(self.told(b"theirs", ("Cache-Control", "private")))
        question = self.origin.next()
        self.assertIsNone(question.field("cookie"))
        question.answer(self.told(b"two"))
        self.assertEqual(self.outcome(self.successResultOf(other))[:7], "200 two")

    def test_failing_at_once(self) -> None:
        """Where one is served what is stale because the upstream fails, those beside it are too."""
        self.kept(("Cache-Control", "max-age=60"))
        self.bench.advance(61)
        asking = [self.ask() for _ in range(3)]
        self.origin.next().answer(self.told(b"", status=503))
        found = [self.outcome(self.successResultOf(one))[:7] for one in asking]
        self.assertEqual(found, ["200 one"] * 3)

    def test_authorized_look(self) -> None:
        """What is confirmed to one who is known stays for the others, as it was (section 3.5)."""
        tag, known = ("ETag", '"1"'), ("Authorization", "Basic eDp5")
        self.kept(("Cache-Control", "max-age=10"), tag)
        self.bench.advance(20)
        looked = self.get(Told(304, (HOUR, tag)), "/x", known)
        self.assertEqual(looked, "200 one | fwd=stale; fwd-status=304")
        again = self.get(Told(304, (HOUR, tag)))
        self.assertEqual(again, "200 one | fwd=stale; fwd-status=304")
        self.assertEqual(self.get(None), "200 one | hit; ttl=3600")

    def test_authorization(self) -> None:
        """What was asked for with credentials is kept only if it says that it is for all."""
        credentials = ("Authorization", "Basic eDp5")
        self.get(self.told(b"one", HOUR), "/x", credentials)
        self.assertEqual(self.bench.store.entries, 0)
        self.get(self.told(b"one", ("Cache-Control", "public, max-age=60")), "/x", credentials)
        self.assertEqual(self.get(None), "200 one | hit; ttl=60")

    def test_cookies(self) -> None:
        """What says nothing of caching and answers a cookie may be for that one alone."""
        cookie, tag = ("Cookie", "a"), ("ETag", '"1"')
        self.get(self.told(b"a's", tag), "/x", cookie)
        self.assertEqual(self.bench.store.entries, 0)
        for number, fields in enumerate(((HOUR,), (("Cache-Control", "public"), tag))):
            self.get(self.told(b"all's", *fields), f"/{number}", cookie)
            self.assertEqual(self.bench.store.entries, 1 + number)
        self.get(self.told(b"nobody's", tag))
        self.assertEqual(self.bench.store.entries, 3)
        self.get(self.told(b"", tag, status=304), "/x", cookie)
        self.assertEqual(self.bench.store.entries, 3)

    def test_statuses(self) -> None:
        """Any final status is kept and replayed where the response says for how long."""
        for status in (203, 301, 302, 404, 410, 503):
            with self.subTest(status=status):
                path = f"/{status}"
                self.get(self.told(b"said", HOUR, status=status), path)
                self.assertEqual(self.get(None, path), f"{status} said | hit; ttl=3600")

    def test_statuses_that_say_nothing(self) -> None:
        """An error without a word on caching passes."""
        for status in (302, 403, 500, 503):
            self.get(self.told(b"said", status=status))
            self.assertEqual(self.bench.store.entries, 0)

    def test_vary(self) -> None:
        """What varies is stored once for each kind of request, and found again."""
        vary = ("Vary", "Accept-Encoding, Accept-Language")
        for language in ("de", "en"):
            asked = ("Accept-Language", language)
            self.get(self.told(language.encode(), HOUR, vary), "/x", asked)
        self.assertEqual(self.bench.store.entries, 2)
        for language in ("de", "en"):
            found = self.get(None, "/x", ("accept-language", f" {language} "))
            self.assertEqual(found, f"200 {language} | hit; ttl=3600")
        self.assertEqual(
            self.get(self.told(b"fr", HOUR, vary), "/x", ("Accept-Language", "fr")),
            "200 fr | fwd=vary-miss; fwd-status=200; stored",
        )

    def test_too_many_variants(self) -> None:
        """The oldest of many variants goes before another is stored."""
        vary = ("Vary", "User-Agent")
        for number in range(VARIANTS_AT_MOST + 2):
            agent = ("User-Agent", str(number))
            self.bench.advance(1)
            self.get(self.told(b"%d" % number, HOUR, vary), "/x", agent)
        self.assertEqual(self.bench.store.entries, VARIANTS_AT_MOST)
        last = self.get(None, "/x", agent)
        self.assertEqual(last, f"200 {number} | hit; ttl=3600")
        oldest = self.get(None, "/x", ("User-Agent", "2"))
        self.assertTrue(oldest.startswith("200 2 | hit"), oldest)
        gone = self.get(self.told(b"new", HOUR, vary), "/x", ("User-Agent", "1"))
        self.assertTrue(gone.startswith("200 new | fwd=vary-miss"), gone)

    def test_vary_at_once(self) -> None:
        """Those who ask at once for different variants get each their own."""
        vary = ("Vary", "Accept-Language")
        asking = [self.ask("/x", ("Accept-Language", name)) for name in ("de", "en")]
        self.origin.next().answer(self.told(b"de", HOUR, vary))
        self.origin.next().answer(self.told(b"en", HOUR, vary))
        found = [self.outcome(self.successResultOf(one))[:6] for one in asking]
        self.assertEqual(found, ["200 de", "200 en"])
        self.assertEqual(self.bench.store.entries, 2)

    def test_vary_by_something_else(self) -> None:
        """When what it varies by changes while it is fetched, each gets its own, and no more."""
        first_vary, second_vary = ("Vary", "Accept-Language"), ("Vary", "X-A")
        asking = [self.ask("/x", ("Accept-Language", name), ("X-A", name)) for name in ("de", "en")]
        self.origin.next().answer(self.told(b"de", HOUR, first_vary))
        third = self.ask("/x", ("Accept-Language", "en"), ("X-A", "fr"))
        self.origin.next().answer(self.told(b"en", HOUR, second_vary))
        self.origin.next().answer(self.told(b"fr", HOUR, second_vary))
        found = [self.outcome(self.successResultOf(one))[:6] for one in (*asking, third)]
        self.assertEqual(found, ["200 de", "200 en", "200 fr"])

    def test_vary_by_what_we_say(self) -> None:
        """What varies by fields that we make is not for the next one: there they are others."""
        for name in ("Via", "forwarded"):
            self.get(self.told(b"one", HOUR, ("Vary", name)))
            self.assertEqual(self.bench.store.entries, 0)

    def test_vary_by_what_stays(self) -> None:
        """A field that goes no further than to us has selected nothing."""
        vary, german = ("Vary", "Accept-Language"), ("Accept-Language", "de")
        self.get(self.told(b"en", HOUR, vary), "/x", german, ("Connection", "Accept-Language"))
        self.get(self.told(b"de", HOUR, vary), "/x", german)
        self.assertEqual(self.get(None), "200 en | hit; ttl=3600")
        self.assertEqual(self.get(None, "/x", german), "200 de | hit; ttl=3600")

    def test_what_is_obeyed(self) -> None:
        """Fields that origins obey in place of the request's target and method are part of it."""
        for name in (
            "X-Forwarded-Host",
            "X_Forwarded_Host",
            "X-HTTP-Method-Override",
            "x-original-url",
        ):
            with self.subTest(name=name):
                asking = [self.ask(f"/{name}", (name, "evil")), self.ask(f"/{name}")]
                self.origin.next().answer(self.told(b"evil", HOUR))
                self.origin.next().answer(self.told(b"good", HOUR))
                found = [octets(self.successResultOf(one)) for one in asking]
                self.assertEqual(found, [b"evil", b"good"])
                self.assertEqual(self.get(None, f"/{name}"), "200 good | hit; ttl=3600")

    def test_vary_survives(self) -> None:
        """Variants are told apart after a restart."""
        vary = ("Vary", "Accept-Language")
        for language in ("de", "en"):
            asked = ("Accept-Language", language)
            self.get(self.told(language.encode(), HOUR, vary), "/x", asked)
        self.bench.stop()
        self.bench.start()
        found = self.get(None, "/x", ("Accept-Language", "en"))
        self.assertEqual(found, "200 en | hit; ttl=3600")

    def test_secrets(self) -> None:
        """What a response varies by is not written down: it may be somebody's cookie."""
        vary = ("Vary", "Cookie")
        self.get(self.told(b"one", HOUR, vary), "/x", ("Cookie", "secret"))
        self.assertEqual(self.get(None, "/x", ("Cookie", "secret")), "200 one | hit; ttl=3600")
        self.bench.stop()
        for path in self.bench.path.rglob("*"):
            if path.is_file():
                self.assertNotIn(b"secret", path.read_bytes())
        self.bench.start()

    def test_ranges(self) -> None:
        """A part of what is not stored is cut from the whole, which is fetched for all."""
        asking = self.ask("/x", ("Range", "bytes=1-2"), ("If-None-Match", '"z"'))
        question = self.origin.next()
        self.assertIsNone(question.field("range"))
        self.assertIsNone(question.field("if-none-match"))
        question.answer(self.told(b"0123", HOUR))
        self.assertEqual(self.successResultOf(read(self.successResultOf(asking), 1, 3)), b"12")

    def test_known_not_to_be_kept(self) -> None:
        """Of what was not kept a moment ago the whole is not asked for again in vain."""
        fields = ("Range", "bytes=1-2"), ("If-None-Match", '"z"')
        control, part = ("Cache-Control", "no-store"), ("Content-Range", "bytes 1-2/4")
        self.get(self.told(b"0123", control))
        for field in fields:
            told = self.told(b"12", control, part, status=206 if field[0] == "Range" else 304)
            asking = self.ask("/x", field)
            question = self.origin.next()
            self.assertEqual(question.field(field[0]), field[1])
            question.answer(told)
            close(self.successResultOf(asking))
        # Now it may be kept, as is seen when all of it is asked for.
        self.kept()
        self.assertEqual(self.get(None), "200 one | hit; ttl=3600")
        self.bench.store.doom_all(Target("/api", "/x"))
        asking = self.ask("/x", fields[0])
        question = self.origin.next()
        self.assertIsNone(question.field("range"))
        question.answer(self.told(b"0123", control))
        self.origin.next().answer(self.told(b"12", control, part, status=206))
        close(self.successResultOf(asking))
        self.bench.advance(PASSING)
        asking = self.ask("/x", fields[0])
        question = self.origin.next()
        self.assertIsNone(question.field("range"))
        question.answer(self.told(b"0123", HOUR))
        close(self.successResultOf(asking))

    def test_not_waited_for_in_vain(self) -> None:
        """Of what was not kept a moment ago nobody waits for what another is told."""
        control = ("Cache-Control", "no-store")
        self.get(self.told(b"0", control))
        asking = [self.ask() for _ in range(3)]
        questions = [self.origin.next() for _ in asking]
        self.assertEqual(self.origin.asked, [])
        for number, question in reversed(list(enumerate(questions))):
            question.answer(self.told(str(number).encode(), control))
            outcome = self.outcome(self.successResultOf(asking[number]))
            self.assertEqual(outcome, f"200 {number} | fwd=uri-miss; fwd-status=200")
        # Now it comes for all, whatever is wanted of it.
        first = self.ask()
        self.origin.next().answer(told := Told(200, (HOUR,), 4))
        for fields in ((), (("Range", "bytes=1-2"),)):
            other = self.successResultOf(self.ask("/x", *fields))
            self.assertTrue(other.cache_status.collapsed)
            close(other)
        told.send(b"0123")
        told.finish()
        self.assertEqual(octets(self.successResultOf(first)), b"0123")


class ResumingTests(GenericCase):
    """What breaks off is completed as far as the responses let it be kept."""

    tag, vary = ("ETag", '"1"'), ("Vary", "Accept-Language")

    def rest(self, *fields: tuple[str, str]) -> tuple[Answer, Told]:
        """Have a body break off, and its rest come with these fields."""
        asking = self.ask("/x", ("Accept-Language", "de"), ("X-A", "1"))
        told = Told(200, (("Date", self.now()), HOUR, self.tag, self.vary), 8)
        self.origin.next().answer(told)
        answer = self.successResultOf(asking)
        told.send(b"0123")
        told.fail(unreachable())
        self.bench.advance(PAUSES[0])
        question = self.origin.next()
        self.assertEqual(question.field("accept-language"), "de")
        part = ("Content-Range", "bytes 4-7/8")
        question.answer(told := Told(206, (self.tag, part, *fields), 4))
        told.send(b"4567")
        told.finish()
        return answer, told

    def test_completed(self) -> None:
        """The rest brings the stored fields up to date, as a 304 would (RFC 9111 section 3.4)."""
        old = format_date(self.bench.place.clock.seconds() - 60)
        answer, _ = self.rest(("Date", old), HOUR, self.vary, ("X-Said", "last"))
        self.assertEqual(octets(answer), b"01234567")
        answer = self.successResultOf(self.ask("/x", ("Accept-Language", "de")))
        assert isinstance(answer.content, Representation)
        self.assertEqual(octets(answer), b"01234567")
        self.assertEqual(first(answer.content.head.fields, "x-said"), "last")
        self.assertIsNone(first(answer.content.head.fields, "content-range"))
        self.assertEqual(answer.age, 61)

    def test_taken_up_later(self) -> None:
        """What was put aside is found again by those whom it is for, and by no others."""
        body = bytes(range(256)) * 4096
        german, english = ("Accept-Language", "de"), ("Accept-Language", "en")
        asking = self.ask("/x", german)
        told = Told(200, (HOUR, self.tag, self.vary), 2 * len(body))
        self.origin.next().answer(told)
        reading = read(self.successResultOf(asking))
        told.send(body)
        told.fail(unreachable())
        for pause in PAUSES:
            self.bench.advance(pause)
            self.origin.next().fail()
        self.failureResultOf(reading, BodyBroken)
        self.bench.advance(REST)
        other = self.ask("/x", english)
        question = self.origin.next()
        self.assertIsNone(question.field("range"))
        question.answer(self.told(b"other"))
        self.assertEqual(octets(self.successResultOf(other)), b"other")
        asking = self.ask("/x", german)
        question = self.origin.next()
        self.assertEqual(question.field("range"), f"bytes={len(body)}-")
        part = ("Content-Range", f"bytes {len(body)}-{2 * len(body) - 1}/{2 * len(body)}")
        question.answer(whole(body, HOUR, self.tag, self.vary, part, status=206))
        self.assertEqual(self.successResultOf(read(self.successResultOf(asking))), body * 2)

    def test_not_for_all(self) -> None:
        """A rest that is not for all, or for others than the beginning, is none."""
        for fields in ((("Cache-Control", "private"),), (HOUR, ("Vary", "X-A"))):
            with self.subTest(fields=fields):
                answer, told = self.rest(*fields)
                self.failureResultOf(read(answer), BodyBroken)
                self.assertTrue(told.abandoned)
                close(answer)
                self.assertEqual(self.bench.store.entries, 0)


class FieldTests(GenericCase):
    """Clients' fields travel, but those that are meant for us."""

    def question(self, *fields: tuple[str, str]) -> Question:
        """Ask with these fields, and return what the origin is asked."""
        asking = self.ask("/x", *fields)
        asking.addErrback(lambda _: None)
        self.addCleanup(asking.cancel)
        return self.origin.next()

    def test_travel(self) -> None:
        """End-to-end fields go along, in their order and number."""
        given: Fields = (
            ("User-Agent", "curl/8"),
            ("Cookie", "a=b"),
            ("X-Twice", "1"),
            ("x-twice", "2"),
            ("Accept-Encoding", "gzip"),
        )
        question = self.question(("Host", "proxy"), *given)
        self.assertTrue(question.verbatim)
        self.assertEqual(
            question.fields[:-2],
            given,
        )

    def test_stay(self) -> None:
        """What is for the next hop ends here."""
        question = self.question(
            ("Host", "proxy"),
            ("Connection", "close, X-Mine"),
            ("X-Mine", "1"),
            ("Proxy-Authorization", "secret"),
            ("TE", "trailers"),
            ("Upgrade", "h2c"),
            ("Keep-Alive", "5"),
            ("Expect", "100-continue"),
        )
        self.assertEqual([name for name, _ in question.fields], ["Via", "Forwarded"])

    def test_mistaken(self) -> None:
        """What an origin could take for our own word ends here, too."""
        names = (
            "X_Forwarded_For", "x_forwarded-for", "Content_Length", "Transfer_Encoding",
            "If_None_Match", "if-modified_since",
        )  # fmt: skip
        question = self.question(*((name, "1") for name in names), ("X_Mine", "1"))
        self.assertEqual([name for name, _ in question.fields], ["X_Mine", "Via", "Forwarded"])

    def test_way(self) -> None:
        """The origin is told by which way the request has come, and from whom."""
        fields = ("Host", "proxy:8080"), ("Via", "1.0 before"), ("Forwarded", "for=10.0.0.1;host=a")
        asking = self.ask("/x", *fields, method="POST")
        question = self.origin.next()
        question.answer(self.told(b""))
        close(self.successResultOf(asking))
        self.assertEqual(question.field("via"), "1.1 osproxy-1")
        self.assertEqual(
            question.field("forwarded"),
            'for=10.0.0.1;host=a, for=192.0.2.1;host="proxy:8080";proto=http',
        )

    def test_way_back(self) -> None:
        """By which version of HTTP a response has come is known of it, be it passed on or kept."""
        for control, protocol in (("no-store", "1.0"), ("max-age=60", "1.0"), ("max-age=60", None)):
            with self.subTest(control=control, protocol=protocol):
                asking = self.ask()
                if protocol is not None:
                    told = self.told(b"", ("Cache-Control", control))
                    told.protocol = protocol
                    self.origin.next().answer(told)
                answer = self.successResultOf(asking)
                self.assertEqual(answer.protocol, "1.0")
                close(answer)

    def test_way_for_all(self) -> None:
        """What is asked for all is asked for under no client's name of us."""
        question = self.question(
            ("Host", "proxy:8080"), ("Forwarded", 'for=10.0.0.1;host=a;proto=https, host="b;c"')
        )
        self.assertEqual(question.field("forwarded"), "for=10.0.0.1, for=192.0.2.1")

    def test_location(self) -> None:
        """A redirect to the authority leads to us; one to elsewhere stays as it is."""
        for location, expected in (
            (f"{URL}/y?z", "/api/y?z"),
            (URL, "/api/"),
            ("/base/y", "/api/y"),
            ("/basement", "/basement"),
            ("//origin.example/base/y", "//origin.example/base/y"),
            ("https://other.example/base/y", "https://other.example/base/y"),
            ("y", "y"),
        ):
            with self.subTest(location=location):
                asking = self.ask()
                self.origin.next().answer(self.told(b"", ("Location", location), status=302))
                answer = self.successResultOf(asking)
                assert isinstance(answer.content, Relayed)
                self.assertEqual(first(answer.content.fields, "location"), expected)
                close(answer)


class PersonalTests(GenericCase):
    """What is said to one with a cookie is not written into what others get."""

    def test_not_taken_over(self) -> None:
        """Neither a 304 nor a HEAD brings a field that is not there, if it says nothing more."""
        tag, mine, cookie = ("ETag", '"1"'), ("X-User", "a"), ("Cookie", "a")
        self.kept(tag, ("Last-Modified", "Thu, 01 Jan 1970 01:00:00 GMT"))
        for method, told in (
            ("GET", self.told(b"", tag, mine, status=304)),
            ("HEAD", Told(200, (tag, mine, ("Content-Length", "3")), 3)),
        ):
            self.bench.advance(3600 * 24)
            asking = self.ask("/x", cookie, ("Cache-Control", "no-cache"), method=method)
            self.origin.next().answer(told)
            close(self.successResultOf(asking))
            finding = self.bench.store.find(Target("/api", "/x"))
            entry = self.successResultOf(Deferred.fromCoroutine(finding))
            assert entry is not None
            self.assertIsNone(first(entry.head.fields, "x-user"))
            self.assertGreater(entry.head.date, self.bench.place.clock.seconds() - 3600 * 25)


class HeadTests(GenericCase):
    """HEAD is answered from what is stored, or passed on."""

    def head(self, told: Told | None) -> str:
        """Ask by HEAD."""
        asking = self.ask(method="HEAD")
        if told is not None:
            question = self.origin.next()
            self.assertEqual(question.method, "HEAD")
            question.answer(told)
        answer = self.successResultOf(asking)
        content = answer.content
        assert isinstance(content, Representation | Relayed)
        self.assertIsNone(content.body)
        return answer.cache_status.serialise()

    def test_unknown(self) -> None:
        """What is not stored is asked for by HEAD, and still not stored."""
        self.assertIn("fwd=uri-miss", self.head(Told(200, (HOUR,), 3)))
        self.assertEqual(self.bench.store.entries, 0)

    def test_stored(self) -> None:
        """What is fresh is told of from the store."""
        self.kept()
        self.assertEqual(self.head(None), "osproxy; hit; ttl=3600")

    def test_renews(self) -> None:
        """The answer to HEAD renews what is stored if it is about the same."""
        tag = ("ETag", '"1"')
        self.kept(HOUR, tag)
        self.bench.advance(3600)
        told = Told(200, (("Date", self.now()), HOUR, tag, ("Content-Length", "3")), 3)
        self.assertIn("fwd=stale", self.head(told))
        self.assertEqual(self.get(None), "200 one | hit; ttl=3600")

    def test_invalidates(self) -> None:
        """The answer to HEAD takes away what it shows to be out of date."""
        self.kept(HOUR, ("ETag", '"1"'))
        self.bench.advance(3600)
        self.head(Told(200, (("Date", self.now()), HOUR, ("ETag", '"2"')), 3))
        self.assertEqual(self.bench.store.entries, 0)

    def test_unreachable(self) -> None:
        """What may be served stale is told of when the upstream cannot be asked, and else not."""
        for field, status in ((HOUR, 200), (("Cache-Control", "max-age=9, must-revalidate"), 502)):
            self.kept(field)
            self.bench.advance(3600)
            asking = self.ask(method="HEAD")
            self.origin.next().fail()
            content = self.successResultOf(asking).content
            told = content.head.status if isinstance(content, Representation) else content.status
            self.assertEqual(told, status)


class OvertakenTests(GenericCase):
    """What was asked for before something was changed, and comes after it."""

    def test_overtaken(self) -> None:
        """A fetch that was begun before a change does not bring back what was before it."""
        asking = self.ask()
        before = self.origin.next()
        self.bench.advance(1)
        self.send("POST", self.told(b""))
        before.answer(self.told(b"old", HOUR))
        self.assertEqual(octets(self.successResultOf(asking)), b"old")
        self.assertEqual(self.bench.store.entries, 0)

    def test_overtaken_by_a_reader(self) -> None:
        """Who asks after a change is not served from a fetch that was begun before it."""
        asking = self.ask()
        before = self.origin.next()
        self.send("POST", self.told(b""))
        later = self.ask()
        before.answer(self.told(b"old", HOUR))
        self.origin.next().answer(self.told(b"new", HOUR))
        found = [self.outcome(self.successResultOf(one))[:7] for one in (asking, later)]
        self.assertEqual(found, ["200 old", "200 new"])
