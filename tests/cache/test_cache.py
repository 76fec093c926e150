"""Tests of `osproxy.cache.cache`."""

from __future__ import annotations

import hashlib

from twisted.internet.defer import Deferred

from osproxy.model import BodyBroken, Notice, Target
from osproxy.upstream.turns import OURS
from tests.cache.doubles import DATE, MODIFIED, CacheTestCase, close, octets, read
from tests.cache.origin import Told, unreachable, whole
from tests.store.doubles import WhenTold, at_once, find

RPM = "/oss/x86_64/a-1-1.x86_64.rpm"
MUTABLE = "/oss/CHECKSUMS"
UNKNOWN = "/oss/odd.thing"
IMAGE = "/iso/x.iso"
MINUTE, HOUR = 60, 3600


class FreshnessTests(CacheTestCase):
    """What is stored is served, and asked about when it is time."""

    def test_hit(self) -> None:
        """What is fresh is served unasked, with its age and the seconds that are left."""
        self.store(RPM, b"package")
        self.bench.advance(100)
        answer = self.successResultOf(self.bench.get(RPM))
        self.assertEqual(octets(answer), b"package")
        self.assertEqual(answer.cache_status.serialise(), "osproxy; hit; ttl=800")
        self.assertEqual((answer.age, answer.source), (100, "authority.example"))
        self.assertEqual(self.origin.asked, [])

    def test_equal_to_what_is_stored(self) -> None:
        """
        What is equal to what is stored under another name is fetched, checked, and stored once; who
        has waited for its digest gets it, and is told that it was fetched.
        """
        body = b"<metadata/>" * 1000
        paths = [f"/{it}/repodata/{hashlib.sha256(body).hexdigest()}-primary.xml" for it in "ab"]
        statuses = []
        for path in paths:
            asked = self.bench.get(path)
            self.origin.next().answer(whole(body))
            answer = self.successResultOf(asked)
            self.assertEqual(octets(answer), body)
            statuses.append(answer.cache_status.serialise())
        self.assertIn("fwd=uri-miss; fwd-status=200; stored", statuses[0])
        self.assertEqual(statuses[0], statuses[1])
        found = [find(self.bench.store, Target("/", path)) for path in paths]
        self.assertEqual(len({entry.body.id for entry in found if entry is not None}), 1)
        self.assertEqual([self.served(path)[0] for path in paths], [body, body])
        self.assertEqual(self.origin.asked, [])

    def test_not_modified(self) -> None:
        """A 304 makes what is stored fresh again and changes nothing of it."""
        self.store(RPM, b"package", ("ETag", '"e1"'), MODIFIED)
        self.bench.advance(15 * MINUTE)
        asked = [self.bench.get(RPM) for _ in range(2)]
        question = self.origin.next()
        self.assertEqual(question.field("if-none-match"), '"e1"')
        self.assertEqual(question.field("if-modified-since"), MODIFIED[1])
        question.answer(Told(304, (("ETag", '"e2"'),), 0))
        for one in asked:
            answer = self.successResultOf(one)
            self.assertEqual((octets(answer), answer.age), (b"package", 0))
            self.assertEqual(answer.cache_status.fwd_status, 304)
        self.assertEqual(self.served(RPM), (b"package", "osproxy; hit; ttl=900"))

    def test_no_cache(self) -> None:
        """Who says no-cache has it checked, unless that was done ten seconds ago or less."""
        wants = ("Cache-Control", "no-cache")
        self.store(RPM, b"package", ("ETag", '"e1"'), MODIFIED)
        self.bench.advance(9)
        self.assertEqual(self.served(RPM, wants), (b"package", "osproxy; hit; ttl=891"))
        self.bench.advance(1)
        for field in (wants, ("Pragma", "no-cache")):
            asked = self.bench.get(RPM, field)
            self.origin.next().answer(Told(304, (), 0))
            answer = self.successResultOf(asked)
            self.assertEqual(octets(answer), b"package")
            self.assertIn("fwd=request; fwd-status=304", answer.cache_status.serialise())
            self.assertEqual(self.served(RPM, field), (b"package", "osproxy; hit; ttl=900"))
            self.bench.advance(10)

    def test_no_cache_upstream_down(self) -> None:
        """Who says no-cache gets what is fresh where it cannot be checked."""
        wants = ("Cache-Control", "no-cache")
        self.store(RPM, b"package")
        self.bench.advance(10)
        asked = self.bench.get(RPM, wants)
        self.origin.next().fail()
        self.assertEqual(octets(self.successResultOf(asked)), b"package")
        self.assertEqual(self.served(RPM, wants), (b"package", "osproxy; hit; ttl=890"))

    def test_other_directives(self) -> None:
        """What else a request says of caching means nothing for files of repositories."""
        self.store(RPM, b"package")
        self.bench.advance(100)
        for said in ("no-store", "max-age=0", "min-fresh=10000", "only-if-cached"):
            found = self.served(RPM, ("Cache-Control", said))
            self.assertEqual(found, (b"package", "osproxy; hit; ttl=800"))

    def test_no_cache_of_addressed(self) -> None:
        """What is named by its content cannot have changed, whatever a client says."""
        path = f"/oss/repodata/{hashlib.sha256(b'x').hexdigest()}-primary.xml.gz"
        asked = self.bench.get(path)
        self.origin.next().answer(whole(b"x"))
        octets(self.successResultOf(asked))
        self.bench.advance(HOUR)
        self.assertEqual(self.served(path, ("Cache-Control", "no-cache")), (b"x", "osproxy; hit"))

    def test_other_mirror(self) -> None:
        """A 200 with the same length and an old Last-Modified counts as a 304."""
        self.store(RPM, b"package", ("ETag", '"e1"'), MODIFIED)
        self.bench.advance(15 * MINUTE)
        asked = self.bench.get(RPM)
        told = self.origin.next().answer(Told(200, (("ETag", '"other"'), MODIFIED, DATE), 7))
        self.assertEqual(octets(self.successResultOf(asked)), b"package")
        self.assertTrue(told.abandoned)

    def test_changed(self) -> None:
        """A 200 that is another file replaces what is stored, once it is whole."""
        self.store(RPM, b"old", MODIFIED)
        self.bench.advance(15 * MINUTE)
        answer = self.begin(RPM, told := Told(200, (), 3))
        self.assertEqual(self.stored(RPM), b"old")
        self.assertEqual(answer.cache_status.fwd, "stale")
        told.send(b"new")
        told.finish()
        self.assertEqual(octets(answer), b"new")
        self.assertEqual(self.stored(RPM), b"new")

    def test_old_one_is_read_on(self) -> None:
        """Who reads what is replaced reads it to its end."""
        self.store(RPM, b"old")
        reading = self.successResultOf(self.bench.get(RPM))
        self.bench.advance(15 * MINUTE)
        answer = self.begin(RPM, whole(b"new"))
        close(answer)
        self.assertGreater(self.bench.place.ledger.awaiting, 0)
        self.assertEqual(octets(reading), b"old")
        self.assertEqual(self.bench.place.ledger.awaiting, 0)

    def test_stale_while_revalidate(self) -> None:
        """A mutable file is served at once and asked about once, however many ask."""
        self.store(MUTABLE, b"old", MODIFIED)
        self.bench.advance(HOUR)
        for _ in range(3):
            self.assertEqual(self.served(MUTABLE)[0], b"old")
        self.assertEqual(len(self.origin.asked), 1)
        told = self.origin.next().answer(Told(200, (), 3))
        self.assertEqual(self.served(MUTABLE)[0], b"old")
        told.send(b"new")
        told.finish()
        self.assertEqual(self.served(MUTABLE), (b"new", "osproxy; hit; ttl=900"))

    def test_refresh_breaks_off(self) -> None:
        """A refresh behind a client's back, which is ours, is not begun again for 5 s."""
        self.store(MUTABLE, b"old", MODIFIED)
        self.bench.advance(HOUR)
        self.served(MUTABLE)
        question = self.origin.next()
        self.assertIs(question.asker, OURS)
        told = question.answer(Told(200, (), 3))
        told.send(b"n")
        told.fail(unreachable())
        self.bench.advance(4.9)
        self.assertIn("stale", self.served(MUTABLE)[1])
        self.assertEqual(self.origin.asked, [])
        self.bench.advance(0.1)
        self.served(MUTABLE)
        self.origin.next().answer(Told(304, (), 0))

    def test_too_stale(self) -> None:
        """After a day a mutable file is asked about before it is served."""
        self.store(MUTABLE, b"old", MODIFIED)
        self.bench.advance(25 * HOUR)
        asked = self.bench.get(MUTABLE)
        self.assertNoResult(asked)
        self.origin.next().answer(Told(304, (), 0))
        self.assertEqual(octets(self.successResultOf(asked)), b"old")

    def test_stale_if_error(self) -> None:
        """What is stored is served when the upstream fails, and the upstream rests for 5 s."""
        self.store(RPM, b"package", MODIFIED)
        for status in (0, 500, 503, 403):
            self.bench.advance(10 * HOUR)
            asked = self.bench.get(RPM)
            if status:
                self.origin.next().answer(whole(b"oh", status=status))
            else:
                self.origin.next().fail()
            answer = self.successResultOf(asked)
            self.assertEqual(octets(answer), b"package")
            self.assertIn("stale", answer.cache_status.serialise())
            self.assertGreaterEqual(answer.age or 0, 10 * HOUR)
            self.bench.advance(4.9)
            self.assertEqual(self.served(RPM)[0], b"package")
            self.assertEqual(self.origin.asked, [])
            self.bench.advance(0.1)
            asked = self.bench.get(RPM)
            self.origin.next().answer(Told(304, (), 0))
            self.assertEqual(octets(self.successResultOf(asked)), b"package")

    def test_addressed(self) -> None:
        """A file named by its checksum is never asked about again."""
        name = "/oss/repodata/" + "0" * 64 + "-primary.xml.gz"
        asked = self.bench.get(name)
        self.origin.next().answer(whole(b"wrong"))
        self.assertEqual(self.status_of(self.successResultOf(asked)), 502)
        right = (
            "/oss/repodata/2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae-a.gz"
        )
        asked = self.bench.get(right)
        self.origin.next().answer(whole(b"foo"))
        octets(self.successResultOf(asked))
        self.bench.advance(10_000 * HOUR)
        self.assertEqual(self.served(right), (b"foo", "osproxy; hit"))

    def test_restart(self) -> None:
        """A restart keeps what is stored and its freshness."""
        self.store(RPM, b"package")
        self.bench.advance(100)
        self.bench.stop()
        self.bench.start()
        self.assertEqual(self.served(RPM), (b"package", "osproxy; hit; ttl=800"))

    def test_lost(self) -> None:
        """A file that is lost from the disk is fetched anew in the same request."""
        self.store(RPM, b"package")
        entry = self.entry_of(RPM)
        entry.blob.path.unlink()
        asked = self.bench.get(RPM)
        self.flushLoggedErrors()
        self.origin.next().answer(whole(b"package"))
        self.assertEqual(octets(self.successResultOf(asked)), b"package")
        self.assertEqual(self.stored(RPM), b"package")

    def test_evicted_while_revalidated(self) -> None:
        """What is evicted while the upstream says that it is right is fetched anew."""
        self.store(RPM, b"package", MODIFIED)
        self.bench.advance(15 * MINUTE)
        asked = self.bench.get(RPM)
        entry = self.entry_of(RPM)
        self.bench.store.doom(entry)
        # One who never saw what was stored joins in.
        other = self.bench.get(RPM)
        self.origin.next().answer(Told(304, (), 0))
        self.origin.next().answer(whole(b"package"))
        for one in (asked, other):
            self.assertEqual(octets(self.successResultOf(one)), b"package")
        self.assertEqual(self.origin.asked, [])

    def test_upstream_that_answers_at_once(self) -> None:
        """It does not matter how fast the upstream is."""
        self.origin.files[RPM] = b"package"
        self.assertEqual(self.served(RPM)[0], b"package")


class MissingTests(CacheTestCase):
    """An authority's 404 is remembered for a minute and believed the second time."""

    def test_remembered(self) -> None:
        """An absent file is not asked for again within 60 s."""
        self.assertEqual(self.status_of(self.begin(RPM, whole(b"no", status=404))), 404)
        self.bench.advance(59)
        answer = self.successResultOf(self.bench.get(RPM))
        self.assertEqual((self.status_of(answer), answer.cache_status.hit), (404, True))
        self.bench.advance(1)
        self.assertEqual(self.status_of(self.begin(RPM, whole(b"no", status=410))), 410)
        self.assertEqual(self.status_of(self.successResultOf(self.bench.get(RPM))), 410)

    def miss(self, path: str) -> bytes | int:
        """Ask for a stored file that the upstream says it has not; return what is served."""
        asked = self.bench.get(path)
        while self.origin.asked:
            self.origin.next().answer(whole(b"", status=404))
        answer = self.successResultOf(asked)
        if isinstance(answer.content, Notice):
            return answer.content.status
        return octets(answer)

    def test_mutable(self) -> None:
        """A mutable file goes when a second ask at least 60 s later finds none either."""
        self.store(MUTABLE, b"sums")
        self.bench.advance(25 * HOUR)
        self.assertEqual(self.miss(MUTABLE), b"sums")
        self.bench.advance(59)
        self.assertEqual(self.miss(MUTABLE), b"sums")
        self.assertEqual(len(self.origin.log), 2)
        self.bench.advance(1)
        self.assertEqual(self.miss(MUTABLE), 404)
        self.assertIsNone(self.stored(MUTABLE))

    def test_package(self) -> None:
        """A package is served for 48 h more, for clients with an older index."""
        self.store(RPM, b"package")
        self.bench.advance(HOUR)
        for _ in range(48):
            self.assertEqual(self.miss(RPM), b"package")
            self.bench.advance(HOUR)
        self.assertEqual(self.miss(RPM), 404)
        self.assertIsNone(self.stored(RPM))

    def test_once_a_minute(self) -> None:
        """In these 48 h the authority is asked at most once a minute."""
        self.store(RPM, b"package")
        self.bench.advance(HOUR)
        for seconds in (0, 59, 1, 1, 58, 1):
            self.bench.advance(seconds)
            self.assertEqual(self.miss(RPM), b"package")
        self.assertEqual(len(self.origin.log), 1 + 3)

    def test_nobody_waits(self) -> None:
        """A 404 is remembered though who asked has left."""
        asked = self.bench.get(RPM)
        asked.cancel()
        self.failureResultOf(asked)
        self.origin.next().answer(whole(b"", status=404))
        self.assertEqual(self.status_of(self.successResultOf(self.bench.get(RPM))), 404)

    def test_slip(self) -> None:
        """A 404 between two good answers is forgotten."""
        self.store(MUTABLE, b"sums", MODIFIED)
        self.bench.advance(25 * HOUR)
        self.assertEqual(self.miss(MUTABLE), b"sums")
        self.bench.advance(61)
        asked = self.bench.get(MUTABLE)
        self.origin.next().answer(Told(304, (), 0))
        octets(self.successResultOf(asked))
        self.bench.advance(25 * HOUR)
        self.assertEqual(self.miss(MUTABLE), b"sums")

    def test_many_ask(self) -> None:
        """Many who are told one 404 count as one ask."""
        self.store(MUTABLE, b"sums")
        self.bench.advance(25 * HOUR)
        self.assertEqual(self.miss(MUTABLE), b"sums")
        self.bench.advance(61)
        asked = [self.bench.get(MUTABLE) for _ in range(2)]
        self.origin.next().answer(whole(b"", status=404))
        for one in asked:
            self.assertEqual(self.status_of(self.successResultOf(one)), 404)
        self.bench.advance(61)
        self.store(MUTABLE, b"back")
        self.bench.advance(25 * HOUR)
        self.assertEqual(self.miss(MUTABLE), b"back")


class StartTests(CacheTestCase):
    """Requests may come before the store is open, and be there when it is closed."""

    def test_early(self) -> None:
        """Requests that come before the store is open wait for it."""
        self.store(RPM, b"package")
        self.bench.stop()
        thread = WhenTold()
        self.bench.place.in_database = thread
        self.bench.build()
        starting = Deferred.fromCoroutine(self.bench.cache.start())
        asked, impatient = self.bench.get(RPM), self.bench.get(RPM)
        self.assertFalse(self.bench.cache.ready)
        impatient.cancel()
        self.failureResultOf(impatient)
        self.assertNoResult(asked)
        thread.run_all()
        self.successResultOf(starting)
        self.assertTrue(self.bench.cache.ready)
        self.assertEqual(octets(self.successResultOf(asked)), b"package")
        self.bench.place.in_database = at_once

    def test_stop(self) -> None:
        """A stop cuts the readers of what is being fetched."""
        waiting = self.bench.get("/oss/b.rpm")
        answer = self.bench.get(RPM)
        other = self.origin.next()
        told = self.origin.next().answer(Told(200, (), 9))
        reading = read(self.successResultOf(answer))
        told.send(b"half")
        self.bench.stop()
        self.failureResultOf(reading, BodyBroken)
        self.assertTrue(told.abandoned)
        self.assertEqual(self.status_of(self.successResultOf(waiting)), 502)
        self.assertEqual(other.path, "/oss/b.rpm")
        self.assert_settled()
        self.bench.start()
        self.assertIsNone(self.stored(RPM))
