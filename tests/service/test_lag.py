"""Tests of `osproxy.service.lag`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.service.lag import Lag


class LagTests(SynchronousTestCase):
    """Tests of `Lag`."""

    def test_late(self) -> None:
        """Once a second it is known by how much the reactor was late."""
        clock, late = Clock(), list[float]()
        lag = Lag(clock, late.append)
        lag.start()
        clock.advance(1)
        clock.advance(1.25)
        clock.advance(0.5)
        clock.advance(3.5)
        self.assertEqual(late, [0, 0.25, 3])
        lag.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
        lag.stop()

    def test_clock_set_back(self) -> None:
        """A clock that was set back makes nothing early."""
        clock, late = Clock(), list[float]()
        lag = Lag(clock, late.append)
        lag.start()
        (due,) = clock.getDelayedCalls()
        due.reset(0)
        clock.advance(0)
        self.assertEqual(late, [0])
        lag.stop()
