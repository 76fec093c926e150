"""Tests of `osproxy.cache.unkept`."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from osproxy.cache.experience import Experience
from osproxy.cache.source import FileSource
from osproxy.cache.unkept import Unkept
from osproxy.model import Answer, Asked, BodyBroken, Relayed, Target
from osproxy.repo.digests import Digest
from osproxy.repo.kinds import Kind
from osproxy.repo.policies import policy_of
from tests.cache.doubles import CacheTestCase, passed
from tests.cache.origin import BACKEND, Told, whole

TARGET = Target("/", "/a.iso")
IMAGE, ADDRESSED = (
    policy_of(kind, TARGET.path, freshness={}) for kind in (Kind.IMAGE, Kind.ADDRESSED)
)


class UnkeptTests(CacheTestCase):
    """What is not kept is passed on, and what is told of it is our own."""

    def setUp(self) -> None:
        """Have passed nothing on yet."""
        super().setUp()
        self.experience = Experience(self.bench.store)
        self.unkept = Unkept(self.experience, self.bench.place.clock)
        self.source = FileSource(self.bench.upstream, BACKEND.url_of(TARGET.path), https_only=False)

    def ask(self, asked: Asked) -> Deferred[Answer]:
        """Ask for an image."""
        return Deferred.fromCoroutine(self.unkept.answer(TARGET, self.source, asked, IMAGE))

    def answer(self, told: Told, asked: Asked | None = None) -> Answer:
        """Ask for an image, and let the upstream answer."""
        asking = self.ask(asked or Asked())
        self.origin.next().answer(told)
        return self.successResultOf(asking)

    def test_passed(self) -> None:
        """An answer goes on as it came, and says that it bypassed the cache."""
        answer = self.answer(whole(b"image", ("Content-Type", "application/x-iso")))
        assert isinstance(answer.content, Relayed)
        self.assertIn(("Content-Type", "application/x-iso"), answer.content.fields)
        self.assertEqual((answer.source, answer.age), ("authority.example", None))
        self.assertEqual(
            answer.cache_status.serialise(),
            'osproxy; fwd=bypass; fwd-status=200; detail="authority.example"',
        )
        self.assertEqual(self.successResultOf(passed(answer)), b"image")

    def test_each_for_itself(self) -> None:
        """Each client has a request of its own."""
        asking = [self.ask(Asked(client=f"192.0.2.{number}")) for number in range(3)]
        clients = [question.asker.client for question in self.origin.asked]
        self.assertEqual(clients, ["192.0.2.0", "192.0.2.1", "192.0.2.2"])
        for question in list(self.origin.asked):
            question.answer(whole(b"image"))
        for one in asking:
            self.assertEqual(self.successResultOf(passed(self.successResultOf(one))), b"image")
        self.assertEqual(len(self.origin.log), 3)

    def test_whole_range(self) -> None:
        """A range that is all of a file with a digest is verified; a part of it cannot be."""
        digest = Digest("sha256", "0" * 64)
        for part, broken in (("0-3/4", True), ("0-3/5", False), ("1-4/5", False), ("0-3/*", False)):
            told = whole(b"body", ("Content-Range", f"bytes {part}"), status=206)
            asking = self.unkept.answer(TARGET, self.source, Asked(), ADDRESSED, None, digest)
            answering = Deferred.fromCoroutine(asking)
            self.origin.next().answer(told)
            passing = passed(self.successResultOf(answering))
            if broken:
                self.failureResultOf(passing, BodyBroken)
            else:
                self.assertEqual(self.successResultOf(passing), b"body")

    def test_parts(self) -> None:
        """A 206 of many parts goes on as it came; it has no digest to compare with."""
        said = ("Content-Type", 'multipart/byteranges; boundary="THIS SEPARATES"')
        asked = Asked(fields=(("Range", "bytes=0-0,2-2"), ("If-Range", '"theirs"')))
        asking = self.unkept.answer(
            TARGET, self.source, asked, IMAGE, None, Digest("sha256", "0" * 64)
        )
        answering = Deferred.fromCoroutine(asking)
        question = self.origin.next()
        self.assertEqual(question.fields, asked.fields)
        question.answer(whole(b"parts", said, status=206))
        answer = self.successResultOf(answering)
        assert isinstance(answer.content, Relayed)
        self.assertEqual(answer.content.status, 206)
        self.assertEqual(answer.content.fields, (said, ("Content-Length", "5")))
        self.assertEqual(self.successResultOf(passed(answer)), b"parts")

    def test_unsatisfied(self) -> None:
        """That a range cannot be satisfied is the upstream's to say."""
        told = Told(416, (("Content-Range", "bytes */9"),), 0)
        answer = self.answer(told, Asked(fields=(("Range", "bytes=10-"),)))
        assert isinstance(answer.content, Relayed)
        self.assertEqual(answer.content.status, 416)
        self.assertIn(("Content-Range", "bytes */9"), answer.content.fields)
        assert answer.content.body is not None
        answer.content.body.close()

    def test_refused(self) -> None:
        """An error becomes a line of ours; the upstream's page is dropped."""
        for theirs, ours in ((403, 403), (500, 502), (503, 503)):
            told = Told(theirs, (), 1 << 20)
            self.assertEqual(self.status_of(self.answer(told)), ours)
            self.assertTrue(told.abandoned)

    def test_absent(self) -> None:
        """A 404 is remembered, unless it was about a question."""
        told = Told(404, (), 0)
        self.assertEqual(self.status_of(self.answer(told, Asked(query="metalink"))), 404)
        self.assertEqual(self.status_of(self.answer(told)), 404)
        remembered = self.successResultOf(self.ask(Asked()))
        self.assertEqual((self.status_of(remembered), remembered.cache_status.hit), (404, True))
        asking = self.ask(Asked(query="metalink"))
        self.assertEqual(len(self.origin.asked), 1)
        asking.addErrback(lambda _: None)
        asking.cancel()
