"""Tests of `osproxy.upstream.upload`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface.verify import verifyObject

from osproxy.model import BodyBroken
from osproxy.upstream.upload import Upload
from osproxy.upstream.watch import TookTooLong
from tests.upstream.origins import STALL_TIMEOUT
from tests.web.doubles import Passing

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred


@define(eq=False)
class AtOnce:
    """A body that is there already, and may end badly."""

    pieces: tuple[bytes, ...]
    error: Exception | None = None
    length: int | None = None
    closed: int = 0

    async def deliver(self, sink: Callable[[bytes], None]) -> None:
        """See `osproxy.model.PassingBody`."""
        for piece in self.pieces:
            sink(piece)
        if self.error is not None:
            raise self.error

    def pause(self) -> None:
        """See `osproxy.model.PassingBody`."""

    def resume(self) -> None:
        """See `osproxy.model.PassingBody`."""

    def close(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self.closed += 1


class UploadTests(SynchronousTestCase):
    """A body is sent as the upstream takes it, and closed in any case."""

    def setUp(self) -> None:
        """Have somebody who takes a body."""
        self.clock = Clock()
        self.consumer: Any = StringTransport()

    def tearDown(self) -> None:
        """Find that no time runs any more."""
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def begin(self, body: Passing | AtOnce) -> tuple[Upload, Deferred[None]]:
        """Send a body."""
        upload = Upload(body, self.clock, STALL_TIMEOUT)
        return upload, upload.startProducing(self.consumer)

    def test_interface(self) -> None:
        """It is what Twisted takes for a body."""
        upload, _ = self.begin(Passing(3))
        verifyObject(IBodyProducer, upload)
        self.assertEqual(upload.length, 3)
        upload.stopProducing()
        upload = Upload(Passing(), self.clock, STALL_TIMEOUT)
        self.assertEqual(upload.length, UNKNOWN_LENGTH)
        upload.stopProducing()

    def test_sends(self) -> None:
        """What comes is sent, and its end is the end."""
        for length in (None, 5):
            with self.subTest(length):
                self.consumer.clear()
                _, produced = self.begin(body := Passing(length))
                body.send(b"abc")
                self.assertEqual(self.consumer.value(), b"abc")
                body.send(b"de")
                self.assertNoResult(produced)
                body.over.callback(None)
                self.successResultOf(produced)
                self.assertEqual((self.consumer.value(), body.closed), (b"abcde", 1))

    def test_at_once(self) -> None:
        """So it is with what is there already."""
        upload, produced = self.begin(body := AtOnce((b"abc", b"de"), length=5))
        self.successResultOf(produced)
        upload.stopProducing()
        self.assertEqual((self.consumer.value(), body.closed), (b"abcde", 1))

    def test_broken_off(self) -> None:
        """A client that breaks off breaks the upload."""
        for body in (AtOnce((b"abc",), BodyBroken("gone")), Passing()):
            with self.subTest(body):
                _, produced = self.begin(body)
                if isinstance(body, Passing):
                    body.over.errback(BodyBroken("gone"))
                self.failureResultOf(produced, BodyBroken)
                self.assertEqual(body.closed, 1)

    def test_too_short(self) -> None:
        """A body that is shorter than it says was broken off, whatever it says at its end."""
        _, produced = self.begin(body := AtOnce((b"abc",), length=5))
        self.failureResultOf(produced, BodyBroken)
        self.assertEqual(body.closed, 1)

    def test_too_long(self) -> None:
        """What is beyond its length is not sent, nor anything after it."""
        for body in (AtOnce((b"abc", b"def", b"g"), length=5), Passing(5)):
            with self.subTest(body):
                self.consumer.clear()
                _, produced = self.begin(body)
                if isinstance(body, Passing):
                    body.send(b"abc")
                    body.send(b"def")
                    body.send(b"g")
                self.failureResultOf(produced, BodyBroken)
                self.assertEqual((self.consumer.value(), body.closed), (b"abc", 1))

    def test_pause(self) -> None:
        """While the upstream takes nothing, the client is asked for nothing."""
        upload, produced = self.begin(body := Passing())
        upload.pauseProducing()
        upload.pauseProducing()
        self.assertTrue(body.paused)
        self.clock.advance(STALL_TIMEOUT - 1)
        upload.resumeProducing()
        upload.resumeProducing()
        self.assertFalse(body.paused)
        self.clock.advance(STALL_TIMEOUT)
        self.assertNoResult(produced)
        upload.stopProducing()

    def test_stalls(self) -> None:
        """That may be so for a while, and no longer."""
        upload, produced = self.begin(body := Passing())
        upload.pauseProducing()
        self.clock.advance(STALL_TIMEOUT)
        error: Any = self.failureResultOf(produced, TookTooLong).value
        self.assertEqual((str(error), error.reason), ("took nothing within 30 s", "stalled"))
        self.assertEqual(body.closed, 1)

    def test_stop(self) -> None:
        """Who stops it has the client stopped, once, and hears no more of it."""
        upload, produced = self.begin(body := Passing())
        body.send(b"abc")
        upload.pauseProducing()
        upload.stopProducing()
        upload.stopProducing()
        upload.pauseProducing()
        upload.resumeProducing()
        self.assertEqual(body.closed, 1)
        self.assertTrue(body.over.called, "it was not cancelled")
        body.send(b"late")
        self.assertEqual(self.consumer.value(), b"abc")
        self.assertNoResult(produced)

    def test_stop_before(self) -> None:
        """It can be stopped before it has begun, and is closed then, too."""
        upload = Upload(body := AtOnce((b"abc",)), self.clock, STALL_TIMEOUT)
        upload.stopProducing()
        self.assertNoResult(upload.startProducing(self.consumer))
        self.assertEqual((self.consumer.value(), body.closed), (b"", 1))

    def test_cancel(self) -> None:
        """To cancel it is to stop it."""
        _, produced = self.begin(body := Passing())
        produced.cancel()
        self.assertTrue(self.failureResultOf(produced))
        self.assertEqual(body.closed, 1)
