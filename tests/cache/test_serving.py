"""Tests of `osproxy.cache.serving`."""

from __future__ import annotations

import errno

from attrs import evolve
from twisted.internet.defer import Deferred

from osproxy.cache.fillstate import FillState
from osproxy.cache.follow import FillReader
from osproxy.cache.serving import Lost, from_fill, from_memory, from_store
from osproxy.http.cachestatus import CacheStatus
from osproxy.http.fields import only
from osproxy.model import Asked, Representation
from osproxy.repo.kinds import Kind
from osproxy.upstream.origin import Overloaded
from tests.cache.doubles import CacheTestCase, close, octets
from tests.cache.origin import Told, whole
from tests.store.doubles import Failing, Slow, at_once, find

PATH = "/a.rpm"


class FromStoreTests(CacheTestCase):
    """What is stored is handed out with all that is known of it."""

    def test_whole(self) -> None:
        """The answer has the file, its age and where it came from; HEAD has no body."""
        self.store(PATH, b"package")
        entry = self.entry_of(PATH)
        now = entry.head.date + 7.5
        for method in ("GET", "HEAD"):
            serving = from_store(self.bench.store, entry, Asked(method), CacheStatus(hit=True), now)
            answer = self.successResultOf(Deferred.fromCoroutine(serving))
            assert isinstance(answer.content, Representation)
            self.assertEqual((answer.age, answer.kind), (7, Kind.PACKAGE))
            self.assertEqual(answer.source, "authority.example")
            self.assertEqual(answer.content.length, 7)
            if method == "GET":
                self.assertEqual(octets(answer), b"package")
            else:
                self.assertIsNone(answer.content.body)

    def test_lost(self) -> None:
        """A file that is gone from the disk is lost, and not in the store any more."""
        self.store(PATH, b"package")
        entry = self.entry_of(PATH)
        entry.blob.path.unlink()
        serving = from_store(self.bench.store, entry, Asked(), CacheStatus(hit=True), 0.0)
        self.failureResultOf(Deferred.fromCoroutine(serving), Lost)
        self.assertIsNone(find(self.bench.store, entry.target))

    def test_too_many_open_files(self) -> None:
        """A file that cannot be opened for now is not lost: it is there a moment later."""
        self.store(PATH, b"package")
        entry = self.entry_of(PATH)
        for number in (errno.EMFILE, errno.ENFILE):
            self.bench.place.in_thread = Failing({"opened": OSError(number, "too many")})
            serving = from_store(self.bench.store, entry, Asked(), CacheStatus(hit=True), 0.0)
            self.failureResultOf(Deferred.fromCoroutine(serving), Overloaded)
        self.bench.place.in_thread = at_once
        asking = self.bench.get(PATH)
        self.assertEqual(octets(self.successResultOf(asking)), b"package")


class FromMemoryTests(CacheTestCase):
    """What is stored is handed out here and now, or not at all."""

    stay_open = 1

    def test_whole(self) -> None:
        """The answer has the body itself; who has to wait for it gets none."""
        self.store(PATH, b"package")
        entry = self.entry_of(PATH)
        answer = from_memory(self.bench.store, entry, CacheStatus(hit=True), entry.head.date + 7.5)
        assert answer is not None
        self.assertEqual((answer.age, answer.kind, octets(answer)), (7, Kind.PACKAGE, b"package"))
        self.store("/b.rpm", b"other")
        self.assertIsNone(from_memory(self.bench.store, entry, CacheStatus(hit=True), 0.0))


class FromFillTests(CacheTestCase):
    """A fill is answered from while it runs."""

    def test_growing(self) -> None:
        """The answer has the status of the file, and a body that follows the fill."""
        asking = self.bench.get(PATH)
        self.origin.next().answer(told := Told(200, (), 4))
        close(self.successResultOf(asking))
        fill = self.fill_of(PATH)
        assert fill.head is not None
        self.assertIs(fill.state, FillState.STREAMING)
        fill.head = evolve(fill.head, status=404)
        answer = from_fill(fill, FillReader(fill), Asked(), CacheStatus(fwd="stale"), 36_001.0)
        self.assertEqual((answer.age, answer.cache_status.fwd_status), (1, 404))
        self.assertTrue(answer.cache_status.stored)
        told.send(b"0123")
        self.assertEqual(octets(answer), b"0123")
        told.finish()

    def test_caches(self) -> None:
        """What a cache nearer the origin said of it goes on, and is not kept."""
        said = ("Cache-Status", "near; hit")
        asking = self.bench.get(PATH)
        self.origin.next().answer(whole(b"0123", said))
        answer = self.successResultOf(asking)
        assert isinstance(answer.content, Representation)
        self.assertIn(said, answer.content.head.fields)
        close(answer)
        again = self.successResultOf(self.bench.get(PATH))
        assert isinstance(again.content, Representation)
        self.assertNotIn(said, again.content.head.fields)
        close(again)

    def test_fields_of_asker(self) -> None:
        """What is meant for whoever began it is said to nobody else."""
        self.bench.place.in_thread = disk = Slow("publish")
        close(self.begin(PATH, whole(b"0123")))
        fill = self.fill_of(PATH)
        fill.fields_of_asker = own = (("Set-Cookie", "a=b"),)
        for status, said in (
            (CacheStatus(fwd="uri-miss"), own),
            (CacheStatus(fwd="uri-miss", collapsed=True), ()),
            (CacheStatus(hit=True), ()),
        ):
            answer = from_fill(fill, FillReader(fill), Asked(), status, 36_000.0)
            assert isinstance(answer.content, Representation)
            self.assertEqual(only(answer.content.head.fields, "set-cookie"), said)
            close(answer)
        disk.run_all()
        self.bench.place.in_thread = at_once

    def test_arrived(self) -> None:
        """What has come is a hit, of which nothing is said that is of another's request."""
        self.bench.place.in_thread = disk = Slow("publish")
        close(self.begin(PATH, whole(b"0123", ("Cache-Status", "near; hit"))))
        fill = self.fill_of(PATH)
        hit = CacheStatus(hit=True)
        answer = from_fill(fill, FillReader(fill), Asked(), hit, 36_000.0)
        assert isinstance(answer.content, Representation)
        self.assertEqual((answer.cache_status, answer.content.head), (hit, fill.head))
        close(answer)
        disk.run_all()
        self.bench.place.in_thread = at_once

    def test_head(self) -> None:
        """HEAD gives its place among the readers up."""
        asking = self.bench.get(PATH)
        self.origin.next().answer(told := Told(200, (), 4))
        got = self.successResultOf(asking)
        fill = self.fill_of(PATH)
        answer = from_fill(fill, FillReader(fill), Asked("HEAD"), CacheStatus(fwd="stale"), 0.0)
        assert isinstance(answer.content, Representation)
        self.assertIsNone(answer.content.body)
        self.assertEqual(fill.readers, 1)
        close(got)
        told.send(b"0123")
        told.finish()
