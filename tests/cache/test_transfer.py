"""Tests of `osproxy.cache.transfer`: transfers that break off, seen by those who read."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from osproxy.cache.transfer import PAUSES
from osproxy.cache.verified import HELD_BACK
from osproxy.model import BodyBroken, Target
from tests.cache.doubles import (
    DATE,
    MODIFIED,
    CacheTestCase,
    addressed,
    body_of,
    close,
    octets,
    read,
)
from tests.cache.origin import Question, Told, unreachable, whole
from tests.cache.servers import AnyServer, Behaviour, behaviours, body_or_nothing

RPM = "/oss/x86_64/a-1-1.x86_64.rpm"
UNKNOWN = "/oss/odd.thing"
TAG = ("ETag", '"v1"')
BODY = bytes(range(256)) * 1024
MIB = 1 << 20


def rest(
    body: bytes, start: int, *fields: tuple[str, str], host: str = "authority.example"
) -> Told:
    """Make the head of a 206 that ends where the body ends."""
    part = ("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    return Told(206, (*fields, part), len(body) - start, host=host)


class TransferTestCase(CacheTestCase):
    """A body that is begun, breaks off, and is asked for again."""

    def broken_off(self, path: str, told: Told, body: bytes) -> Deferred[bytes]:
        """Have a reader of a body that breaks off after these octets."""
        reading = read(self.begin(path, told))
        told.send(body)
        told.fail(unreachable())
        return reading

    def asked_again(self, after: float = PAUSES[0]) -> Question:
        """Let the time pass after which the rest is asked for."""
        self.assertEqual(self.origin.asked, [])
        self.bench.advance(after)
        return self.origin.next()

    def send(self, question: Question, told: Told, body: bytes) -> None:
        """Answer with a body that ends well."""
        question.answer(told)
        told.send(body)
        told.finish()

    def metric(self, name: str) -> float:
        """Return a counter."""
        return self.bench.place.metrics.registry.get_sample_value(f"osproxy_{name}_total") or 0.0


class ContinuingTests(TransferTestCase):
    """What breaks off is continued, and readers see nothing of it (B4)."""

    def test_continued(self) -> None:
        """The rest is asked for from where it broke off, of that version and no other."""
        reading = self.broken_off(RPM, Told(200, (TAG,), len(BODY)), BODY[:1000])
        question = self.asked_again()
        self.assertEqual(question.fields, (("Range", "bytes=1000-"), ("If-Range", '"v1"')))
        self.send(question, rest(BODY, 1000, TAG), BODY[1000:])
        self.assertEqual(self.successResultOf(reading), BODY)
        self.assertEqual(self.stored(RPM), BODY)
        self.assertEqual((self.metric("resumed"), self.metric("resumed_bytes")), (1.0, 1000.0))

    def test_again_and_again(self) -> None:
        """However often it breaks off, as long as there is progress it goes on."""
        reading = self.broken_off(RPM, Told(200, (TAG,), len(BODY)), BODY[:1000])
        for start in range(1000, len(BODY), 1000):
            question = self.asked_again()
            self.assertEqual(question.field("range"), f"bytes={start}-")
            told = question.answer(rest(BODY, start, TAG))
            told.send(BODY[start : start + 1000])
            if start + 1000 < len(BODY):
                told.fail(unreachable())
            else:
                told.finish()
        self.assertEqual(self.successResultOf(reading), BODY)

    def test_readers(self) -> None:
        """Readers at different offsets, and one that comes in the pause, each get their octets."""
        first = self.begin(RPM, told := Told(200, (TAG,), len(BODY)))
        others = [self.successResultOf(self.bench.get(RPM)) for _ in range(2)]
        told.send(BODY[:1000])
        near, far = read(others[0], 500, 1500), read(others[1], 90_000)
        told.fail(unreachable())
        late = read(self.successResultOf(self.bench.get(RPM)))
        self.assertNoResult(near)
        told = self.asked_again().answer(rest(BODY, 1000, TAG))
        told.send(BODY[1000:2000])
        self.assertEqual(self.successResultOf(near), BODY[500:1500])
        told.send(BODY[2000:])
        told.finish()
        self.assertEqual(self.successResultOf(far), BODY[90_000:])
        self.assertEqual(self.successResultOf(late), BODY)
        self.assertEqual(octets(first), BODY)

    def test_given_up(self) -> None:
        """After three tries without an octet, ever longer apart, it is broken."""
        reading = self.broken_off(RPM, Told(200, (TAG,), len(BODY)), BODY[:1000])
        for pause in PAUSES:
            self.bench.advance(pause - 0.1)
            self.asked_again(0.2).fail()
            self.bench.advance(-0.1)
        self.failureResultOf(reading, BodyBroken)
        self.assertEqual(self.origin.asked, [])
        self.assertEqual(PAUSES, (1.0, 2.0, 4.0))
        self.assertEqual(self.metric("resumed"), 0.0)

    def test_progress_counts(self) -> None:
        """A single octet gives it three tries more."""
        reading = self.broken_off(RPM, Told(200, (TAG,), len(BODY)), BODY[:1000])
        for position in range(1000, 1003):
            self.asked_again().fail()
            told = self.asked_again(PAUSES[1]).answer(rest(BODY, position, TAG))
            told.send(BODY[position : position + 1])
            told.fail(unreachable())
        self.send(self.asked_again(), rest(BODY, 1003, TAG), BODY[1003:])
        self.assertEqual(self.successResultOf(reading), BODY)

    def test_uncertain(self) -> None:
        """A body without a strong validator is not continued."""
        for fields in ((), (("ETag", 'W/"v1"'),), (MODIFIED,), (("ETag", "v1"),)):
            reading = self.broken_off(RPM, Told(200, fields, len(BODY)), BODY[:1000])
            self.failureResultOf(reading, BodyBroken)
            self.bench.advance(60)
            self.assertEqual(self.origin.asked, [])

    def test_before_the_first_octet(self) -> None:
        """A body of which nothing came is asked for once more, whole."""
        reading = self.broken_off(RPM, Told(200, (MODIFIED, DATE), len(BODY)), b"")
        question = self.asked_again()
        self.assertEqual(question.fields, (("Range", "bytes=0-"), ("If-Range", MODIFIED[1])))
        self.send(question, rest(BODY, 0, MODIFIED), BODY)
        self.assertEqual(self.successResultOf(reading), BODY)

    def test_parts(self) -> None:
        """A server may send less than it is asked for, as often as it likes."""
        reading = self.broken_off(RPM, Told(200, (TAG,), 100), BODY[:40])
        for start, stop in ((40, 60), (60, 99), (99, 100)):
            part = ("Content-Range", f"bytes {start}-{stop - 1}/100")
            self.send(self.asked_again(), Told(206, (TAG, part), stop - start), BODY[start:stop])
        self.assertEqual(self.successResultOf(reading), BODY[:100])

    def test_stored_as_it_was_said_last(self) -> None:
        """What the last response says holds for the entry, but for its tag (F7)."""
        fields = (TAG, ("Cache-Control", "max-age=60"), ("Content-Type", "x/y"), DATE)
        reading = self.broken_off(UNKNOWN, Told(200, fields, 100), BODY[:40])
        fill = self.fill_of(UNKNOWN)
        assert fill.head is not None
        before = fill.head
        said = (TAG, ("Cache-Control", "max-age=99"), ("Content-Type", "q/q"), ("Age", "7"))
        self.send(self.asked_again(), rest(BODY[:100], 40, *said), BODY[40:100])
        self.assertEqual(self.successResultOf(reading), BODY[:100])
        entry = self.entry_of(UNKNOWN)
        self.assertEqual(entry.head.etag, before.etag)
        self.assertEqual(dict(entry.head.fields)["Cache-Control"], "max-age=99")
        self.assertEqual(dict(entry.head.fields)["Content-Type"], "x/y")
        self.assertEqual(entry.head.date, before.date + PAUSES[0] - 7)
        self.bench.stop()
        self.bench.start()
        again = self.entry_of(UNKNOWN)
        self.assertEqual(again.head, entry.head)

    def test_not_to_be_stored(self) -> None:
        """Where responses are heeded, what may not be stored is not combined (RFC 9111, 3)."""
        no_store = ("Cache-Control", "no-store")
        fields = (TAG, ("Cache-Control", "max-age=60"))
        reading = self.broken_off(UNKNOWN, Told(200, fields, 100), BODY[:40])
        told = self.asked_again().answer(rest(BODY[:100], 40, TAG, no_store))
        self.failureResultOf(reading, BodyBroken)
        self.assertTrue(told.abandoned)


class LeavingTests(TransferTestCase):
    """Nobody waits for what nobody wants."""

    cache_size = 512 * MIB

    def test_in_the_pause(self) -> None:
        """When the last reader leaves in the pause, nothing more is asked."""
        answer = self.begin(RPM, told := Told(200, (TAG,), 200 * MIB))
        told.send(BODY)
        told.fail(unreachable())
        close(answer)
        self.assertEqual(self.bench.place.clock.getDelayedCalls()[1:], [])
        self.bench.advance(60)
        self.assertEqual((self.origin.asked, self.bench.fills.unattended), ([], 0))

    def test_while_asking(self) -> None:
        """When the last reader leaves while the rest is asked for, the question is withdrawn."""
        answer = self.begin(RPM, told := Told(200, (TAG,), 200 * MIB))
        told.send(BODY)
        told.fail(unreachable())
        question = self.asked_again()
        close(answer)
        self.assertTrue(question._answer.called)
        self.assertIsNone(self.bench.fills.find(Target("/", RPM)))

    def test_nearly_there(self) -> None:
        """What is worth finishing is continued though nobody reads."""
        answer = self.begin(RPM, told := Told(200, (TAG,), len(BODY)))
        told.send(BODY[:1000])
        close(answer)
        told.fail(unreachable())
        self.send(self.asked_again(), rest(BODY, 1000, TAG), BODY[1000:])
        self.assertEqual(self.stored(RPM), BODY)

    def test_stop_in_the_pause(self) -> None:
        """A stop ends the pause."""
        reading = self.broken_off(RPM, Told(200, (TAG,), len(BODY)), BODY[:1000])
        self.bench.stop()
        self.failureResultOf(reading, BodyBroken)
        self.assertEqual(self.bench.place.clock.getDelayedCalls(), [])
        self.bench.start()


class RefusedTests(TransferTestCase):
    """What does not fit is refused: octets of two versions never come together."""

    def test_misfit(self) -> None:
        """A 206 that is not what was asked for counts as a try, and nothing of it is taken."""
        reading = self.broken_off(RPM, Told(200, (TAG,), len(BODY)), BODY[:1000])
        told = self.asked_again().answer(rest(BODY, 999, TAG))
        told.send(BODY[999:])
        self.assertTrue(told.abandoned)
        self.asked_again(PAUSES[1]).answer(whole(b"?", TAG, status=503))
        self.send(self.asked_again(PAUSES[2]), rest(BODY, 1000, TAG), BODY[1000:])
        self.assertEqual(self.successResultOf(reading), BODY)

    def test_changed(self) -> None:
        """A file that is another one by now is not waited for: the next one who asks gets it."""
        other = ("ETag", '"v2"')
        for told in (
            rest(BODY, 1000, other),
            Told(200, (other,), len(BODY)),
            Told(416, (("Content-Range", "bytes */9"),), 0),
        ):
            reading = self.broken_off(RPM, Told(200, (TAG,), len(BODY)), BODY[:1000])
            self.asked_again().answer(told)
            self.failureResultOf(reading, BodyBroken)
            self.assertTrue(told.abandoned)
            self.assertEqual(self.bench.place.files(), {})
        self.store(RPM, b"new", other)

    def test_whole(self) -> None:
        """A server that knows no ranges sends all of it again; what is here is left out."""
        reading = self.broken_off(RPM, Told(200, (TAG,), len(BODY)), BODY[:1000])
        self.send(self.asked_again(), Told(200, (TAG,), len(BODY)), BODY)
        self.assertEqual(self.successResultOf(reading), BODY)
        self.assertEqual((self.metric("resumed"), self.metric("resumed_bytes")), (1.0, 0.0))

    def test_surplus(self) -> None:
        """Of a part that is longer than it says no octet too many is taken."""
        reading = self.broken_off(RPM, Told(200, (TAG,), 100), BODY[:40])
        part = ("Content-Range", "bytes 40-79/100")
        told = self.asked_again().answer(Told(206, (TAG, part)))
        told.send(BODY[40:60])
        told.send(b"x" * 40)
        self.assertTrue(told.abandoned)
        question = self.asked_again()
        self.assertEqual(question.field("range"), "bytes=60-")
        self.send(question, rest(BODY[:100], 60, TAG), BODY[60:100])
        self.assertEqual(self.successResultOf(reading), BODY[:100])


class UnknownLengthTests(TransferTestCase):
    """A body of unknown length ends where it is certain that it ends (B2)."""

    def test_length_told_later(self) -> None:
        """The last octet is asked for again: it may have been the last."""
        reading = self.broken_off(RPM, Told(200, (TAG,)), BODY[:1000])
        question = self.asked_again()
        self.assertEqual(question.field("range"), "bytes=999-")
        self.send(question, rest(BODY, 999, TAG), BODY[999:])
        self.assertEqual(self.successResultOf(reading), BODY)

    def test_was_the_last_octet(self) -> None:
        """It was."""
        reading = self.broken_off(RPM, Told(200, (TAG,)), BODY)
        question = self.asked_again()
        self.send(question, rest(BODY, len(BODY) - 1, TAG), BODY[-1:])
        self.assertEqual(self.successResultOf(reading), BODY)

    def test_nobody_knows(self) -> None:
        """Where the length is never told, it is asked for more until there is none."""
        reading = self.broken_off(RPM, Told(200, (TAG,)), BODY[:40])
        for start, stop in ((39, 60), (59, 100), (99, 100)):
            question = self.asked_again()
            self.assertEqual(question.field("range"), f"bytes={start}-")
            self.assertNoResult(reading)
            part = ("Content-Range", f"bytes {start}-{stop - 1}/*")
            self.send(question, Told(206, (TAG, part), stop - start), BODY[start:stop])
        self.assertEqual(self.successResultOf(reading), BODY[:100])

    def test_told_once(self) -> None:
        """A length that was told holds from then on."""
        reading = self.broken_off(RPM, Told(200, (TAG,)), BODY[:40])
        told = self.asked_again().answer(rest(BODY[:100], 39, TAG))
        told.send(BODY[39:60])
        told.fail(unreachable())
        self.asked_again().answer(other := rest(BODY[:101], 60, TAG))
        self.failureResultOf(reading, BodyBroken)
        self.assertTrue(other.abandoned)


class MirrorTests(TransferTestCase):
    """A redirect may lead to another mirror each time."""

    def test_by_date(self) -> None:
        """Tags of other mirrors are their own; the date of the file is the same."""
        told = Told(200, (TAG, MODIFIED, DATE), len(BODY), host="one.example", hops=1)
        reading = self.broken_off(RPM, told, BODY[:1000])
        question = self.asked_again()
        self.assertEqual(question.fields, (("Range", "bytes=1000-"),))
        other = (("ETag", '"other"'), MODIFIED, DATE)
        told = question.answer(rest(BODY, 1000, *other, host="two.example"))
        told.send(BODY[1000:2000])
        told.fail(unreachable())
        # Back at the first one.
        self.send(
            self.asked_again(), rest(BODY, 2000, TAG, MODIFIED, host="one.example"), BODY[2000:]
        )
        self.assertEqual(self.successResultOf(reading), BODY)

    def test_older_mirror(self) -> None:
        """A mirror with another date has another version."""
        told = Told(200, (TAG, MODIFIED, DATE), len(BODY), host="one.example", hops=1)
        reading = self.broken_off(RPM, told, BODY[:1000])
        older = ("Last-Modified", "Thu, 01 Jan 1970 00:30:00 GMT")
        self.asked_again().answer(told := rest(BODY, 1000, older, host="two.example"))
        self.failureResultOf(reading, BodyBroken)
        self.assertTrue(told.abandoned)


class ExpectationTests(TransferTestCase):
    """Where there is a digest, it decides what belongs together."""

    def test_any_mirror(self) -> None:
        """Nothing but the digest need say that it is the same file."""
        reading = self.broken_off(addressed(BODY), Told(200, (), len(BODY)), BODY[:1000])
        question = self.asked_again()
        self.assertEqual(question.fields, (("Range", "bytes=1000-"),))
        told = question.answer(rest(BODY, 1000, TAG))
        told.send(BODY[1000:])
        # The last block waits for the digest.
        self.assertNoResult(reading)
        told.finish()
        self.assertEqual(self.successResultOf(reading), BODY)
        self.assertEqual(self.stored(addressed(BODY)), BODY)

    def test_wrong_rest(self) -> None:
        """Parts that make another file are never served complete, and not kept (B1)."""
        answer = self.begin(addressed(BODY), told := Told(200, (), len(BODY)))
        reading = read(answer)
        told.send(BODY[:1000])
        told.fail(unreachable())
        self.send(self.asked_again(), rest(BODY, 1000), bytes(len(BODY) - 1000))
        self.failureResultOf(reading, BodyBroken)
        self.assertEqual(self.bench.place.files(), {})
        self.assertEqual(body_of(answer).available, len(BODY) - HELD_BACK)

    def one_block(self, second: bytes) -> Deferred[Any]:
        """Have a file of one block put together from two parts; nobody has seen anything of it."""
        asked = self.bench.get(addressed(b"right, whole"))
        told = self.origin.next().answer(Told(200, (), 12))
        told.send(b"right")
        told.fail(unreachable())
        self.send(self.asked_again(), rest(b"right, whole", 5), second)
        return asked

    def test_one_block(self) -> None:
        """A file of one block that is right in the end is told of then."""
        asked = self.one_block(b", whole")
        self.assertEqual(octets(self.successResultOf(asked)), b"right, whole")

    def test_fetched_anew(self) -> None:
        """One that is wrong is fetched anew, once, from its first octet."""
        for second, fine in ((b"right, whole", True), (b"wrong again.", False)):
            asked = self.one_block(b"? wrong")
            question = self.origin.next()
            self.assertEqual(question.fields, ())
            self.send(question, Told(200, (), 12), second)
            answer = self.successResultOf(asked)
            if fine:
                self.assertEqual(octets(answer), second)
                self.assertEqual(self.stored(addressed(second)), second)
                entry = self.entry_of(addressed(second))
                self.bench.store.doom(entry)
            else:
                self.assertEqual(self.status_of(answer), 502)
                self.assertEqual(self.origin.asked, [])

    def test_fetched_anew_in_vain(self) -> None:
        """Where it is not there any more, or has another length, that is the end of it."""
        for told in (Told(404, (), 0), Told(200, (), 11), Told(206, (), 12), None):
            asked = self.one_block(b"? wrong")
            if told is None:
                self.origin.next().fail()
            else:
                self.origin.next().answer(told)
                self.assertTrue(told.abandoned)
            self.assertEqual(self.status_of(self.successResultOf(asked)), 502)
            self.assertEqual(self.bench.place.files(), {})

    def test_fetched_anew_and_broken(self) -> None:
        """What is fetched anew may break off, too."""
        asked = self.one_block(b"? wrong")
        told = self.origin.next().answer(Told(200, (), 12))
        told.send(b"right, ")
        told.fail(unreachable())
        self.send(self.asked_again(), rest(b"right, whole", 7), b"whole")
        self.assertEqual(octets(self.successResultOf(asked)), b"right, whole")


class AnyServerTests(TransferTestCase):
    """Whatever a server does, and wherever it breaks off."""

    @settings(max_examples=150)
    @given(
        st.sampled_from("ab"),
        st.integers(0, 99),
        st.lists(behaviours, max_size=8),
        st.booleans(),
        st.booleans(),
    )
    def test_right_or_broken(
        self, first: str, cut: int, then: list[Behaviour], expected: bool, sized: bool
    ) -> None:
        """A body is delivered exactly as one of the versions has it, or it is broken."""
        self.bench.stop()
        self.setUp()
        server = AnyServer(sized=sized)
        path = addressed(server.versions["a"]) if expected else RPM
        reading = Deferred.fromCoroutine(body_or_nothing(self.bench.get(path)))
        server.answer(self.origin.next(), Behaviour(first, cut=cut))
        for behaviour in then:
            self.bench.advance(max(PAUSES))
            if self.origin.asked:
                server.answer(self.origin.next(), behaviour)
        while self.bench.fills.find(Target("/", path)) is not None:
            self.bench.advance(max(PAUSES))
            if self.origin.asked:
                server.answer(self.origin.next(), Behaviour(first))
        got = self.successResultOf(reading)
        if got is not None:
            self.assertEqual(got, server.versions["a" if expected else first])
        self.assertEqual(self.stored(path), got)
        self.assert_settled()
