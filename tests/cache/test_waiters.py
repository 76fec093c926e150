"""Tests of `osproxy.cache.waiters`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.waiters import OffsetWaiters, Waiters


class WaitersTests(SynchronousTestCase):
    """Several may wait for one event without disturbing each other."""

    def test_everybody_goes_on(self) -> None:
        """All who wait are told once."""
        waiters = Waiters()
        first, second = waiters.wait(), waiters.wait()
        waiters.fire()
        self.successResultOf(first)
        self.successResultOf(second)

    def test_impatience_is_private(self) -> None:
        """One who gives up does not disturb the others."""
        waiters = Waiters()
        impatient, patient = waiters.wait(), waiters.wait()
        impatient.cancel()
        self.failureResultOf(impatient, CancelledError)
        self.assertNoResult(patient)
        waiters.fire()
        self.successResultOf(patient)

    def test_cancelled_by_another(self) -> None:
        """One who goes on may cancel one who is about to be told."""
        waiters = Waiters()
        first, second = waiters.wait(), waiters.wait()
        first.addCallback(lambda _: second.cancel())
        waiters.fire()
        self.successResultOf(first)
        self.failureResultOf(second, CancelledError)

    def test_next_event(self) -> None:
        """Who waits again while being told waits for the next event."""
        waiters = Waiters()
        again = []
        waiters.wait().addCallback(lambda _: again.append(waiters.wait()))
        waiters.fire()
        self.assertNoResult(again[0])


class OffsetWaitersTests(SynchronousTestCase):
    """Growth wakes those whose offset was passed."""

    def test_by_offset(self) -> None:
        """An offset is passed when there is an octet at it."""
        waiters = OffsetWaiters()
        near, far = waiters.wait(10), waiters.wait(20)
        waiters.passed(10)
        self.assertNoResult(near)
        waiters.passed(11)
        self.successResultOf(near)
        self.assertNoResult(far)
        waiters.passed(21)
        self.successResultOf(far)

    def test_coming_back(self) -> None:
        """A reader that comes back for more in the same turn is woken by what comes next."""
        waiters = OffsetWaiters()
        later = []
        waiters.wait(0).addCallback(lambda _: later.append(waiters.wait(5)))
        waiters.passed(5)
        self.assertNoResult(later[0])
        waiters.passed(6)
        self.successResultOf(later[0])

    def test_leaving(self) -> None:
        """A reader that leaves is forgotten; the others keep their order."""
        waiters = OffsetWaiters()
        staying, leaving = waiters.wait(3), waiters.wait(1)
        leaving.cancel()
        self.failureResultOf(leaving, CancelledError)
        waiters.passed(4)
        self.successResultOf(staying)

    def test_end(self) -> None:
        """At the end nobody is left waiting."""
        waiters = OffsetWaiters()
        one, two = waiters.wait(1), waiters.wait(1 << 40)
        waiters.end()
        self.successResultOf(one)
        self.successResultOf(two)
