"""Tests of `osproxy.cache.fill`."""

from __future__ import annotations

from osproxy.cache.fillstate import NEXT, WORTH_FINISHING, FillState
from osproxy.cache.verified import HELD_BACK
from osproxy.model import BodyBroken, Representation, Target
from tests.cache.doubles import MODIFIED, CacheTestCase, addressed, body_of, octets, read
from tests.cache.origin import Told, unreachable, whole
from tests.store.doubles import Slow, at_once

RPM = "/oss/x86_64/a-1-1.x86_64.rpm"
MIB = 1 << 20


class CollapsingTests(CacheTestCase):
    """One question goes upstream, however many ask."""

    def test_one_question(self) -> None:
        """Those who ask while the upstream is being asked share the one answer."""
        asked = [self.bench.get(RPM) for _ in range(3)]
        self.origin.next().answer(whole(b"package"))
        answers = [self.successResultOf(one) for one in asked]
        self.assertEqual([octets(answer) for answer in answers], [b"package"] * 3)
        self.assertEqual([answer.cache_status.collapsed for answer in answers], [False, True, True])
        self.assertEqual(self.origin.log, [f"GET {RPM}"])

    def test_arrived(self) -> None:
        """What has come as a whole is a hit, however long the disk takes; unless it is stale."""
        for path, fields, said in (
            (RPM, (), "osproxy; hit; ttl=900"),
            ("/oss/x.foo", (("Cache-Control", "max-age=9"),), "osproxy; hit; ttl=9"),
            (
                "/oss/y.foo",
                (("Cache-Control", "max-age=0"),),
                "osproxy; fwd=uri-miss; fwd-status=200; stored; collapsed;"
                ' detail="authority.example"',
            ),
        ):
            self.bench.place.in_thread = disk = Slow("publish")
            self.assertEqual(octets(self.begin(path, whole(b"package", *fields))), b"package")
            self.assertEqual(self.served(path), (b"package", said))
            disk.run_all()
            self.bench.place.in_thread = at_once

    def test_own_pace(self) -> None:
        """Each reader waits for its own offset only, and one that comes late gets octet 0."""
        first = self.begin(RPM, told := Told(200, (), 10))
        told.send(b"0123")
        near, far = read(first, 2, 5), read(self.successResultOf(self.bench.get(RPM)), 8)
        late = self.successResultOf(self.bench.get(RPM))
        self.assertEqual(octets(late), b"0123")
        told.send(b"456")
        self.assertEqual(self.successResultOf(near), b"234")
        self.assertNoResult(far)
        told.send(b"789")
        told.finish()
        self.assertEqual(self.successResultOf(far), b"89")

    def test_leaving(self) -> None:
        """One who leaves harms nobody, whether it waits for the head or for the body."""
        impatient, patient = self.bench.get(RPM), self.bench.get(RPM)
        impatient.cancel()
        self.failureResultOf(impatient)
        told = self.origin.next().answer(Told(200, (), 4))
        answer = self.successResultOf(patient)
        leaving = read(self.successResultOf(self.bench.get(RPM)))
        staying = read(answer)
        leaving.cancel()
        self.failureResultOf(leaving)
        told.send(b"body")
        told.finish()
        self.assertEqual(self.successResultOf(staying), b"body")
        self.assertEqual(self.stored(RPM), b"body")

    def test_unknown_length(self) -> None:
        """A body whose length nobody said is as long as it turns out to be."""
        answer = self.begin(RPM, told := Told())
        self.assertIsNone(body_of(answer).length)
        reading = read(answer)
        told.send(b"some")
        self.assertNoResult(reading)
        told.finish()
        self.assertEqual(self.successResultOf(reading), b"some")
        self.assertEqual(self.stored(RPM), b"some")

    def test_empty(self) -> None:
        """A file may be empty."""
        reading = read(self.begin(RPM, told := Told(200, (), 0)))
        told.finish()
        self.assertEqual(self.successResultOf(reading), b"")
        self.assertEqual(self.stored(RPM), b"")

    def test_broken(self) -> None:
        """When the upstream dies in mid-body, nobody is told that the file was complete."""
        answer = self.begin(RPM, told := Told(200, (), 10))
        told.send(b"half ")
        one, other = read(answer), read(self.successResultOf(self.bench.get(RPM)), 3)
        told.fail(unreachable())
        self.failureResultOf(one, BodyBroken)
        self.failureResultOf(other, BodyBroken)
        self.assertIsNone(self.stored(RPM))
        self.assert_settled()
        self.store(RPM, b"the whole one")

    def test_entity_tag(self) -> None:
        """The entity tag is fixed when the fill begins and stays with the entry."""
        answer = self.begin(RPM, told := Told(200, (("ETag", '"theirs"'),), 1))
        assert isinstance(answer.content, Representation)
        tag = answer.content.head.etag
        self.assertNotEqual(tag, '"theirs"')
        told.send(b"x")
        told.finish()
        octets(answer)
        later = self.successResultOf(self.bench.get(RPM))
        octets(later)
        assert isinstance(later.content, Representation)
        self.assertEqual(later.content.head.etag, tag)

    def test_undeclared_transition(self) -> None:
        """A fill that has come to its end goes nowhere from there."""
        answer = self.begin(RPM, Told(200, (), 4))
        fill = self.fill_of(RPM)
        self.assertRaises(AssertionError, fill._enter, FillState.ASKING)
        self.assertRaises(AssertionError, fill._enter, FillState.ANSWERED)
        body_of(answer).close()
        for state in (FillState.COMPLETE, FillState.FAILED, FillState.DIVERTED):
            self.assertEqual(NEXT[state], set())


class LeavingTests(CacheTestCase):
    """When all readers have left, a fill goes on if it is worth it."""

    cache_size = 512 * MIB

    def test_little_missing(self) -> None:
        """It goes on when no more than 64 MiB are missing."""
        answer = self.begin(RPM, told := Told(200, (), WORTH_FINISHING))
        body_of(answer).close()
        self.assertFalse(told.abandoned)
        told.send(b"x" * MIB)
        self.assertFalse(told.abandoned)

    def test_much_missing(self) -> None:
        """It is given up when more is missing; the draft and its reservation go."""
        answer = self.begin(RPM, told := Told(200, (), WORTH_FINISHING + 1))
        self.assertGreater(self.bench.place.ledger.reserved, WORTH_FINISHING)
        body_of(answer).close()
        self.assertTrue(told.abandoned)
        self.assertIsNone(self.bench.fills.find(Target("/", RPM)))
        self.assert_settled()

    def test_unknown_length(self) -> None:
        """It is given up when nobody knows how much is missing: it may never end."""
        answer = self.begin(RPM, told := Told(200, (), None))
        told.send(b"event")
        self.assertFalse(told.abandoned)
        body_of(answer).close()
        self.assertTrue(told.abandoned)
        self.assert_settled()

    def test_half_there(self) -> None:
        """It goes on when half is there, however much is missing."""
        half = WORTH_FINISHING + MIB
        answer = self.begin(RPM, told := Told(200, (), 2 * half))
        for _ in range(half // MIB):
            told.send(bytes(MIB))
        body_of(answer).close()
        self.assertFalse(told.abandoned)

    def test_last_one_decides(self) -> None:
        """While anybody reads, nothing is given up."""
        answer = self.begin(RPM, told := Told(200, (), 2 * WORTH_FINISHING))
        other = self.successResultOf(self.bench.get(RPM))
        body_of(answer).close()
        self.assertFalse(told.abandoned)
        body_of(other).close()
        self.assertTrue(told.abandoned)

    def test_before_the_head(self) -> None:
        """Those who leave before the head comes leave a fill that is judged when it comes."""
        for length, abandoned in ((10, False), (2 * WORTH_FINISHING, True)):
            path = f"/oss/{length}.rpm"
            asked = self.bench.get(path)
            asked.cancel()
            self.failureResultOf(asked)
            told = self.origin.next().answer(Told(200, (), length))
            self.assertEqual(told.abandoned, abandoned)

    def test_giving_up_is_no_failure(self) -> None:
        """What a client gave up is asked for by the next as if nothing had been."""
        self.store(RPM, b"old", MODIFIED)
        self.bench.advance(3600)
        answer = self.begin(RPM, Told(200, (), 2 * WORTH_FINISHING))
        body_of(answer).close()
        asked = self.bench.get(RPM)
        self.origin.next().answer(whole(b"new"))
        self.assertEqual(octets(self.successResultOf(asked)), b"new")


class ExpectationTests(CacheTestCase):
    """A file that says in its name what it must be is never served complete if it is not."""

    def test_last_block(self) -> None:
        """The last 64 KiB are held back until the digest is right."""
        body = bytes(range(256)) * 1024
        answer = self.begin(addressed(body), told := Told(200, (), len(body)))
        reading = read(answer)
        told.send(body)
        self.assertEqual(body_of(answer).available, len(body) - HELD_BACK)
        self.assertNoResult(reading)
        told.finish()
        self.assertEqual(self.successResultOf(reading), body)
        self.assertEqual(self.stored(addressed(body)), body)

    def test_wrong(self) -> None:
        """A body with a wrong digest never completes and is not stored."""
        body = bytes(100_000)
        reading = read(self.begin(addressed(b"other"), told := Told(200, (), len(body))))
        early = read(self.successResultOf(self.bench.get(addressed(b"other"))), 0, 1000)
        told.send(body)
        self.assertEqual(self.successResultOf(early), body[:1000])
        told.finish()
        self.failureResultOf(reading, BodyBroken)
        self.assertIsNone(self.stored(addressed(b"other")))

    def test_one_block(self) -> None:
        """Of a file of one block even the head waits for the digest."""
        asked = [self.bench.get(addressed(b"right")) for _ in range(2)]
        told = self.origin.next().answer(Told(200, (), 5))
        told.send(b"right")
        self.assertNoResult(asked[0])
        told.finish()
        for one in asked:
            self.assertEqual(octets(self.successResultOf(one)), b"right")

    def test_wrong_block(self) -> None:
        """A wrong file of one block is a bad gateway, not a response."""
        asked = self.bench.get(addressed(b"right"))
        self.origin.next().answer(whole(b"wrong"))
        self.assertEqual(self.status_of(self.successResultOf(asked)), 502)
        self.assertIsNone(self.stored(addressed(b"right")))

    def test_unknown_length(self) -> None:
        """Without a length the end is held back just the same."""
        body = bytes(range(256)) * 512
        answer = self.begin(addressed(body), told := Told())
        reading = read(answer)
        told.send(body)
        self.assertEqual(body_of(answer).available, len(body) - HELD_BACK)
        told.finish()
        self.assertEqual(self.successResultOf(reading), body)

    def test_entity_tag(self) -> None:
        """Its entity tag is the expected digest."""
        answer = self.begin(addressed(bytes(100_000)), Told(200, (), 100_000))
        body_of(answer).close()
        assert isinstance(answer.content, Representation)
        tag = answer.content.head.etag
        assert tag is not None
        self.assertIn(tag.strip('"'), addressed(bytes(100_000)))
