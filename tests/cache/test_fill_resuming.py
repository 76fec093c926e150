"""Tests of `osproxy.cache.fill`: what an interrupted transfer left is completed by the next."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from osproxy.cache.fillstate import Order
from osproxy.cache.source import FileSource
from osproxy.cache.transfer import PAUSES
from osproxy.model import BodyBroken, Expectation, Relayed, Representation, Target
from osproxy.repo.digests import Digest
from osproxy.repo.kinds import Kind
from osproxy.repo.policies import policy_of
from tests.cache.doubles import DATE, MODIFIED, Bench, CacheTestCase, addressed, close, octets, read
from tests.cache.origin import BACKEND, Told, unreachable, whole
from tests.cache.servers import AnyServer, Behaviour, behaviours, body_or_nothing
from tests.store.doubles import WhenTold, at_once

if TYPE_CHECKING:
    from osproxy.model import Answer
    from tests.cache.origin import Question

RPM = "/oss/x86_64/a-1-1.x86_64.rpm"
TAG, OTHER_TAG = ("ETag", '"v1"'), ("ETag", '"v2"')
MIB = 1 << 20
BODY = os.urandom(MIB) * 2 + bytes(range(256)) * 1024
WRITTEN = 2 * MIB - 1
#: So long that what is left of it is not worth finishing when nobody reads.
LONG = 200 * MIB
HOUR = 3600


def rest(body: bytes, start: int, *fields: tuple[str, str]) -> Told:
    """Make a 206 that is complete at once."""
    part = ("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    return whole(body[start:], *fields, part, status=206)


class ResumingTestCase(CacheTestCase):
    """A file of which a good part has come."""

    cache_size = 512 * MIB

    def interrupt(self, path: str = RPM, *fields: tuple[str, str], sized: bool = True) -> None:
        """Break a transfer off, and let nobody be there to continue it."""
        told = Told(200, fields or (TAG,), len(BODY) if sized else None)
        reading = read(self.begin(path, told))
        told.send(BODY[:WRITTEN])
        told.fail(unreachable())
        for pause in PAUSES:
            self.bench.advance(pause)
            self.origin.next().fail()
        self.failureResultOf(reading, BodyBroken)
        self.bench.advance(10)
        self.assertIsNotNone(self.bench.store.kept.find(Target("/", path)))

    def asked(self, path: str = RPM) -> tuple[Deferred[Answer], Question]:
        """Ask for it again; the question that goes upstream is the second."""
        asked = self.bench.get(path)
        self.assertNoResult(asked)
        question = self.origin.next()
        self.assertEqual(self.origin.asked, [])
        return asked, question

    def completed(self, path: str = RPM, *fields: tuple[str, str]) -> None:
        """Find that the next one who asks completes it by a range."""
        asked, question = self.asked(path)
        self.assertEqual(question.field("range"), f"bytes={WRITTEN}-")
        question.answer(rest(BODY, WRITTEN, *(fields or (TAG,))))
        self.assertEqual(self.successResultOf(read(self.successResultOf(asked))), BODY)
        self.assertEqual(self.stored(path), BODY)
        entry = self.entry_of(path)
        self.assertEqual(entry.digest, hashlib.sha256(BODY).hexdigest())
        self.assertEqual((len(self.bench.store.kept), self.bench.store.drafts), (0, 0))

    def metric(self, name: str) -> float:
        """Return a counter."""
        return self.bench.place.metrics.registry.get_sample_value(f"osproxy_{name}_total") or 0.0


class InterruptedTests(ResumingTestCase):
    """However a transfer ended too early, the next one goes on from there."""

    def test_broken_off(self) -> None:
        """One that broke off, and could not be continued then."""
        self.interrupt()
        asked, question = self.asked()
        self.assertEqual(question.fields, (("Range", f"bytes={WRITTEN}-"), ("If-Range", TAG[1])))
        question.answer(rest(BODY, WRITTEN, TAG))
        self.assertEqual(self.successResultOf(read(self.successResultOf(asked))), BODY)
        self.assertEqual(self.stored(RPM), BODY)
        self.assertEqual(self.metric("resumed"), 1.0)
        self.assertEqual(self.metric("resumed_bytes"), WRITTEN)

    def test_by_date(self) -> None:
        """One whose version is known by its date."""
        self.interrupt(RPM, MODIFIED, DATE)
        self.completed(RPM, MODIFIED)

    def test_by_digest(self) -> None:
        """One that will be known by its digest."""
        self.interrupt(addressed(BODY), ("X-Mirror", "one"))
        self.completed(addressed(BODY), ("X-Mirror", "two"))

    def test_given_up(self) -> None:
        """One that all readers left, more than once."""
        answer = self.begin(RPM, told := Told(200, (TAG,), LONG))
        told.send(bytes(2 * MIB))
        close(answer)
        self.assertTrue(told.abandoned)
        self.assertEqual(len(self.bench.store.kept), 1)
        for octet in range(2 * MIB, 2 * MIB + 3):
            asked, question = self.asked()
            self.assertEqual(question.field("range"), f"bytes={octet}-")
            part = ("Content-Range", f"bytes {octet}-{LONG - 1}/{LONG}")
            told = question.answer(Told(206, (TAG, part), LONG - octet))
            told.send(b"x")
            close(self.successResultOf(asked))
            self.assertEqual(len(self.bench.store.kept), 1)

    def test_stopped(self) -> None:
        """One that was under way when the server stopped; its entity tag stays the same (F7)."""
        answer = self.begin(RPM, told := Told(200, (TAG,), len(BODY)))
        assert isinstance(answer.content, Representation)
        reading = read(answer)
        told.send(BODY[:WRITTEN])
        self.bench.stop()
        self.failureResultOf(reading, BodyBroken)
        self.bench.start()
        self.completed()
        entry = self.entry_of(RPM)
        self.assertEqual(entry.head.etag, answer.content.head.etag)

    def test_killed(self) -> None:
        """One that was under way when the server was killed."""
        read(self.begin(RPM, told := Told(200, (TAG,), len(BODY)))).addErrback(lambda _: None)
        told.send(BODY[:WRITTEN])
        self.bench.place.kill()
        self.bench = Bench(self.bench.path, cache_size=self.cache_size)
        self.origin = self.bench.origin
        self.completed()

    def test_power_lost(self) -> None:
        """After a power loss one with a tag is fetched anew, one with a digest completed."""
        for path in (RPM, addressed(BODY)):
            self.interrupt(path)
        self.bench.stop()
        self.bench.place.boot += ", another"
        self.bench.start()
        asked, question = self.asked()
        self.assertEqual(question.fields, ())
        question.answer(whole(BODY, TAG))
        self.assertEqual(octets(self.successResultOf(asked)), BODY)
        self.completed(addressed(BODY))

    def test_unknown_length(self) -> None:
        """One whose length nobody knew; now it is told, and readers are told."""
        self.interrupt(RPM, TAG, sized=False)
        asked, question = self.asked()
        self.assertEqual(question.field("range"), f"bytes={WRITTEN - 1}-")
        question.answer(rest(BODY, WRITTEN - 1, TAG))
        answer = self.successResultOf(asked)
        assert isinstance(answer.content, Representation)
        self.assertEqual(answer.content.length, len(BODY))
        self.assertEqual(octets(answer), BODY)

    def test_all_there(self) -> None:
        """One that only was not committed: its last octet tells whether it is still the same."""
        reading = read(self.begin(RPM, told := Told(200, (TAG,), len(BODY))))
        told.send(BODY)
        self.assertEqual(self.successResultOf(reading), BODY)
        self.bench.stop()
        self.bench.start()
        asked, question = self.asked()
        self.assertEqual(question.field("range"), f"bytes={len(BODY) - 1}-")
        question.answer(rest(BODY, len(BODY) - 1, TAG))
        self.assertEqual(octets(self.successResultOf(asked)), BODY)
        self.assertEqual(self.stored(RPM), BODY)

    def test_in_the_same_turn(self) -> None:
        """One who asks again as soon as it is told that it is broken completes it."""
        reading = read(self.begin(RPM, told := Told(200, (TAG,), len(BODY))))
        told.send(BODY[:WRITTEN])
        told.fail(unreachable())
        again: list[Deferred[Answer]] = []
        reading.addErrback(lambda _: again.append(self.bench.get(RPM)))
        for pause in PAUSES:
            self.bench.advance(pause)
            self.origin.next().fail()
        self.origin.next().answer(rest(BODY, WRITTEN, TAG))
        self.assertEqual(octets(self.successResultOf(again[0])), BODY)
        self.assertEqual(self.stored(RPM), BODY)

    def test_while_it_is_hashed(self) -> None:
        """One that a thread still reads when it is put aside, and when it is taken up again."""
        self.bench.stop()
        self.bench.place.in_thread = thread = WhenTold()
        self.bench.build()
        starting = Deferred.fromCoroutine(self.bench.cache.start())
        thread.run_all()
        self.successResultOf(starting)
        asked = self.bench.get(RPM)
        told = self.origin.next().answer(Told(200, (TAG,), LONG))
        thread.run_all()
        answer = self.successResultOf(asked)
        told.send(bytes(5 * MIB))
        self.assertEqual(len(thread.waiting), 1)
        close(answer)
        self.assertEqual(len(self.bench.store.kept), 1)
        asked = self.bench.get(RPM)
        question = self.origin.next()
        self.assertEqual(question.field("range"), f"bytes={5 * MIB}-")
        thread.run_all()
        self.bench.place.in_thread = at_once
        question.fail()
        self.assertEqual(self.status_of(self.successResultOf(asked)), 502)
        self.assertEqual(self.bench.place.open_files(), [])
        self.assertEqual(len(self.bench.store.kept), 1)

    def test_not_kept(self) -> None:
        """One that is hardly begun, or is not certain, is fetched anew."""
        for fields, size in (((TAG,), MIB - 1), ((), MIB), ((("ETag", 'W/"v1"'),), MIB)):
            answer = self.begin(RPM, told := Told(200, fields, LONG))
            told.send(bytes(size))
            close(answer)
            self.assertEqual(self.bench.place.files(), {})


class AskingTests(ResumingTestCase):
    """What the next one who asks is answered, and what becomes of what is there."""

    def test_nothing_is_shown_before(self) -> None:
        """Nobody is shown an octet before it is certain that it is still right; all share it."""
        self.interrupt()
        asked, question = self.asked()
        other = self.bench.get(RPM, ("Range", "bytes=0-9"))
        self.assertNoResult(other)
        question.answer(rest(BODY, WRITTEN, TAG))
        for answer in (asked, other):
            self.assertEqual(octets(self.successResultOf(answer)), BODY)

    def test_shown_at_once(self) -> None:
        """Then all that is there may be read, before anything more has come."""
        self.interrupt()
        asked, question = self.asked()
        part = ("Content-Range", f"bytes {WRITTEN}-{len(BODY) - 1}/{len(BODY)}")
        told = question.answer(Told(206, (TAG, part), len(BODY) - WRITTEN))
        answer = self.successResultOf(asked)
        early = read(self.successResultOf(self.bench.get(RPM)), 0, WRITTEN)
        self.assertEqual(self.successResultOf(early), BODY[:WRITTEN])
        told.send(BODY[WRITTEN:])
        told.finish()
        self.assertEqual(octets(answer), BODY)

    def test_changed(self) -> None:
        """A file that is another one by now comes whole, without asking twice."""
        self.interrupt()
        asked, question = self.asked()
        question.answer(whole(b"new", OTHER_TAG))
        self.assertEqual(octets(self.successResultOf(asked)), b"new")
        self.assertEqual(self.stored(RPM), b"new")
        self.assertEqual((len(self.bench.store.kept), self.metric("resumed")), (0, 0.0))

    def test_refused(self) -> None:
        """After a 206 that does not fit, or a 416, it is fetched anew."""
        part = ("Content-Range", f"bytes {WRITTEN}-{len(BODY) - 1}/{len(BODY)}")
        for told in (
            rest(BODY, WRITTEN - 1, TAG),
            rest(BODY, WRITTEN, OTHER_TAG),
            rest(BODY[:-1], WRITTEN, TAG),
            rest(BODY, WRITTEN),
            Told(206, (TAG,), len(BODY) - WRITTEN),
            Told(206, (TAG, part, part), len(BODY) - WRITTEN),
            Told(416, (), 0),
        ):
            self.interrupt()
            asked, question = self.asked()
            question.answer(told)
            self.assertTrue(told.abandoned)
            question = self.origin.next()
            self.assertEqual(question.fields, ())
            question.answer(whole(b"new", TAG))
            self.assertEqual(octets(self.successResultOf(asked)), b"new")
            self.assertEqual(len(self.bench.store.kept), 0)
            entry = self.entry_of(RPM)
            self.bench.store.doom(entry)

    def test_whole(self) -> None:
        """A server that knows no ranges sends all of it; what is there need not be waited for."""
        self.interrupt()
        asked, question = self.asked()
        told = question.answer(Told(200, (TAG,), len(BODY)))
        reading = read(self.successResultOf(asked))
        early = read(self.successResultOf(self.bench.get(RPM)), 0, WRITTEN)
        self.assertEqual(self.successResultOf(early), BODY[:WRITTEN])
        told.send(BODY[:MIB])
        told.send(BODY[MIB:])
        told.finish()
        self.assertEqual(self.successResultOf(reading), BODY)

    def test_no_answer(self) -> None:
        """What says nothing of the file costs nothing of what is there."""
        self.interrupt()
        for told, status in (
            (Told(503, (), 0), 503),
            (Told(404, (), 0), 404),
            (None, 502),
            (Told(304, (), 0), 502),
        ):
            asked, question = self.asked()
            if told is None:
                question.fail()
            else:
                question.answer(told)
            self.assertEqual(self.status_of(self.successResultOf(asked)), status)
            self.assertEqual(len(self.bench.store.kept), 1)
            self.bench.advance(61)
        self.completed()

    def test_breaks_off_again(self) -> None:
        """What breaks off once more is continued like any other transfer."""
        self.interrupt()
        asked, question = self.asked()
        part = ("Content-Range", f"bytes {WRITTEN}-{len(BODY) - 1}/{len(BODY)}")
        told = question.answer(Told(206, (TAG, part), len(BODY) - WRITTEN))
        reading = read(self.successResultOf(asked))
        told.send(BODY[WRITTEN : WRITTEN + 9])
        told.fail(unreachable())
        self.bench.advance(PAUSES[0])
        self.origin.next().answer(rest(BODY, WRITTEN + 9, TAG))
        self.assertEqual(self.successResultOf(reading), BODY)

    def test_left_while_asking(self) -> None:
        """When all have left before the answer comes, it is finished if it is worth it."""
        self.interrupt()
        asked, question = self.asked()
        asked.cancel()
        self.failureResultOf(asked)
        question.answer(rest(BODY, WRITTEN, TAG))
        self.assertEqual(self.stored(RPM), BODY)

    def test_stopped_while_asking(self) -> None:
        """A stop while it is asked leaves it as it is."""
        self.interrupt()
        asked, _ = self.asked()
        self.bench.stop()
        self.assertEqual(self.status_of(self.successResultOf(asked)), 502)
        self.bench.start()
        self.completed()

    def test_wrong_in_the_end(self) -> None:
        """Where the digest is wrong in the end, nothing of it is kept (B1)."""
        self.interrupt(addressed(BODY))
        asked, question = self.asked(addressed(BODY))
        wrong = BODY[:-1] + b"?"
        question.answer(rest(wrong, WRITTEN))
        reading = read(self.successResultOf(asked))
        self.failureResultOf(reading, BodyBroken)
        self.assertEqual((len(self.bench.store.kept), self.bench.place.files()), (0, {}))

    def test_another_expectation(self) -> None:
        """What was begun under another expectation is no beginning."""
        self.interrupt()
        target = Target("/", RPM)
        source = FileSource(self.bench.upstream, BACKEND.url_of(RPM), https_only=False)
        expectation = Expectation(Digest("sha256", hashlib.sha256(b"new").hexdigest()))
        policy = policy_of(Kind.PACKAGE, RPM, freshness={})
        order = Order(target, source, policy, expectation, background=True)
        self.bench.fills.begin(order, lambda _: None)
        question = self.origin.next()
        self.assertEqual((question.fields, len(self.bench.store.kept)), ((), 0))
        question.answer(whole(b"new"))
        self.assertEqual(self.stored(RPM), b"new")

    def test_not_to_be_stored(self) -> None:
        """Where responses are heeded, one that may not be stored is passed on."""
        path, no_store = "/oss/odd.thing", ("Cache-Control", "no-store")
        self.interrupt(path)
        asked, question = self.asked(path)
        question.answer(rest(BODY, WRITTEN, TAG, no_store))
        question = self.origin.next()
        self.assertEqual(question.fields, ())
        question.answer(whole(BODY, TAG, no_store))
        answer = self.successResultOf(asked)
        self.assertIsInstance(answer.content, Relayed)
        close(answer)
        self.assertEqual(self.bench.place.files(), {})


class RevalidatingTests(ResumingTestCase):
    """An entry that is stale, and the beginning of what is to replace it, in one question."""

    def setUp(self) -> None:
        """Have both."""
        super().setUp()
        self.store(RPM, b"old", OTHER_TAG)
        self.bench.advance(HOUR)
        self.interrupt()
        # Until it is asked again.
        self.bench.advance(HOUR)

    def test_question(self) -> None:
        """The condition is about the entry, and holds before the range (RFC 9110, 13.2.2)."""
        asked, question = self.asked()
        expected = (
            ("If-None-Match", OTHER_TAG[1]),
            ("Range", f"bytes={WRITTEN}-"),
            ("If-Range", TAG[1]),
        )
        self.assertEqual(question.fields, expected)
        question.answer(rest(BODY, WRITTEN, TAG))
        self.assertEqual(octets(self.successResultOf(asked)), BODY)
        self.assertEqual(self.stored(RPM), BODY)

    def test_not_modified(self) -> None:
        """When the entry is right after all, the beginning of the other goes."""
        asked, question = self.asked()
        question.answer(Told(304, (OTHER_TAG,), 0))
        self.assertEqual(octets(self.successResultOf(asked)), b"old")
        self.assertEqual(len(self.bench.store.kept), 0)

    def test_third_version(self) -> None:
        """When there is a third version, it comes whole."""
        asked, question = self.asked()
        question.answer(whole(b"third", ("ETag", '"v3"')))
        self.assertEqual(octets(self.successResultOf(asked)), b"third")
        self.assertEqual((self.stored(RPM), len(self.bench.store.kept)), (b"third", 0))

    def test_no_answer(self) -> None:
        """When there is no answer, the entry is served stale, and the other waits on."""
        asked, question = self.asked()
        question.fail()
        self.assertEqual(octets(self.successResultOf(asked)), b"old")
        self.assertEqual(len(self.bench.store.kept), 1)


class FullTests(ResumingTestCase):
    """What waits to be completed is in nobody's way."""

    cache_size = 5 * MIB

    def test_gives_way(self) -> None:
        """B6: it goes when another file wants its room."""
        self.interrupt()
        self.store("/oss/other.rpm", bytes(3 * MIB))
        self.assertEqual(len(self.bench.store.kept), 0)

    def test_no_room_for_the_rest(self) -> None:
        """Where there is no room for the rest, it is passed through, and the beginning waits on."""
        self.interrupt()
        blocking = self.begin("/oss/other.rpm", Told(200, (TAG,), int(2.3 * MIB)))
        asked = self.bench.get(RPM)
        question = self.origin.next()
        self.assertEqual(question.fields, ())
        question.answer(Told(200, (TAG,), len(BODY)))
        answer = self.successResultOf(asked)
        self.assertIsInstance(answer.content, Relayed)
        close(answer)
        self.assertEqual(len(self.bench.store.kept), 1)
        close(blocking)


class AnyServerTests(ResumingTestCase):
    """Whatever a server does before and after a restart."""

    @settings(max_examples=60)
    @given(st.lists(st.lists(behaviours, max_size=6), min_size=1, max_size=3), st.booleans())
    def test_right_or_broken(self, runs: list[list[Behaviour]], expected: bool) -> None:
        """Each body is delivered exactly as one of the versions has it, or it is broken."""
        self.bench.stop()
        self.setUp()
        server = AnyServer(beginning=MIB)
        bodies = list(server.versions.values())
        path = addressed(bodies[0]) if expected else RPM
        for then in runs:
            reading = Deferred.fromCoroutine(body_or_nothing(self.bench.get(path)))
            for behaviour in then:
                if self.origin.asked:
                    server.answer(self.origin.next(), behaviour)
                self.bench.advance(max(PAUSES))
            self.bench.stop()
            self.origin.asked.clear()
            got = self.successResultOf(reading)
            self.bench.advance(HOUR)
            self.bench.start()
            self.assertIn(got, (None, *(bodies[:1] if expected else bodies)))
            self.assertIn(self.stored(path), (None, *(bodies[:1] if expected else bodies)))
            self.assertLessEqual(len(self.bench.place.files()), 2)
