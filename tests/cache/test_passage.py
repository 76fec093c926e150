"""Tests of `osproxy.cache.passage`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.passage import Passage, ahead, continued, relay
from osproxy.cache.source import FileSource
from osproxy.model import Asked, BodyBroken, Head, PassingBody
from osproxy.upstream.origin import Unreachable
from tests.cache.doubles import MODIFIED, taken
from tests.cache.origin import Origin, Told, unreachable, whole

if TYPE_CHECKING:
    from osproxy.upstream.origin import Reply, Upstream

URL = "https://authority.example/a.iso"
OTHER = ("Last-Modified", "Thu, 01 Jan 1970 02:00:00 GMT")


def passage(told: Told, skip: int = 0, length: int | None = None) -> Passage:
    """Make a passage of a reply that is played."""
    return Passage(cast("Reply", told), skip, length)


class PassageTests(SynchronousTestCase):
    """A body passes through at the client's pace."""

    def test_all(self) -> None:
        """All octets pass as they come."""
        self.assertEqual(passage(Told(200, (), 4)).length, 4)
        taking = Deferred.fromCoroutine(taken(passage(whole(b"body"))))
        self.assertEqual(self.successResultOf(taking), b"body")

    def test_part(self) -> None:
        """Of what comes the wanted part is taken, and then no more is read."""
        part = passage(told := Told(200, (), 11), 3, 4)
        self.assertEqual(part.length, 4)
        taking = Deferred.fromCoroutine(taken(part))
        for block in (b"01", b"23", b"45", b"6789"):
            told.send(block)
        self.assertEqual(self.successResultOf(taking), b"3456")
        self.assertTrue(told.abandoned)

    def test_last_octet(self) -> None:
        """Where the reply ends with the wanted part its connection is kept for the next."""
        for told, skip in ((Told(206, (), 4), 0), (Told(200, (), 7), 3)):
            taking = Deferred.fromCoroutine(passage(told, skip, 4).deliver(lambda _: None))
            told.send(b"0123456"[: told.length])
            self.assertFalse(told.abandoned)
            told.finish()
            self.successResultOf(taking)

    def test_rest(self) -> None:
        """Without an end the rest of the file passes, and it is as long as what is left."""
        rest = passage(told := whole(b"0123456789"), 7)
        self.assertEqual(rest.length, 3)
        self.assertIsNone(passage(Told(), 7).length)
        taking = Deferred.fromCoroutine(taken(rest))
        self.assertEqual(self.successResultOf(taking), b"789")
        self.assertTrue(told.abandoned)

    def test_broken(self) -> None:
        """A body that ends before its end is broken."""
        taking = Deferred.fromCoroutine(taken(passage(told := Told(200, (), 9))))
        told.send(b"half")
        told.fail(unreachable())
        self.failureResultOf(taking, BodyBroken)

    def test_too_short(self) -> None:
        """A file that has become shorter than the part that is wanted is broken, too."""
        taking = Deferred.fromCoroutine(taken(passage(whole(b"01234"), 3, 4)))
        self.failureResultOf(taking, BodyBroken)

    def test_back_pressure(self) -> None:
        """What the client does not take is not read from the upstream."""
        body = passage(told := Told(200, (), 9))
        body.pause()
        self.assertTrue(told.paused)
        body.resume()
        self.assertFalse(told.paused)
        body.close()
        self.assertTrue(told.abandoned)


class SourceTestCase(SynchronousTestCase):
    """An upstream to ask."""

    def setUp(self) -> None:
        """Have an upstream."""
        self.origin = Origin()
        self.source = FileSource(cast("Upstream", self.origin), URL, https_only=True)
        self.head = Head('"ours"', (MODIFIED,), '"theirs"', "authority.example", 0.0)


class RelayTests(SourceTestCase):
    """A client's question is passed on, and the answer."""

    def test_forwarded(self) -> None:
        """Range and conditions are passed on, nothing else that the client says."""
        fields = (("range", "bytes=1-"), ("If-None-Match", '"x"'), ("Cookie", "a=b"))
        relaying = Deferred.fromCoroutine(relay(self.source, Asked(fields=fields)))
        question = self.origin.next()
        self.assertTrue(question.https_only)
        self.assertEqual(question.fields, (("Range", "bytes=1-"), ("If-None-Match", '"x"')))
        told = question.answer(Told(304, (("Set-Cookie", "a=b"), MODIFIED), 0))
        content, _ = self.successResultOf(relaying)
        self.assertEqual(content.status, 304)
        self.assertEqual((content.body, told.abandoned), (None, True))
        self.assertIn(MODIFIED, content.fields)

    def test_no_content(self) -> None:
        """A status that has no body has no length either."""
        for status, head in ((204, False), (304, False), (304, True)):
            relaying = Deferred.fromCoroutine(relay(self.source, Asked("HEAD" if head else "GET")))
            self.origin.next().answer(Told(status, (("Content-Length", "0"),), 0))
            self.assertEqual(self.successResultOf(relaying)[0].fields, ())

    def test_head(self) -> None:
        """HEAD is asked by HEAD, of the whole file, and has no body."""
        fields = (("Range", "bytes=1-"), ("If-Range", '"x"'), ("If-Match", '"x"'))
        relaying = Deferred.fromCoroutine(relay(self.source, Asked("HEAD", fields=fields)))
        question = self.origin.next()
        self.assertTrue(question.head)
        self.assertEqual(question.fields, fields[2:])
        told = question.answer(Told(200, (), 7))
        content, _ = self.successResultOf(relaying)
        self.assertIsNone(content.body)
        self.assertTrue(told.abandoned)


class AheadTests(SourceTestCase):
    """A range that a fill will not reach soon comes from elsewhere, of the same version."""

    def ahead(self, told: Told) -> Deferred[object]:
        """Ask for the last octet of ten."""
        asked = Asked(fields=(("Range", "bytes=9-"),))
        asking: Deferred[object] = Deferred.fromCoroutine(ahead(self.source, asked, self.head, 10))
        self.origin.next().answer(told)
        return asking

    def test_same_version(self) -> None:
        """The same date, or the same entity tag, makes it the same version."""
        for same in (MODIFIED, ("ETag", '"theirs"')):
            part = ("Content-Range", "bytes 9-9/10")
            self.successResultOf(self.ahead(Told(206, (same, part), 1)))
        self.successResultOf(self.ahead(Told(200, (MODIFIED,), 10)))

    def test_another_version(self) -> None:
        """Another date or another length makes it another."""
        for fields in (
            (OTHER, ("Content-Range", "bytes 9-9/10")),
            (MODIFIED, ("Content-Range", "bytes 9-9/11")),
            (MODIFIED, ("Content-Range", "bytes 9-9/*")),
        ):
            told = Told(206, fields, 1)
            self.failureResultOf(self.ahead(told), Unreachable)
            self.assertTrue(told.abandoned)


class ContinuedTests(SourceTestCase):
    """The rest of a body whose beginning was had before."""

    def continued(
        self, told: Told | None, stop: int | None = None, length: int | None = 10
    ) -> Deferred[PassingBody]:
        """Go on at octet 4."""
        going: Deferred[PassingBody] = Deferred.fromCoroutine(
            continued(self.source, self.head, length, 4, stop)
        )
        question = self.origin.next()
        self.assertEqual(question.field("range"), "bytes=4-" if stop is None else "bytes=4-6")
        if told is None:
            question.fail()
        else:
            question.answer(told)
        return going

    def octets(self, told: Told, stop: int | None = None, length: int | None = 10) -> bytes:
        """Return what comes."""
        body = self.successResultOf(self.continued(told, stop, length))
        return self.successResultOf(Deferred.fromCoroutine(taken(body)))

    def test_range(self) -> None:
        """The rest is asked for by its range."""
        part = ("Content-Range", "bytes 4-9/10")
        self.assertEqual(self.octets(whole(b"456789", MODIFIED, part, status=206)), b"456789")
        part = ("Content-Range", "bytes 4-6/10")
        self.assertEqual(self.octets(whole(b"456", MODIFIED, part, status=206), 7), b"456")

    def test_unknown_length(self) -> None:
        """A length that nobody knew need not match."""
        part = ("Content-Range", "bytes 4-9/10")
        told = whole(b"456789", MODIFIED, part, status=206)
        self.assertEqual(self.octets(told, length=None), b"456789")

    def test_whole(self) -> None:
        """A server may send all of it; what was had is skipped."""
        self.assertEqual(self.octets(whole(b"0123456789", MODIFIED)), b"456789")
        self.assertEqual(self.octets(whole(b"0123456789", MODIFIED), 7), b"456")

    def test_broken(self) -> None:
        """What is not the rest of the same version is refused."""
        part = ("Content-Range", "bytes 4-9/10")
        for told in (
            None,
            whole(b"456789", OTHER, part, status=206),
            whole(b"456789", part, status=206),
            whole(b"456789", MODIFIED, ("Content-Range", "bytes 4-9/11"), status=206),
            whole(b"56789", MODIFIED, ("Content-Range", "bytes 5-9/10"), status=206),
            whole(b"456789", MODIFIED, status=206),
            whole(b"01234567890", MODIFIED),
            whole(b"", MODIFIED, status=416),
            whole(b"", status=404),
        ):
            self.failureResultOf(self.continued(told), BodyBroken)

    def test_no_dates(self) -> None:
        """Without dates the entity tags decide, and without either the length must do."""
        part = ("Content-Range", "bytes 4-9/10")
        for ours, theirs, same in (
            ('"1"', '"1"', True),
            ('"1"', '"2"', False),
            ('W/"1"', 'W/"1"', False),
            ('"1"', None, False),
            (None, None, True),
        ):
            self.head = Head('"ours"', (), ours, "authority.example", 0.0)
            tag = () if theirs is None else (("ETag", theirs),)
            going = self.continued(Told(206, (*tag, part), 6))
            if same:
                self.successResultOf(going).close()
            else:
                self.failureResultOf(going, BodyBroken)
