"""Tests of `osproxy.cache.experience`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osproxy.cache.experience import ABSENT_FOR, GRACE, OUTGROWN_FOR, REST, Experience
from osproxy.cache.fillstate import Order
from osproxy.cache.source import FileSource
from osproxy.model import Target
from osproxy.repo.kinds import classify
from osproxy.repo.policies import policy_of
from tests.cache.doubles import MODIFIED, CacheTestCase, Told, body_of, unreachable

if TYPE_CHECKING:
    from osproxy.cache.fill import Fill
    from osproxy.store.entries import Entry

RPM, MUTABLE = "/oss/a.rpm", "/oss/CHECKSUMS"


class ExperienceTests(CacheTestCase):
    """How asking ended is remembered for a while."""

    def setUp(self) -> None:
        """Have learned nothing yet."""
        super().setUp()
        self.experience = Experience(self.bench.store)
        self.now = self.bench.place.clock.seconds()

    def entry(self, path: str) -> Entry:
        """Have a file stored."""
        self.store(path, b"body", MODIFIED)
        return self.entry_of(path)

    def filled(self, path: str, told: Told | Exception, stored: Entry | None = None) -> Fill:
        """Let a fill come to its end."""
        policy = policy_of(classify(path), path, freshness={})
        source = FileSource(self.bench.upstream, path, https_only=False)
        order = Order(Target("/", path), source, policy, stored=stored, background=True)
        fill = self.bench.fills.begin(order, lambda fill: self.experience.learn(fill, self.now))
        question = self.origin.next()
        if isinstance(told, Exception):
            question.fail(told)
        else:
            question.answer(told)
        return fill

    def test_rest(self) -> None:
        """An upstream that failed is left alone for 5 s, whichever way it failed."""
        replies: list[Told | Exception] = [unreachable(), Told(500, (), 0), Told(403, (), 0)]
        for number, told in enumerate(replies):
            path = f"/oss/{number}.rpm"
            target = Target("/", path)
            self.filled(path, told)
            self.assertTrue(self.experience.left_alone(target, self.now + REST - 0.1))
            self.assertFalse(self.experience.left_alone(target, self.now + REST))

    def test_why(self) -> None:
        """It can be said what happened."""
        self.filled(RPM, Told(500, (), 0))
        why = self.experience.why(Target("/", RPM), self.now)
        self.assertEqual(why, "authority.example answered 500")
        self.filled(MUTABLE, unreachable())
        why = self.experience.why(Target("/", MUTABLE), self.now)
        self.assertEqual(why, "authority.example refuses connections")

    def test_recovered(self) -> None:
        """A file that came whole is proof enough that all is well."""
        target = Target("/", RPM)
        self.filled(RPM, unreachable())
        self.filled(RPM, told := Told(200, (), 4))
        told.send(b"body")
        told.finish()
        self.assertFalse(self.experience.left_alone(target, self.now))

    def test_absent(self) -> None:
        """An absent file is remembered for a minute, with the words of the authority."""
        for status in (404, 410):
            self.filled(RPM, Told(status, (), 0))
            absent = self.experience.absent
            self.assertEqual(absent.get(Target("/", RPM), self.now + ABSENT_FOR - 1), status)
            self.assertIsNone(absent.get(Target("/", RPM), self.now + ABSENT_FOR))

    def test_gone(self) -> None:
        """A stored file goes at a second 404, packages only two days later."""
        for path, patience in ((MUTABLE, ABSENT_FOR), (RPM, GRACE)):
            entry = self.entry(path)
            began = self.now
            for later, gone in ((0.0, False), (patience - 1, False), (patience, True)):
                self.now = began + later
                self.filled(path, Told(404, (), 0), entry)
                self.assertEqual(self.stored(path) is None, gone, (path, later))
            self.now = began

    def test_confirmed(self) -> None:
        """A stored file that the upstream confirms is as fresh as new."""
        entry = self.entry(RPM)
        self.now += 5000.0
        self.filled(RPM, Told(304, (), 0), entry)
        self.assertEqual((entry.checked_at, entry.head.date), (self.now, self.now))


class OutgrownTests(CacheTestCase):
    """What there is no room for is remembered for a day."""

    cache_size = 4 << 20

    def test_outgrown(self) -> None:
        """A body that turns out too large is outgrown, though all of its readers have left."""
        body = body_of(self.begin(RPM, told := Told()))
        while not told.abandoned:
            told.send(bytes(1 << 20))
        body.close()
        for seconds, filled in ((OUTGROWN_FOR - 1, False), (1, True)):
            self.bench.advance(seconds)
            asked = self.bench.get(RPM)
            found = self.bench.fills.find(Target("/", RPM))
            self.assertEqual(found is not None, filled)
            self.origin.next().fail()
            self.assertEqual(self.status_of(self.successResultOf(asked)), 502)
