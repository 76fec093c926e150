"""Tests of `osproxy.cache.experience`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from osproxy.cache.experience import (
    ABSENT_FOR,
    GRACE,
    OUTGROWN_FOR,
    REST,
    Experience,
    believed_for,
)
from osproxy.cache.fillstate import Order
from osproxy.cache.source import FileSource
from osproxy.http.fields import format_date
from osproxy.model import Asked, Notice, Target
from osproxy.repo.kinds import classify
from osproxy.repo.policies import policy_of
from tests.cache.doubles import MODIFIED, CacheTestCase, body_of
from tests.cache.origin import Told, unreachable

if TYPE_CHECKING:
    from osproxy.cache.fill import Fill
    from osproxy.repo.policies import Policy
    from osproxy.store.entries import Entry
    from osproxy.upstream.origin import Reply

RPM, MUTABLE, ODD = "/oss/a.rpm", "/oss/CHECKSUMS", "/oss/odd.thing"


def policy(path: str) -> Policy:
    """Say how a file is kept."""
    return policy_of(classify(path), path, freshness={})


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
        source = FileSource(self.bench.upstream, path, https_only=False)
        order = Order(Target("/", path), source, policy(path), stored=stored, background=True)
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
            notice = self.refusal(RPM, ABSENT_FOR - 1)
            self.assertEqual(notice and notice.status, status)
            self.assertIsNone(self.refusal(RPM, ABSENT_FOR))

    def test_insisting(self) -> None:
        """Who wants a look at the source now has one, unless it was just taken."""
        self.filled(RPM, Told(404, (), 0))
        insisting = Asked(fields=(("Cache-Control", "no-cache"),))
        self.assertIsNotNone(self.refusal(RPM, 9.0, insisting))
        self.assertIsNone(self.refusal(RPM, 10.0, insisting))
        self.assertIsNotNone(self.refusal(RPM, 10.0))

    def test_refused(self) -> None:
        """Where responses are heeded, what was said is said again for as long as it may be."""
        control = ("Cache-Control", "max-age=100")
        self.filled(ODD, Told(403, (control,), 0))
        notice = self.refusal(ODD, 99.0)
        self.assertEqual(notice, Notice(403, b"authority.example answered 403.\n"))
        self.assertFalse(self.experience.left_alone(Target("/", ODD), self.now))
        self.assertIsNone(self.refusal(ODD, 100.0))

    def test_refused_later(self) -> None:
        """What is stored is not denied by it, but served while the upstream rests (F5)."""
        entry = self.entry(ODD)
        self.filled(ODD, Told(403, (("Cache-Control", "max-age=100"),), 0), entry)
        self.assertIsNone(self.refusal(ODD))
        self.assertTrue(self.experience.left_alone(Target("/", ODD), self.now))

    def test_believed_for(self) -> None:
        """For how long a refusal is believed depends on the kind, or on what it says itself."""
        hour, day = ("Cache-Control", "max-age=3600"), ("Cache-Control", "max-age=864000")
        for status, fields, package, unknown in (
            (404, (), 60.0, 60.0),
            (410, (), 60.0, 60.0),
            (404, (hour,), 60.0, 3600.0),
            (404, (hour, ("Age", "600")), 60.0, 3000.0),
            (404, (hour, ("Age", "3600")), 60.0, 0.0),
            (404, (("Cache-Control", "max-age=0"),), 60.0, 0.0),
            (404, (("Cache-Control", "no-store"),), 60.0, 0.0),
            (404, (hour, ("Vary", "Cookie")), 60.0, 0.0),
            (404, (("Expires", format_date(90)), ("Date", format_date(0))), 60.0, 90.0),
            (404, (day,), 60.0, 864000.0),
            (403, (), 0.0, 0.0),
            (403, (hour,), 0.0, 3600.0),
            (451, (hour,), 0.0, 3600.0),
            (412, (hour,), 0.0, 0.0),
            (425, (hour,), 0.0, 0.0),
            (429, (hour,), 0.0, 0.0),
            (301, (hour,), 0.0, 0.0),
            (203, (hour,), 0.0, 0.0),
            (500, (hour,), 0.0, 0.0),
            (503, (hour,), 0.0, 0.0),
        ):
            told = cast("Reply", Told(status, fields, 0))
            for path, seconds in ((RPM, package), (ODD, unknown)):
                with self.subTest(status=status, fields=fields, path=path):
                    self.assertEqual(believed_for(told, policy(path)), seconds)

    def test_believed_of_others(self) -> None:
        """What a mirror says, or what is said to HEAD, a range or a condition, is believed less."""
        said, less = (("Cache-Control", "max-age=3600"),), (("Cache-Control", "max-age=30"),)
        for status, fields, seconds in (
            (404, (), ABSENT_FOR),
            (410, said, ABSENT_FOR),
            (404, less, 30.0),
            (404, (("Cache-Control", "no-store"),), 0.0),
            (400, said, 0.0),
            (403, said, 0.0),
            (405, said, 0.0),
        ):
            told = cast("Reply", Told(status, fields, 0))
            self.assertEqual(believed_for(told, policy(ODD), for_all=False), seconds)
            told.hops = 1
            self.assertEqual(believed_for(told, policy(ODD)), seconds)

    def refusal(self, path: str, later: float = 0.0, asked: Asked | None = None) -> Notice | None:
        """Say what is known of a file a while later."""
        now = self.now + later
        return self.experience.refusal(Target("/", path), asked or Asked(), policy(path), now)

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
