"""Tests of `osproxy.service.clockwatch`."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

from twisted.internet.task import Clock, LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from osproxy.service.clockwatch import ClockWatch
from tests.web.support import logged

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0


class ClockWatchTests(SynchronousTestCase):
    """Tests of `ClockWatch`."""

    def setUp(self) -> None:
        """Look at a clock; the other one begins at another time."""
        self.clock = Clock()
        self.clock.rightNow = 1_000_000.0
        self.other = 5.0
        self.turns: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.events = logged(self)
        self.done: list[str] = []
        self.watch = ClockWatch(self.clock, self.turns.put, lambda: self.other, every=0.001)
        self.watch.start()
        self.addCleanup(self.watch.stop)

    def due(self, name: str, seconds: float) -> None:
        """Have something due."""
        self.clock.callLater(seconds, self.done.append, name)

    def set_back(self, seconds: float) -> None:
        """Set the clock back, or ahead."""
        self.clock.rightNow -= seconds

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.other += seconds
        self.clock.advance(seconds)

    def test_set_back(self) -> None:
        """What is due in some seconds is due then, though the clock was set back by an hour."""
        self.due("soon", 5)
        self.due("later", 60)
        self.wait(1)
        self.set_back(HOUR)
        self.wait(1)
        self.watch.look()
        self.wait(2.5)
        self.assertEqual(self.done, [])
        self.wait(1)
        self.assertEqual(self.done, ["soon"])
        self.wait(55)
        self.assertEqual(self.done, ["soon", "later"])
        (event,) = self.events
        self.assertEqual(event["back"], HOUR)

    def test_late(self) -> None:
        """What has come due before the look is due at once."""
        self.due("soon", 1)
        self.set_back(HOUR)
        self.wait(2)
        self.watch.look()
        self.clock.advance(0)
        self.assertEqual(self.done, ["soon"])

    def test_overdue(self) -> None:
        """So is what has come due long before, as where all has stood still meanwhile."""
        self.due("soon", 1)
        self.set_back(HOUR)
        self.wait(60)
        self.watch.look()
        self.clock.advance(0)
        self.assertEqual(self.done, ["soon"])

    def test_since(self) -> None:
        """What began to wait after the clock was set has its time."""
        self.set_back(HOUR)
        self.due("new", 30)
        self.wait(1)
        self.watch.look()
        self.wait(28)
        self.assertEqual(self.done, [])
        self.wait(1)
        self.assertEqual(self.done, ["new"])

    def test_since_a_little(self) -> None:
        """It has, too, where the clock was set back by no more than is worth the trouble."""
        self.set_back(12)
        self.due("new", 5)
        self.watch.look()
        self.wait(4)
        self.assertEqual(self.done, [])

    def test_again_and_again(self) -> None:
        """What is done each minute goes on to be, however often the clock is set."""
        looping = LoopingCall(self.done.append, "minute")
        looping.clock = self.clock
        looping.start(60, now=False)
        self.addCleanup(looping.stop)
        for count in range(1, 4):
            self.wait(30)
            self.set_back(HOUR)
            self.watch.look()
            self.wait(60)
            self.assertGreaterEqual(len(self.done), count)

    def test_right(self) -> None:
        """A clock that is slowed down, or set ahead, or hardly set back, changes nothing."""
        self.due("x", 100)
        for seconds in (0, 0.1, 9.9, -HOUR / 60, -0.5):
            self.set_back(seconds)
            self.watch.look()
            self.wait(1)
        (call,) = self.clock.getDelayedCalls()
        self.assertEqual(call.getTime(), 1_000_100)
        self.assertEqual(list(self.events), [])

    def test_thread(self) -> None:
        """A thread has the reactor look, whatever that thinks is due, until the end."""
        for _ in range(2):
            self.assertEqual(self.turns.get(timeout=60), self.watch.look)
