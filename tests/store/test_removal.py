"""Tests of `osproxy.store.removal`."""

from __future__ import annotations

import os
import sqlite3

from twisted.internet.defer import CancelledError

from tests.store.doubles import Failing, StoreTestCase, WhenTold, find, run, target


class RemovalTests(StoreTestCase):
    """What is on its way out."""

    def test_row_goes_before_the_file(self) -> None:
        """B3: at no instant is there a row without its file."""
        store = self.started()
        for name in "abc":
            self.put(store, name)
        self.place.in_thread = threads = WhenTold()
        self.place.in_database = database = WhenTold()
        for name in "abc":
            entry = self.entry_of(store, name)
            store.doom(entry)
        while threads.waiting or database.waiting:
            threads.run_all()
            rows = self.place.catalogue._database.execute("SELECT count(*) FROM entries")
            self.assertLessEqual(rows.fetchone()[0], len(self.place.files()))
            if database.waiting:
                database.run()
        self.assertEqual(self.place.files(), {})

    def test_catalogue_failing(self) -> None:
        """Space is freed though the row cannot be deleted; the next start meets and drops it."""
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        self.place.in_database = failing = Failing({"_swap": sqlite3.OperationalError("full")})
        store.doom(entry)
        self.flushLoggedErrors(sqlite3.OperationalError)
        self.assertEqual(self.place.files(), {})
        failing.trouble.clear()
        self.place.kill()
        store = self.started()
        self.assertIsNone(find(store, target("a")))

    def test_catalogue_failing_for_a_while(self) -> None:
        """A row that could not be deleted goes when it can be, so that the books agree."""
        store = self.started()
        self.put(store, "a")
        self.place.in_database = failing = Failing({"_swap": sqlite3.OperationalError("full")})
        store.doom_all(target("a"))
        rows = self.place.catalogue.rows
        (record,) = self.successResultOf(run(rows([self.place.directory.first_id])))
        failing.trouble.clear()
        for _ in range(2):
            self.place.clock.advance(5)
        self.assertEqual(self.successResultOf(run(rows([record.id]))), [])

    def test_catalogue_failing_for_a_shared_body(self) -> None:
        """While the row says that a file is an entry, it is one, for the sake of who shares it."""
        for killed in (True, False):
            store = self.started()
            for name in "ab":
                self.put(store, name, b"shared" * 1000)
            first = self.entry_of(store)
            path = first.blob.path
            self.place.in_database = failing = Failing({"_swap": sqlite3.OperationalError("full")})
            store.doom(first)
            failing.trouble.clear()
            if not killed:
                for _ in range(2):
                    self.place.clock.advance(5)
            self.assertIs(path.exists(), killed)
            self.place.kill()
            store = self.started()
            self.assertEqual(self.body_of(store, "b"), b"shared" * 1000)
            self.assertIs(find(store, target("a")) is not None, killed)
            self.assert_agrees()
            for name in "ab":
                store.doom_all(target(name))
            self.assertEqual(self.place.files(), {})
            self.successResultOf(run(store.stop()))

    def test_unlink_failing(self) -> None:
        """A file that cannot be removed counts until it can."""
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        path = entry.blob.path
        path.unlink()
        path.mkdir()
        store.doom(entry)
        self.assertTrue(self.place.ledger.awaiting)
        path.rmdir()
        self.place.clock.advance(5)
        self.place.clock.advance(5)
        self.assertEqual(self.place.ledger.awaiting, 0)

    def test_in_bites(self) -> None:
        """Of many that go at once, some are gone while others wait, and in the end all are."""
        store = self.started()
        for number in range(200):
            self.put(store, f"n{number}", b"")
        self.place.in_thread = self.place.in_database = threads = WhenTold()
        for number in range(200):
            entry = self.entry_of(store, f"n{number}")
            store.doom(entry)
        left = set()
        while threads.waiting:
            threads.run()
            left.add(len(self.place.files()))
        self.assertEqual(min(left), 0)
        self.assertTrue(left - {0, 199, 200}, left)
        self.assertEqual(self.place.ledger.awaiting, 0)

    def test_waits_for_an_opening(self) -> None:
        """A file that is being opened is removed once it is open, and its descriptor closed."""
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        before = self.place.descriptors()
        self.place.in_thread = threads = WhenTold()
        leaving = run(entry.open())
        leaving.cancel()
        self.failureResultOf(leaving, CancelledError)
        store.doom(entry)
        self.assertEqual((len(threads.waiting), len(self.place.files())), (1, 1))
        threads.run_all()
        self.assertEqual((self.place.descriptors(), self.place.files()), (before, {}))

    def test_others_do_not_wait(self) -> None:
        """Files go while another, which was altered and is to go, is read as a whole."""
        store = self.started()
        for name in "ab":
            self.put(store, name)
        altered = self.entry_of(store, "a")
        os.utime(altered.body.path, ns=(1, 1))
        self.place.in_thread = threads = WhenTold()
        opening = run(altered.open())
        threads.run()
        reading = threads.waiting.popleft()
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        for name in "ab":
            store.doom(self.entry_of(store, name))
        threads.run_all()
        self.assertEqual(len(self.place.files()), 1)
        threads.waiting.append(reading)
        threads.run_all()
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()
