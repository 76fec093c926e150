"""
Tests of `osproxy.store.trouble`.
"""

from __future__ import annotations

import errno
import sqlite3

from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.metrics import Metrics
from osproxy.store.trouble import Trouble, Work
from tests.store.doubles import said_by

_FULL = OSError(errno.ENOSPC, "No space left on device")


class TroubleTests(SynchronousTestCase):
    """The first of a kind is said, the others are counted."""

    def setUp(self) -> None:
        """Have a disk that refuses."""
        self.clock = Clock()
        self.metrics = Metrics(CollectorRegistry())
        self.trouble = Trouble(self.clock, self.metrics.troubles)
        self.said = said_by(self)

    def counted(self, work: Work) -> float | None:
        """Read the counter."""
        return self.metrics.registry.get_sample_value(
            "osproxy_disk_troubles_total", {"work": work.value}
        )

    def test_said_once(self) -> None:
        """A thousand refusals make one line, and count a thousand."""
        for number in range(1000):
            self.trouble.met(Work.KEEP, _FULL, f"/{number}")
        self.assertEqual(self.said(), ["/0 is passed through: [Errno 28] No space left on device"])
        self.assertEqual(self.counted(Work.KEEP), 1000)

    def test_said_again(self) -> None:
        """Ten minutes later there is another line, which says how many there were between."""
        for _ in range(3):
            self.trouble.met(Work.KEEP, _FULL, "/a")
        self.clock.advance(600)
        self.trouble.met(Work.KEEP, _FULL, "/b")
        self.clock.advance(600)
        self.trouble.met(Work.KEEP, _FULL, "/c")
        first, second, third = self.said()
        self.assertTrue(second.startswith("/b "))
        self.assertTrue(second.endswith("; 2 others of the kind were not said"), second)
        self.assertEqual(first.replace("/a", "/c"), third)

    def test_kinds(self) -> None:
        """What is another work, or another error, is said besides."""
        for _ in range(2):
            self.trouble.met(Work.KEEP, _FULL, "/a")
            self.trouble.met(Work.KEEP, OSError(errno.EROFS, "Read-only file system"), "/a")
            self.trouble.met(Work.REMOVE, _FULL, "/a")
            self.trouble.met(Work.CATALOGUE, sqlite3.OperationalError("disk I/O error"), "/a")
        self.assertEqual(len(self.said()), 4)

    def test_clock_set_back(self) -> None:
        """A clock that was set back by a year does not silence anything for a year."""
        self.clock.advance(40_000_000)
        self.trouble.met(Work.READ, _FULL, "/a")
        self.clock.rightNow = 1000.0
        self.trouble.met(Work.READ, _FULL, "/b")
        self.assertEqual(len(self.said()), 2)
