"""Tests of `osproxy.store.notes`."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from osproxy.store.admission import WonderGuard
from osproxy.store.notes import Notes
from tests.store.doubles import StoreTestCase, WhenTold, run, target

if TYPE_CHECKING:
    from collections.abc import Callable


class NotesTests(StoreTestCase):
    """What is written down later."""

    def test_freshen_is_visible_at_once(self) -> None:
        """A confirmation counts from the moment it is known, and is on the disk soon after."""
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        store.freshen(entry, 99.0)
        self.assertEqual(entry.checked_at, 99.0)
        self.place.clock.advance(5)
        self.place.kill()
        found = self.entry_of(self.started())
        self.assertEqual(found.checked_at, 99.0)

    def notes(self, hotness: Callable[[int], int] | None = None) -> Notes:
        """Have nothing noted yet."""
        self.guard = WonderGuard(60.0)
        return Notes(self.place.catalogue, hotness or self.place.ledger.hotness, self.guard)

    def rows(self) -> list[tuple[str, float]]:
        """Tell what the catalogue knows, in the order of use."""
        database = self.place.catalogue._database
        found = database.execute(
            "SELECT path, checked_at FROM entries LEFT JOIN uses USING (id)"
            " ORDER BY coalesce(used, 0), path"
        )
        return list(found.fetchall())

    def test_order_of_use(self) -> None:
        """Uses are written in the order of the last one of each, those of one batch too."""
        store = self.started()
        for name in "abc":
            self.put(store, name)
        notes = self.notes()
        for name in "bacab":
            notes.used(self.entry_of(store, name))
        self.successResultOf(run(notes.write_down(9.0)))
        self.assertEqual([path for path, _ in self.rows()], ["/c", "/a", "/b"])

    def test_standing(self) -> None:
        """With the last use, how an entry stood then is written."""
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        standing = {entry.id: 3}
        notes = self.notes(standing.__getitem__)
        notes.used(entry)
        standing[entry.id] = 5
        self.successResultOf(run(notes.write_down(9.0)))
        database = self.place.catalogue._database
        rows = database.execute("SELECT * FROM uses").fetchall()
        self.assertEqual(rows, [(entry.id, 9.0, 5)])

    def test_written_once(self) -> None:
        """What was written is not written again."""
        store = self.started()
        self.put(store, "a")
        notes = self.notes()
        notes.used(self.entry_of(store))
        self.successResultOf(run(notes.write_down(9.0)))
        self.place.in_database = database = WhenTold()
        self.successResultOf(run(notes.write_down(10.0)))
        self.assertFalse(database.waiting)

    def test_forgotten(self) -> None:
        """Of an entry that is going nothing is written."""
        store = self.started()
        self.put(store, "a")
        notes = self.notes()
        notes.used(self.entry_of(store))
        notes.checked(self.entry_of(store))
        notes.forget(self.entry_of(store).id)
        self.place.in_database = database = WhenTold()
        self.successResultOf(run(notes.write_down(9.0)))
        self.assertFalse(database.waiting)

    def test_failing(self) -> None:
        """A confirmation that could not be written is kept for the next time, the latest of it."""
        store = self.started()
        for name in "abc":
            self.put(store, name)
        notes = self.notes()
        for name in "abc":
            self.entry_of(store, name).checked_at = 7.0
            notes.checked(self.entry_of(store, name))
        self.place.in_database = threads = WhenTold()
        writing = run(notes.write_down(9.0))
        self.entry_of(store, "b").checked_at = 8.0
        notes.checked(self.entry_of(store, "b"))
        gone = self.entry_of(store, "c")
        store.doom(gone)
        failed, _ = threads.waiting.popleft()
        failed.errback(sqlite3.OperationalError("disk full"))
        self.failureResultOf(writing, sqlite3.OperationalError)
        again = run(notes.write_down(10.0))
        threads.run_all()
        self.successResultOf(again)
        self.assertEqual(self.rows(), [("/a", 7.0), ("/b", 8.0)])

    def test_asked(self) -> None:
        """What was asked for is written, in the end, and forgotten when its time is over."""
        self.started()
        notes = self.notes()
        self.guard.asked_before(target("a"), 1.0)
        self.place.in_database = threads = WhenTold()
        writing = run(notes.write_down(9.0))
        failed, _ = threads.waiting.popleft()
        failed.errback(sqlite3.OperationalError("disk full"))
        self.failureResultOf(writing, sqlite3.OperationalError)
        self.guard.asked_before(target("b"), 31.0)
        for now, expected in ((40.0, [1.0, 31.0]), (80.0, [31.0, 80.0])):
            writing = run(notes.write_down(now))
            threads.run_all()
            self.successResultOf(writing)
            reading = run(self.place.catalogue.asked())
            threads.run_all()
            self.assertEqual(sorted(at for _, at in self.successResultOf(reading)), expected)
            self.guard.asked_before(target("c"), 80.0)
