"""Tests of waiting: everyone for himself."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from osproxy.waiting import OffsetWaiters, Tasks, Waiters, detached
from tests.store.doubles import run


class WaitersTests(SynchronousTestCase):
    """Many wait for one happening."""

    def test_each_is_woken(self) -> None:
        """All who wait are woken once, in order; who waits again waits for the next time."""
        waiters = Waiters()
        woken: list[str] = []

        async def wait(name: str) -> None:
            for _ in range(2):
                await waiters.wait()
                woken.append(name)

        for name in "ab":
            run(wait(name))
        waiters.wake()
        self.assertEqual(woken, ["a", "b"])
        waiters.wake()
        waiters.wake()
        self.assertEqual(woken, ["a", "b", "a", "b"])

    def test_leaving(self) -> None:
        """Who leaves disturbs nobody, not even from within the waking."""
        waiters = Waiters()
        first, second, third = (waiters.wait() for _ in range(3))
        first.addCallback(lambda _: second.cancel())
        waiters.wake()
        self.successResultOf(first)
        self.failureResultOf(second, CancelledError)
        self.successResultOf(third)


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


class DetachedTests(SynchronousTestCase):
    """Work that goes on."""

    def test_result(self) -> None:
        """Who stays gets the result, or the failure."""
        work: Deferred[int] = Deferred()
        waiter = detached(work, Logger())
        work.callback(3)
        self.assertEqual(self.successResultOf(waiter), 3)
        work = Deferred()
        waiter = detached(work, Logger())
        work.errback(ValueError())
        self.failureResultOf(waiter, ValueError)

    def test_leaving(self) -> None:
        """Who leaves does not stop the work; its failure is logged then."""
        work: Deferred[int] = Deferred()
        waiter = detached(work, Logger())
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)
        work.callback(3)
        work = Deferred()
        waiter = detached(work, Logger())
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)
        work.errback(ValueError())
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class TasksTests(SynchronousTestCase):
    """Coroutines on their own."""

    def test_idle(self) -> None:
        """Idle is when the last has ended, and failures are logged."""
        tasks = Tasks(Logger())
        steps: list[Deferred[None]] = [Deferred(), Deferred()]

        async def work(step: Deferred[None]) -> None:
            await step

        for step in steps:
            tasks.unattended(work(step))
        idle = run(tasks.idle())
        steps[0].callback(None)
        self.assertNoResult(idle)
        steps[1].errback(ValueError())
        self.successResultOf(idle)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
