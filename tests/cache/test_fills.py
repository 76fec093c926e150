"""Tests of `osproxy.cache.fills`."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from osproxy.cache.fills import UNATTENDED
from osproxy.cache.fillstate import WORTH_FINISHING, Order
from osproxy.cache.source import FileSource
from osproxy.model import Target
from osproxy.repo.kinds import Kind
from osproxy.repo.policies import policy_of
from tests.cache.doubles import MODIFIED, CacheTestCase, close, octets
from tests.cache.origin import Told
from tests.store.doubles import WhenTold, at_once, find


class FillsTests(CacheTestCase):
    """At most one fill a target, and not too many that nobody reads."""

    def order(self, path: str) -> Order:
        """Order a package."""
        source = FileSource(self.bench.upstream, path, https_only=False)
        policy = policy_of(Kind.PACKAGE, path, freshness={})
        return Order(Target("/", path), source, policy)

    def test_one_a_target(self) -> None:
        """A second fill of the same target is a bug; it is found by its target instead."""
        fills = self.bench.fills
        fill = fills.begin(self.order("/a.rpm"), lambda _: None)
        self.assertIs(fills.find(Target("/", "/a.rpm")), fill)
        self.assertIsNone(fills.find(Target("/", "/b.rpm")))
        self.assertRaises(AssertionError, fills.begin, self.order("/a.rpm"), lambda _: None)

    def test_decided_once(self) -> None:
        """What became of a fill is told once, when it is not to be found any more."""
        fills, told = self.bench.fills, []
        target = Target("/", "/a.rpm")
        fills.begin(self.order("/a.rpm"), lambda fill: told.append((fill, fills.find(target))))
        self.origin.next().answer(Told(404, (), 0))
        self.assertEqual([found for _, found in told], [None])

    def look(self, _: None, found: list[object]) -> None:
        """Note which fill there is."""
        found.append(self.bench.fills.find(Target("/", "/a.rpm")))

    def test_asked_again_at_once(self) -> None:
        """One who is told how a fill ended and asks again in the same turn finds no dead fill."""
        for told in (Told(404, (), 0), Told(206, (), 0), Told(200, (), 1 << 40), None):
            found: list[object] = []
            fill = self.bench.fills.begin(self.order("/a.rpm"), lambda _: None)
            headed = Deferred.fromCoroutine(fill.when_headed())
            headed.addCallback(self.look, found)
            question = self.origin.next()
            if told is None:
                question.fail()
            else:
                question.answer(told)
            self.assertEqual(found, [None])

    def test_unattended(self) -> None:
        """32 fills go on without readers; the next is given up though it is worth finishing."""
        answers, replies = [], []
        for number in range(UNATTENDED + 1):
            replies.append(told := Told(200, (), 10))
            answers.append(self.begin(f"/oss/{number}.rpm", told))
        for answer in answers:
            close(answer)
        self.assertEqual([told.abandoned for told in replies], [False] * UNATTENDED + [True])
        self.assertEqual(self.bench.fills.unattended, UNATTENDED)

    def test_what_has_come_whole(self) -> None:
        """What has all its octets is kept, however many others wait for a slow disk with it."""
        self.bench.place.in_thread = thread = WhenTold()
        for number in range(UNATTENDED + 2):
            asked = self.bench.get(f"/oss/{number}.rpm")
            self.origin.next().answer(told := Told(200, (), 4))
            while not asked.called:
                thread.run()
            told.send(b"body")
            close(self.successResultOf(asked))
            self.assertFalse(told.abandoned)
            told.finish()
        self.assertEqual(self.bench.fills.unattended, 0)
        thread.run_all()
        self.bench.place.in_thread = at_once
        self.assertEqual(self.bench.store.entries, UNATTENDED + 2)

    def test_refreshes_count(self) -> None:
        """What is refreshed behind a client's back counts among the 32, too."""
        for number in range(UNATTENDED + 1):
            self.store(f"/oss/{number}.sha256", b"sums", MODIFIED)
        self.bench.advance(3600)
        for number in range(UNATTENDED + 1):
            self.assertEqual(self.served(f"/oss/{number}.sha256")[0], b"sums")
        self.assertEqual(len(self.origin.asked), UNATTENDED)

    def test_stop_while_verifying(self) -> None:
        """What has come whole is kept though the server is stopping."""
        answer = self.begin("/oss/a.rpm", told := Told(200, (), 4))
        self.bench.place.in_thread = thread = WhenTold()
        told.send(b"body")
        told.finish()
        self.assertEqual(octets(answer), b"body")
        stopping = Deferred.fromCoroutine(self.bench.fills.stop())
        self.assertNoResult(stopping)
        thread.run_all()
        self.successResultOf(stopping)
        self.bench.place.in_thread = at_once
        self.assertIsNotNone(find(self.bench.store, Target("/", "/oss/a.rpm")))
        self.assert_settled()

    def test_stop(self) -> None:
        """A stop ends all fills and gives their drafts up."""
        answer = self.begin("/oss/a.rpm", told := Told(200, (), WORTH_FINISHING // 4))
        waiting = self.bench.get("/oss/b.rpm")
        stopping = Deferred.fromCoroutine(self.bench.fills.stop())
        self.successResultOf(stopping)
        self.assertTrue(told.abandoned)
        self.assertEqual(self.status_of(self.successResultOf(waiting)), 502)
        octets(answer)
        self.assert_settled()
