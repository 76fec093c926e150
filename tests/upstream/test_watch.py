"""Tests of `osproxy.upstream.watch`; what it watches over is in those of the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from osproxy.upstream.watch import TookTooLong, Watch

if TYPE_CHECKING:
    from twisted.web.iweb import IResponse


class WatchTests(SynchronousTestCase):
    """A question has its time, step by step."""

    def setUp(self) -> None:
        """Watch over a question."""
        self.clock = Clock()
        self.watch = Watch(self.clock, connect_timeout=10, head_timeout=15)
        self.answered: Deferred[IResponse] = Deferred()
        self.watch.answered = self.answered
        self.answered.addBoth(self.watch.ended)

    def expect_end(self, text: str) -> None:
        """Expect that the question has ended with these words, and no time runs any more."""
        error: Any = self.failureResultOf(self.answered, TookTooLong).value
        self.assertEqual((str(error), error.reason), (text, "timeout"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_connecting(self) -> None:
        """There is a time to connect, which begins again with a second connection."""
        self.watch.connecting()
        self.clock.advance(9)
        self.watch.connecting()
        self.clock.advance(9)
        self.assertNoResult(self.answered)
        self.clock.advance(1)
        self.expect_end("did not connect within 10 s")

    def test_sent(self) -> None:
        """There is a time to answer from when the request was sent."""
        self.watch.connecting()
        self.clock.advance(9)
        self.watch.sent()
        self.clock.advance(14)
        self.assertNoResult(self.answered)
        self.clock.advance(1)
        self.expect_end("did not answer within 15 s")

    def test_sending(self) -> None:
        """Before that it may take what it takes."""
        self.watch.connecting()
        self.watch.sending()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answer(self) -> None:
        """An answer ends the watch."""
        self.watch.sent()
        answer: Any = object()
        self.answered.callback(answer)
        self.assertIs(self.successResultOf(self.answered), answer)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_give_up(self) -> None:
        """Who gives up says why, whatever comes of it below."""
        self.watch.sent()
        self.watch.give_up(Failure(KeyError("why")))
        self.failureResultOf(self.answered, KeyError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_give_up_early(self) -> None:
        """That can be before there is anything to cancel."""
        watch = Watch(self.clock, connect_timeout=10, head_timeout=15)
        watch.give_up(Failure(KeyError("why")))
        answer: Any = object()
        result: Any = watch.ended(answer)
        self.assertTrue(result.check(KeyError))
