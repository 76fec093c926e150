"""Tests of `osproxy.seldom`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.seldom import Seldom


class SeldomTests(SynchronousTestCase):
    """What is said, and what is not."""

    def setUp(self) -> None:
        """Have nothing said."""
        self.clock = Clock()
        self.seldom: Seldom[str] = Seldom(60.0, self.clock)

    def test_silence(self) -> None:
        """Each kind is said once a minute, with how often it was not."""
        self.assertEqual(self.seldom.unsaid("a"), 0)
        for _ in range(2):
            self.clock.advance(29.9)
            self.assertIsNone(self.seldom.unsaid("a"))
        self.assertEqual(self.seldom.unsaid("b"), 0)
        self.clock.advance(0.2)
        self.assertEqual(self.seldom.unsaid("a"), 2)
        self.assertIsNone(self.seldom.unsaid("a"))
        self.clock.advance(60)
        self.assertEqual(self.seldom.unsaid("a"), 1)

    def test_clock_set_back(self) -> None:
        """A clock that was set back keeps nothing silent."""
        self.clock.advance(1000)
        self.seldom.unsaid("a")
        self.clock.rightNow = 10.0
        self.assertEqual(self.seldom.unsaid("a"), 0)
