"""Tests of `osproxy.cache.fill`: what becomes of readers when a file cannot be stored."""

from __future__ import annotations

import errno
import os

from twisted.internet.defer import Deferred

from osproxy.cache.fillstate import WORTH_FINISHING
from osproxy.model import Answer, BodyBroken, Relayed, Representation, Target
from tests.cache.doubles import MODIFIED, CacheTestCase, addressed, body_of, close, passed, read
from tests.cache.origin import Told, whole
from tests.store.doubles import Failing, WhenTold, at_once

RPM = "/oss/x86_64/a-1-1.x86_64.rpm"
MIB = 1 << 20


class DiversionTests(CacheTestCase):
    """What cannot be stored is passed through, and nobody fails."""

    cache_size = 4 * MIB

    def test_too_large(self) -> None:
        """A body that is larger than the cache passes through on the request that is open."""
        answer = self.begin(RPM, told := Told(200, (MODIFIED,), 8 * MIB))
        self.assertEqual(self.status_of(answer), 200)
        passing = passed(answer)
        told.send(b"x" * 8 * MIB)
        told.finish()
        self.assertEqual(len(self.successResultOf(passing)), 8 * MIB)
        self.assertEqual(self.origin.log, [f"GET {RPM}"])

    def test_wrong_and_too_large(self) -> None:
        """What is passed through must have the digest in its name just the same."""
        for _ in range(2):
            answer = self.begin(addressed(b"right"), told := Told(200, (MODIFIED,), 8 * MIB))
            passing = passed(answer)
            told.send(bytes(8 * MIB))
            told.finish()
            self.failureResultOf(passing, BodyBroken)

    def test_others_ask_themselves(self) -> None:
        """Of several who wait, one takes the open request; the others get one of their own."""
        asked = [
            self.bench.get(RPM),
            self.bench.get(RPM),
            self.bench.get(RPM, ("Range", "bytes=1-2")),
        ]
        self.origin.next().answer(Told(200, (MODIFIED,), 8 * MIB))
        answer = self.successResultOf(asked[0])
        self.assertEqual(self.status_of(answer), 200)
        close(answer)
        self.origin.next().answer(Told(200, (), 8 * MIB))
        close(self.successResultOf(asked[1]))
        question = self.origin.next()
        self.assertEqual(question.field("range"), "bytes=1-2")
        question.answer(Told(206, (("Content-Range", f"bytes 1-2/{8 * MIB}"),), 2))
        answer = self.successResultOf(asked[2])
        self.assertEqual(self.status_of(answer), 206)
        close(answer)

    def test_no_space_at_the_beginning(self) -> None:
        """A disk that is full when the file is made costs the client nothing."""
        self.bench.place.in_thread = Failing({"create": OSError(errno.ENOSPC, "full")})
        answer = self.begin(RPM, told := Told(200, (), 4))
        passing = passed(answer)
        told.send(b"body")
        told.finish()
        self.assertEqual(self.successResultOf(passing), b"body")

    def overflow(self, *fields: tuple[str, str]) -> bytes:
        """Let a body of unknown length outgrow the cache; return what was sent of it."""
        answer = self.begin(RPM, told := Told(200, fields))
        self.reading = read(answer)
        self.ahead = read(self.successResultOf(self.bench.get(RPM)), 5 * MIB, 5 * MIB + 3)
        sent: list[bytes] = []
        while not told.abandoned:
            block = bytes([len(sent)]) * (MIB // 4)
            told.send(block)
            sent.append(block)
        return b"".join(sent)

    def test_outgrown(self) -> None:
        """Readers of a body that outgrows the cache go on by ranges, each from where it is."""
        sent = self.overflow(MODIFIED)
        question = self.origin.next()
        where = int((question.field("range") or "").removeprefix("bytes=").rstrip("-"))
        self.assertGreaterEqual(where, len(sent) - MIB // 4)
        whole_file = sent + b"the end"
        rest = whole_file[where:]
        size = len(whole_file)
        told = question.answer(
            Told(206, (MODIFIED, ("Content-Range", f"bytes {where}-{size - 1}/{size}")), len(rest))
        )
        told.send(rest)
        told.finish()
        self.assertEqual(self.successResultOf(self.reading), whole_file)
        self.assertIsNone(self.stored(RPM))
        # A server may answer with all of it; what was had is skipped.
        question = self.origin.next()
        self.assertEqual(question.field("range"), f"bytes={5 * MIB}-{5 * MIB + 2}")
        told = question.answer(Told(200, (MODIFIED,), 6 * MIB))
        told.send(bytes(5 * MIB) + b"abcdef")
        self.assertEqual(self.successResultOf(self.ahead), b"abc")

    def test_outgrown_is_remembered(self) -> None:
        """For a day such a file is passed through unasked."""
        self.overflow(MODIFIED)
        for reading in (self.reading, self.ahead):
            self.origin.next().fail()
            self.failureResultOf(reading, BodyBroken)
        for seconds, filled in ((3600, False), (24 * 3600, True)):
            self.bench.advance(seconds)
            answer = self.begin(RPM, Told(200, (), 8))
            self.assertEqual(isinstance(answer.content, Representation), filled)
            close(answer)

    def test_another_version(self) -> None:
        """When the file is another one by now, the reader is cut rather than misled."""
        self.overflow(MODIFIED)
        other = ("Last-Modified", "Thu, 01 Jan 1970 02:00:00 GMT")
        for reading in (self.reading, self.ahead):
            told = self.origin.next().answer(Told(200, (other,), 6 * MIB))
            self.failureResultOf(reading, BodyBroken)
            self.assertTrue(told.abandoned)

    def test_no_space_in_mid_body(self) -> None:
        """A disk that fills up in mid-body costs no reader an octet."""
        answer = self.begin(RPM, told := Told(200, (MODIFIED,), 8))
        body = body_of(answer)
        reading = read(answer)
        told.send(b"half")
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, body.fileno())
        os.close(full)
        told.send(b"more")
        question = self.origin.next()
        self.assertEqual(question.field("range"), "bytes=4-")
        told = question.answer(Told(206, (MODIFIED, ("Content-Range", "bytes 4-7/8")), 4))
        told.send(b"full")
        told.finish()
        self.assertEqual(self.successResultOf(reading), b"halffull")
        self.assertIsNone(self.stored(RPM))
        # The disk is not to blame for ever: it is not remembered.
        self.store(RPM, b"body")

    def leave_in_the_same_turn(self, path: str, told: Told, *sent: bytes) -> None:
        """Have a reader that leaves as soon as it is told anything."""
        answer = self.begin(path, told)
        body = body_of(answer)
        waiting = Deferred.fromCoroutine(body.wait(0))
        waiting.addBoth(lambda _: body.close())
        for data in sent:
            told.send(data)

    def test_leaving_when_diverted(self) -> None:
        """A reader that leaves when it is told that it must go elsewhere disturbs nothing."""
        told = Told()
        self.leave_in_the_same_turn(RPM, told, *[bytes(5 * MIB)])
        self.assertTrue(told.abandoned)
        self.assert_settled()
        # It was outgrown, not given up.
        answer = self.begin(RPM, Told(200, (), 8))
        self.assertIsInstance(answer.content, Relayed)
        close(answer)

    def test_leaving_when_it_grows(self) -> None:
        """A reader that leaves with the first octets leaves a fill that is judged then."""
        self.bench.stop()
        self.bench.place.cache_size = 512 * MIB
        self.bench.start()
        early = Told(200, (), 2 * WORTH_FINISHING)
        early.send(b"early")
        asked = self.bench.get(RPM)
        waiting: list[Deferred[object]] = []

        def leave(answer: Answer) -> None:
            body = body_of(answer)
            told = Deferred.fromCoroutine(body.wait(0))
            waiting.append(told.addBoth(lambda _: body.close()))

        asked.addCallback(leave)
        self.origin.next().answer(early)
        self.successResultOf(waiting[0])
        self.assertTrue(early.abandoned)
        self.assertIsNone(self.bench.fills.find(Target("/", RPM)))
        self.assert_settled()

    def test_whole_elsewhere(self) -> None:
        """What none was had of before it was diverted is verified as it passes."""
        body = bytes(range(256)) * 1024
        for right in (True, False):
            told = Told(200, (MODIFIED,), len(body))
            answer = self.begin(addressed(body), told)
            reading = read(answer)
            full = os.open("/dev/full", os.O_RDWR)
            os.dup2(full, body_of(answer).fileno())
            os.close(full)
            told.send(body)
            part = ("Content-Range", f"bytes 0-{len(body) - 1}/{len(body)}")
            sent = body if right else bytes(len(body))
            self.origin.next().answer(whole(sent, MODIFIED, part, status=206))
            if right:
                self.assertEqual(self.successResultOf(reading), body)
            else:
                self.failureResultOf(reading, BodyBroken)

    def test_not_committed(self) -> None:
        """When a whole file cannot be put among the entries, its readers have it all the same."""
        self.bench.place.in_thread = Failing({"publish": OSError(errno.EIO, "broken")})
        reading = read(self.begin(RPM, told := Told(200, (), 4)))
        told.send(b"body")
        told.finish()
        self.assertEqual(self.successResultOf(reading), b"body")
        self.assertIsNone(self.stored(RPM))
        self.assertEqual(self.flushLoggedErrors(), [])
        troubles = self.bench.place.metrics.troubles.labels("keep")
        self.assertEqual(troubles._value.get(), 1)

    def test_commit_takes_its_time(self) -> None:
        """Nobody waits until what is verified is kept, too."""
        body = bytes(200_000)
        reading = read(self.begin(addressed(body), told := Told(200, (), len(body))))
        self.bench.place.in_database = database = WhenTold()
        told.send(body)
        told.finish()
        self.assertEqual(self.successResultOf(reading), body)
        self.assertTrue(database.waiting)
        database.run_all()
        self.bench.place.in_database = at_once
        self.assertEqual(self.stored(addressed(body)), body)

    def test_read_back(self) -> None:
        """What cannot be read back cannot be verified, and is not stored."""
        self.bench.stop()
        self.bench.place.in_thread = Failing({"_read": OSError(errno.EIO, "broken")})
        self.bench.start()
        for path, fine in ((RPM, True), (addressed(bytes(70_000)), False)):
            reading = read(self.begin(path, told := Told(200, (), 70_000)))
            told.send(bytes(70_000))
            told.finish()
            if fine:
                self.assertEqual(self.successResultOf(reading), bytes(70_000))
            else:
                self.failureResultOf(reading, BodyBroken)
            self.assertIsNone(self.stored(path))
