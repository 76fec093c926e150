"""Tests of `osproxy.cache.cache`: what is answered when it is not simply what is stored."""

from __future__ import annotations

import errno

from attrs import evolve

from osproxy.cache.experience import ABSENT_FOR
from osproxy.cache.unkept import AHEAD
from osproxy.http.fields import format_date
from osproxy.model import Notice, Relayed, Representation
from osproxy.repo.kinds import Kind
from tests.cache.doubles import MODIFIED, CacheTestCase, close, octets, passed, read
from tests.cache.origin import BACKEND, Told, unreachable, whole
from tests.store.doubles import Failing

RPM = "/oss/x86_64/a-1-1.x86_64.rpm"
MUTABLE = "/oss/CHECKSUMS"
UNKNOWN = "/oss/odd.thing"
IMAGE = "/iso/x.iso"
MINUTE, HOUR = 60, 3600


class ErrorTests(CacheTestCase):
    """What an upstream refuses is told as it is, and never stored."""

    def test_statuses(self) -> None:
        """4xx pass as they are; of 5xx 503 and 504 do, all else is a bad gateway."""
        table = {400: 400, 401: 401, 403: 403, 429: 429, 500: 502, 502: 502, 503: 503, 504: 504}
        for number, (theirs, ours) in enumerate({**table, 206: 502, 418: 418}.items()):
            path = f"/oss/{number}.rpm"
            self.assertEqual(self.status_of(self.begin(path, whole(b"?", status=theirs))), ours)
            self.assertIsNone(self.stored(path))
            # Nor is it remembered.
            self.store(path, b"package")

    def test_unreachable(self) -> None:
        """An upstream that cannot be reached is a bad gateway, in one line of text."""
        asked = self.bench.get(RPM)
        self.origin.next().fail()
        answer = self.successResultOf(asked)
        assert isinstance(answer.content, Notice)
        self.assertEqual(answer.content.status, 502)
        self.assertEqual(answer.content.body.count(b"\n"), 1)
        self.assertEqual(self.errors("refused"), 1.0)

    def errors(self, reason: str) -> float:
        """Return how many errors of the upstream's were counted."""
        registry = self.bench.place.metrics.registry
        found = registry.get_sample_value("osproxy_upstream_errors_total", {"reason": reason})
        return found or 0.0

    def test_our_own_fault(self) -> None:
        """What went wrong on our side is not counted against the upstream."""
        self.bench.stop()
        self.bench.place.in_thread = Failing({"_read": OSError(errno.EIO, "broken")})
        self.bench.start()
        asked = self.bench.get(f"/oss/repodata/{'0' * 64}-primary.xml.gz")
        self.origin.next().answer(whole(b"body"))
        self.assertEqual(self.status_of(self.successResultOf(asked)), 502)
        self.assertEqual(self.errors("disk"), 0.0)

    def test_folder(self) -> None:
        """A redirect that only adds a slash is the client's to follow, below our prefix."""
        told = whole(b"", status=301)
        told.redirect = "/x/oss/"
        answer = self.begin("/oss/folder.rpm", told)
        assert isinstance(answer.content, Notice)
        self.assertEqual(answer.content.location, "./folder.rpm/")

    def test_refused(self) -> None:
        """What only scanners ask for is not fetched."""
        answer = self.successResultOf(self.bench.get("/wp-admin/x"))
        self.assertEqual(self.status_of(answer), 404)
        self.assertEqual(self.origin.log, [])


class HeadTests(CacheTestCase):
    """HEAD says what GET would, without the body."""

    def test_stored(self) -> None:
        """What is stored answers for itself."""
        self.store(RPM, b"package")
        answer = self.successResultOf(self.bench.get(RPM, head=True))
        assert isinstance(answer.content, Representation)
        self.assertEqual((answer.content.length, answer.content.body), (7, None))

    def test_unknown(self) -> None:
        """What is not stored is asked for by HEAD, and nothing is stored."""
        asked = self.bench.get(RPM, head=True)
        question = self.origin.next()
        self.assertTrue(question.head)
        told = question.answer(Told(200, (("Content-Length", "7"),), 7))
        answer = self.successResultOf(asked)
        assert isinstance(answer.content, Relayed)
        self.assertIsNone(answer.content.body)
        self.assertIn(("Content-Length", "7"), answer.content.fields)
        self.assertTrue(told.abandoned)
        self.assertIsNone(self.stored(RPM))

    def test_growing(self) -> None:
        """What is being fetched is known."""
        answer = self.begin(RPM, Told(200, (), 7))
        looked = self.successResultOf(self.bench.get(RPM, head=True))
        assert isinstance(looked.content, Representation)
        self.assertEqual((looked.content.length, looked.content.body), (7, None))
        close(answer)


class GuardTests(CacheTestCase):
    """With the wonder guard a file is kept when it is asked for a second time."""

    def ask(self, path: str, *, head: bool = False) -> None:
        """Ask for a file of a backend whose packages are guarded, and take all that comes."""
        guarded = evolve(BACKEND, guarded=frozenset({Kind.PACKAGE}))
        asked = self.bench.get(path, head=head, backend=guarded)
        told = self.origin.next().answer(Told(200, (), 7))
        answer = self.successResultOf(asked)
        if head:
            close(answer)
            return
        passing = passed(answer) if isinstance(answer.content, Relayed) else None
        told.send(b"package")
        told.finish()
        content = octets(answer) if passing is None else self.successResultOf(passing)
        self.assertEqual(content, b"package")

    def test_second(self) -> None:
        """The first request is handed on, the second kept; a HEAD is none."""
        for kept in (None, b"package"):
            self.ask(RPM, head=True) if kept is None else None
            self.ask(RPM)
            self.assertEqual(self.stored(RPM), kept)
            self.bench.advance(3600)

    def test_other_kinds(self) -> None:
        """What is of another kind is kept at once."""
        self.ask(MUTABLE)
        self.assertEqual(self.stored(MUTABLE), b"package")

    def test_window(self) -> None:
        """What is asked for again too late is as if it had never been."""
        self.ask(RPM)
        self.bench.advance(3601)
        self.ask(RPM)
        self.assertIsNone(self.stored(RPM))

    def test_restart(self) -> None:
        """A restart forgets nothing."""
        self.ask(RPM)
        self.bench.stop()
        self.bench.start()
        self.ask(RPM)
        self.assertEqual(self.stored(RPM), b"package")

    def test_pinned(self) -> None:
        """What is pinned is kept at once, and so is what is here in part."""
        self.bench.stop()
        self.bench.place.pins = (RPM,)
        self.bench.start()
        self.ask(RPM)
        self.assertEqual(self.stored(RPM), b"package")


class AheadTests(CacheTestCase):
    """A range far ahead of a fill is passed through."""

    cache_size = 256 << 20

    def test_far(self) -> None:
        """More than 16 MiB ahead it has a request of its own, with our entity tag."""
        first = self.begin(RPM, Told(200, (MODIFIED,), 2 * AHEAD))
        wanted = ("Range", f"bytes={AHEAD + 1}-{AHEAD + 4}")
        asked = self.bench.get(RPM, wanted, client="192.0.2.7")
        question = self.origin.next()
        self.assertEqual(question.field("range"), wanted[1])
        self.assertEqual(question.asker.client, "192.0.2.7")
        part = ("Content-Range", f"bytes {AHEAD + 1}-{AHEAD + 4}/{2 * AHEAD}")
        told = question.answer(Told(206, (MODIFIED, part, ("ETag", '"theirs"')), 4))
        answer = self.successResultOf(asked)
        passing = passed(answer)
        told.send(b"part")
        told.finish()
        self.assertEqual(self.successResultOf(passing), b"part")
        assert isinstance(answer.content, Relayed)
        assert isinstance(first.content, Representation)
        tags = [value for name, value in answer.content.fields if name.lower() == "etag"]
        self.assertEqual(tags, [first.content.head.etag])
        close(first)

    def test_end(self) -> None:
        """The last octets of a large file are far ahead, too; a range beyond them is nowhere."""
        first = self.begin(RPM, Told(200, (MODIFIED,), 2 * AHEAD))
        asked = self.bench.get(RPM, ("Range", "bytes=-4"))
        question = self.origin.next()
        self.assertEqual(question.field("range"), "bytes=-4")
        part = ("Content-Range", f"bytes {2 * AHEAD - 4}-{2 * AHEAD - 1}/{2 * AHEAD}")
        question.answer(whole(b"last", MODIFIED, part, status=206))
        self.assertEqual(self.successResultOf(passed(self.successResultOf(asked))), b"last")
        beyond = self.successResultOf(self.bench.get(RPM, ("Range", f"bytes={3 * AHEAD}-")))
        self.assertIsInstance(beyond.content, Representation)
        close(beyond)
        close(first)

    def test_near(self) -> None:
        """Up to 16 MiB ahead it waits for the fill."""
        first = self.begin(RPM, told := Told(200, (MODIFIED,), 2 * AHEAD))
        near = self.successResultOf(self.bench.get(RPM, ("Range", f"bytes={AHEAD}-")))
        reading = read(near, AHEAD, AHEAD + 1)
        told.send(bytes(AHEAD) + b"!")
        self.assertEqual(self.successResultOf(reading), b"!")
        close(first)

    def test_many(self) -> None:
        """Many ranges wait for the fill wherever they lie, and so does what is no range."""
        first = self.begin(RPM, told := Told(200, (MODIFIED,), 2 * AHEAD))
        far, last = 2 * AHEAD - 9, 2 * AHEAD - 1
        for fields in (
            (("Range", f"bytes={far}-{far},{last}-{last}"),),
            (("Range", f"bytes=0-0,{last}-{last}"),),
            (("Range", f"bytes={last}-"), ("Range", f"bytes={last}-")),
            (("Range", f"bytes={last}-"), ("If-Range", '"other"')),
        ):
            answer = self.successResultOf(self.bench.get(RPM, *fields))
            self.assertIsInstance(answer.content, Representation)
            close(answer)
        self.assertEqual(self.origin.asked, [])
        self.assertFalse(told.abandoned)
        close(first)

    def test_another_version(self) -> None:
        """A range that cannot be had, or is of another version, is waited for like the others."""
        first = self.begin(RPM, filling := Told(200, (MODIFIED,), 2 * AHEAD))
        last = 2 * AHEAD - 1
        readings = []
        for status, total in ((206, 2 * AHEAD + 1), (404, 0), (416, 0), (500, 0)):
            asked = self.bench.get(RPM, ("Range", f"bytes={last}-"))
            part = ("Content-Range", f"bytes {last}-{last}/{total}")
            told = self.origin.next().answer(Told(status, (MODIFIED, part), 1))
            readings.append(read(self.successResultOf(asked), last))
            self.assertTrue(told.abandoned)
        filling.send(bytes(last) + b"!")
        filling.finish()
        close(first)
        self.assertEqual([self.successResultOf(reading) for reading in readings], [b"!"] * 4)

    def test_last_reader(self) -> None:
        """While a range that is far ahead is asked for, it counts as read by who asks."""
        path = "/oss/large.rpm"
        first = self.begin(path, filling := Told(200, (MODIFIED,), 5 * AHEAD))
        asked = self.bench.get(path, ("Range", f"bytes={5 * AHEAD - 1}-"))
        close(first)
        self.assertFalse(filling.abandoned)
        filling.fail(unreachable())
        self.origin.next().answer(whole(b"", status=500))
        self.assertEqual(self.status_of(self.successResultOf(asked)), 502)


class UnknownTests(CacheTestCase):
    """A name without a rule is kept as its response says."""

    def test_max_age(self) -> None:
        """It stays fresh for as long as it says."""
        self.store(UNKNOWN, b"odd", ("Cache-Control", "max-age=100"), MODIFIED)
        self.bench.advance(99)
        self.assertEqual(self.served(UNKNOWN), (b"odd", "osproxy; hit; ttl=1"))
        self.bench.advance(1)
        asked = self.bench.get(UNKNOWN)
        self.origin.next().answer(Told(304, (), 0))
        self.assertEqual(octets(self.successResultOf(asked)), b"odd")

    def test_age(self) -> None:
        """What a cache before us has had for a while is fresh for so much less."""
        self.store(UNKNOWN, b"odd", ("Cache-Control", "max-age=100"), ("Age", "40"), MODIFIED)
        self.bench.advance(59)
        self.assertEqual(self.served(UNKNOWN), (b"odd", "osproxy; hit; ttl=1"))
        self.bench.advance(1)
        asked = self.bench.get(UNKNOWN)
        told = (("Cache-Control", "max-age=50"), ("Age", "10"))
        self.origin.next().answer(Told(304, told, 0))
        octets(self.successResultOf(asked))
        self.assertEqual(self.served(UNKNOWN), (b"odd", "osproxy; hit; ttl=40"))

    def test_apparent_age(self) -> None:
        """What says that it was made a while ago is so old (RFC 9111 section 4.2.3)."""
        began = self.bench.place.clock.seconds()
        made = ("Date", format_date(began - 40))
        for number, said in enumerate(
            (("Cache-Control", "max-age=100"), ("Expires", format_date(began + 60)))
        ):
            path = f"{UNKNOWN}{number}"
            self.store(path, b"odd", made, said)
            answer = self.successResultOf(self.bench.get(path))
            self.assertEqual((answer.age, answer.cache_status.ttl), (40, 60))
            close(answer)

    def test_clock_of_the_origin(self) -> None:
        """Expires counts from its Date, by whatever clock (RFC 9111 section 4.2.1)."""
        ahead = self.bench.place.clock.seconds() + 3600
        said = ("Date", format_date(ahead)), ("Expires", format_date(ahead + 100))
        self.store(UNKNOWN, b"odd", *said)
        self.bench.advance(99)
        self.assertEqual(self.served(UNKNOWN), (b"odd", "osproxy; hit; ttl=1"))
        self.bench.advance(1)
        asked = self.bench.get(UNKNOWN)
        said = ("Date", format_date(ahead + 100)), ("Expires", format_date(ahead + 150))
        self.origin.next().answer(Told(304, said, 0))
        octets(self.successResultOf(asked))
        self.assertEqual(self.served(UNKNOWN), (b"odd", "osproxy; hit; ttl=50"))

    def test_stale_if_error(self) -> None:
        """When the upstream fails it is served for as long as it says (RFC 5861 section 4)."""
        self.store(UNKNOWN, b"odd", ("Cache-Control", "max-age=9, stale-if-error=50"), MODIFIED)
        self.bench.advance(9 + 50)
        asked = self.bench.get(UNKNOWN)
        self.origin.next().fail()
        self.assertEqual(octets(self.successResultOf(asked)), b"odd")
        self.bench.advance(1)
        asked = self.bench.get(UNKNOWN)
        self.origin.next().fail()
        self.assertEqual(self.status_of(self.successResultOf(asked)), 502)

    def test_named_fields(self) -> None:
        """Fields that are not to be stored are left out (RFC 9111 sections 5.2.2.4 and 5.2.2.7)."""
        said = ("Cache-Control", 'max-age=100, private="X-One", no-cache=x-two')
        self.store(
            UNKNOWN, b"odd", said, ("X-One", "1"), ("X-Two", "2"), ("X-Three", "3"), MODIFIED
        )
        self.assertEqual(self.names(UNKNOWN), {"Cache-Control", "X-Three", "Last-Modified"})
        self.bench.advance(100)
        asked = self.bench.get(UNKNOWN)
        also = ("Cache-Control", 'max-age=100, private="X-Three"')
        self.origin.next().answer(Told(304, (also,), 0))
        close(self.successResultOf(asked))
        self.assertEqual(self.names(UNKNOWN), {"Cache-Control", "Last-Modified"})

    def names(self, path: str) -> set[str]:
        """Name the fields of what is stored."""
        answer = self.successResultOf(self.bench.get(path))
        close(answer)
        assert isinstance(answer.content, Representation)
        return {name for name, _ in answer.content.head.fields}

    def test_taken_back(self) -> None:
        """What is confirmed may be said not to be stored any more; then it is asked for anew."""
        date = self.bench.place.clock.seconds() - HOUR
        fields = MODIFIED, ("Date", format_date(date + 2 * HOUR))
        no_store = ("Cache-Control", "no-store")
        for status, answers in ((304, 2), (200, 2)):
            path = f"{UNKNOWN}-{status}"
            self.store(path, b"odd", ("Cache-Control", "max-age=9"), *fields)
            self.bench.advance(10)
            asked = self.bench.get(path)
            for number in range(answers):
                later = number > 0
                told = whole(b"odd" if status == 200 or later else b"", *fields, no_store)
                told.status = 200 if later else status
                self.origin.next().answer(told)
            self.assertEqual(self.successResultOf(passed(self.successResultOf(asked))), b"odd")
            self.assertIsNone(self.stored(path))

    def test_must_revalidate(self) -> None:
        """What must be revalidated is not served when the upstream fails."""
        self.store(UNKNOWN, b"odd", ("Cache-Control", "max-age=9, must-revalidate"), MODIFIED)
        self.bench.advance(10)
        for _ in range(2):
            asked = self.bench.get(UNKNOWN)
            self.origin.next().fail()
            answer = self.successResultOf(asked)
            self.assertEqual((self.status_of(answer), answer.cache_status.fwd), (502, "stale"))
        asked = self.bench.get(UNKNOWN)
        self.origin.next().answer(Told(304, (("Cache-Control", "max-age=9"),), 0))
        octets(self.successResultOf(asked))
        self.bench.advance(10)
        asked = self.bench.get(UNKNOWN)
        self.origin.next().fail()
        self.assertEqual(octets(self.successResultOf(asked)), b"odd")

    def test_nothing_said(self) -> None:
        """Without a word it is fresh for a tenth of the time that it has not changed for."""
        self.store(UNKNOWN, b"odd", MODIFIED)
        self.bench.advance(3239)
        self.assertEqual(self.served(UNKNOWN), (b"odd", "osproxy; hit; ttl=1"))
        self.bench.advance(1)
        asked = self.bench.get(UNKNOWN)
        self.origin.next().answer(Told(304, (), 0))
        self.assertEqual(octets(self.successResultOf(asked)), b"odd")

    def test_refused(self) -> None:
        """A refusal is said again for as long as it says, to GET and HEAD, and asked for then."""
        control = ("Cache-Control", "max-age=100")
        for status in (403, 404):
            path = f"{UNKNOWN}-{status}"
            asked = self.bench.get(path)
            self.origin.next().answer(Told(status, (control,), 0))
            first = self.successResultOf(asked)
            self.bench.advance(99)
            for other in (False, True):
                again = self.successResultOf(self.bench.get(path, head=other))
                self.assertEqual(again.content, first.content)
                self.assertEqual(again.cache_status.serialise(), "osproxy; hit")
            self.bench.advance(1)
            self.store(path, b"odd")

    def test_refused_to_one(self) -> None:
        """What refuses HEAD, or a client's own conditions and ranges, says nothing to others."""
        guarded = evolve(BACKEND, guarded=frozenset({Kind.UNKNOWN}))
        control = ("Cache-Control", "max-age=86400")
        ways: tuple[tuple[bool, tuple[tuple[str, str], ...]], ...] = (
            (True, ()),
            (True, (("If-Match", '"x"'),)),
            (False, (("Range", "bytes=" + "0-0," * 1000),)),
            (False, (("If-None-Match", "x" * 9000),)),
        )
        for number, (head, fields) in enumerate(ways):
            for status in (400, 403, 405):
                path = f"{UNKNOWN}-{number}-{status}"
                asked = self.bench.get(path, *fields, head=head, backend=guarded)
                self.origin.next().answer(Told(status, (control,), 0))
                self.assertEqual(self.status_of(self.successResultOf(asked)), status)
                self.store(path, b"odd")

    def test_missing_to_one(self) -> None:
        """That there is none is believed of HEAD, too, but no longer than where nothing is said."""
        asked = self.bench.get(UNKNOWN, head=True)
        self.origin.next().answer(Told(404, (("Cache-Control", "max-age=100"),), 0))
        self.successResultOf(asked)
        self.bench.advance(ABSENT_FOR - 1)
        again = self.successResultOf(self.bench.get(UNKNOWN))
        self.assertEqual(again.cache_status.serialise(), "osproxy; hit")
        self.bench.advance(1)
        self.store(UNKNOWN, b"odd")

    def test_private(self) -> None:
        """What is somebody's own passes through on the request that is open."""
        for number, said in enumerate(
            (("Cache-Control", "private"), ("Cache-Control", "no-store"), ("Vary", "Accept"))
        ):
            path = f"{UNKNOWN}{number}"
            answer = self.begin(path, told := Told(200, (said,), 4))
            passing = passed(answer)
            told.send(b"mine")
            told.finish()
            self.assertEqual(self.successResultOf(passing), b"mine")
            self.assertIsNone(self.stored(path))
        self.store(UNKNOWN, b"odd", ("Vary", "Accept-Encoding"))


class ReloadTests(CacheTestCase):
    """A reload may make another kind of backend of one, while it is asked."""

    def test_from_generic(self) -> None:
        """What a client was told by a generic backend is not for those who ask a repository."""
        generic = evolve(BACKEND, generic=True)
        one = self.bench.get(UNKNOWN, ("Accept-Language", "de"), backend=generic)
        other = self.bench.get(UNKNOWN)
        said = ("Vary", "Accept-Language"), ("Cache-Control", "max-age=100")
        self.origin.next().answer(whole(b"mine", *said))
        self.assertEqual(octets(self.successResultOf(one)), b"mine")
        self.origin.next().answer(whole(b"odd"))
        self.assertEqual(self.successResultOf(passed(self.successResultOf(other))), b"odd")

    def test_to_generic(self) -> None:
        """A generic backend asks with a client's own fields, whatever is fetched by its name."""
        generic = evolve(BACKEND, generic=True)
        one = self.bench.get(UNKNOWN)
        other = self.bench.get(UNKNOWN, ("Authorization", "secret"), backend=generic)
        self.origin.next().answer(whole(b"odd"))
        question = self.origin.next()
        self.assertEqual(question.field("authorization"), "secret")
        question.answer(whole(b"mine"))
        self.assertEqual(octets(self.successResultOf(one)), b"odd")
        self.assertEqual(self.successResultOf(passed(self.successResultOf(other))), b"mine")


class UnkeptTests(CacheTestCase):
    """Some things are not kept."""

    def test_image(self) -> None:
        """Images pass through, the client's range and conditions with them."""
        asked = self.bench.get(IMAGE, ("Range", "bytes=0-1"), ("If-Range", '"x"'), ("X-Y", "z"))
        question = self.origin.next()
        self.assertEqual(question.fields, (("Range", "bytes=0-1"), ("If-Range", '"x"')))
        told = question.answer(Told(206, (("Content-Range", "bytes 0-1/9"),), 2))
        answer = self.successResultOf(asked)
        passing = passed(answer)
        told.send(b"is")
        told.finish()
        self.assertEqual(self.successResultOf(passing), b"is")
        self.assertEqual((self.status_of(answer), answer.cache_status.fwd), (206, "bypass"))
        self.assertIsNone(self.stored(IMAGE))

    def test_large_objects(self) -> None:
        """With large objects on, images are kept like the rest."""
        asked = self.bench.get(IMAGE, backend=evolve(BACKEND, large_objects=True))
        self.origin.next().answer(whole(b"image"))
        self.assertEqual(octets(self.successResultOf(asked)), b"image")
        self.assertEqual(self.stored(IMAGE), b"image")

    def test_mirror_question(self) -> None:
        """Who has a file is asked of the authority each time, with the query."""
        for path, query in ((RPM, "metalink"), (RPM, "mirrorlist"), (f"{RPM}.meta4", "")):
            for _ in range(2):
                asked = self.bench.get(path, query=query)
                question = self.origin.next()
                self.assertEqual(question.path, f"{path}?{query}" if query else path)
                question.answer(whole(b"<metalink/>"))
                passing = passed(self.successResultOf(asked))
                self.assertEqual(self.successResultOf(passing), b"<metalink/>")
            self.assertIsNone(self.stored(path))

    def test_query(self) -> None:
        """Any other query is no part of a file's name."""
        self.store(RPM, b"package")
        answer = self.successResultOf(self.bench.get(RPM, query="x=1"))
        self.assertEqual(octets(answer), b"package")

    def test_answered_here(self) -> None:
        """Where in the world we are, and who else has a folder, we answer ourselves."""
        self.assertEqual(self.status_of(self.successResultOf(self.bench.get("/geoip"))), 204)
        answer = self.successResultOf(self.bench.get("/oss/", query="mirrorlist"))
        assert isinstance(answer.content, Notice)
        self.assertEqual(answer.content.body, b"[]\n")
        self.assertEqual(self.origin.log, [])
