"""
Tests of `osproxy.store.housekeeping`.
"""

from __future__ import annotations

import errno
import sqlite3

from tests.store.doubles import Failing, StoreTestCase, run, said_by


class HousekeepingTests(StoreTestCase):
    """What the disk refuses is said once, and done when it can be."""

    def setUp(self) -> None:
        """Have a store with an entry that was used."""
        super().setUp()
        self.said = said_by(self)
        self.store = self.started()
        self.put(self.store, "a")
        entry = self.entry_of(self.store)
        self.entry = entry

    def ticks(self, count: int) -> None:
        """Let time pass."""
        for _ in range(count):
            self.place.clock.advance(5)

    def test_catalogue(self) -> None:
        """A confirmation that cannot be written is written when it can be."""
        self.place.in_database = failing = Failing({"_note": sqlite3.OperationalError("full")})
        self.store.freshen(self.entry, 77.0)
        self.ticks(5)
        (line,) = self.said()
        self.assertIn("cannot be written: full", line)
        failing.trouble.clear()
        self.ticks(1)
        self.place.kill()
        entry = self.entry_of(self.started())
        self.assertEqual(entry.checked_at, 77.0)

    def test_bug(self) -> None:
        """What nobody has thought of is logged, and the rest is done the next time."""
        self.place.in_database = failing = Failing({"_note": ValueError("a bug")})
        self.store.freshen(self.entry, 77.0)
        self.ticks(1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        failing.trouble.clear()
        self.ticks(1)
        self.place.kill()
        entry = self.entry_of(self.started())
        self.assertEqual(entry.checked_at, 77.0)

    def test_disk(self) -> None:
        """A disk that cannot be looked at is looked at again."""
        self.place.in_thread = failing = Failing({"statvfs": OSError(errno.EIO, "broken")})
        self.ticks(6)
        (line,) = self.said()
        self.assertIn("cannot be looked at: [Errno 5] broken", line)
        before = self.place.ledger.capacity
        self.place.free = 0
        failing.trouble.clear()
        self.ticks(2)
        self.assertLess(self.place.ledger.capacity, before)

    def test_stop(self) -> None:
        """A stop goes through whatever the disk refuses."""
        self.place.in_database = Failing({"_note": sqlite3.OperationalError("full")})
        self.store.freshen(self.entry, 77.0)
        self.successResultOf(run(self.store.stop()))
        self.assertEqual(len(self.said()), 1)
        self.assertEqual(self.place.descriptors(), [])
