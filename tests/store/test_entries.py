"""Tests of `osproxy.store.entries`."""

from __future__ import annotations

import os

from osproxy.store.blobs import State
from tests.store.doubles import Failing, StoreTestCase, find, run, target


class OpenTests(StoreTestCase):
    """Files that are not what they were."""

    def test_missing_file_drops_the_entry(self) -> None:
        """An entry whose file is gone is dropped when it is asked for, and its space is free."""
        store = self.started()
        self.put(store, "a")
        entry = find(store, target("a"))
        assert entry is not None
        entry.blob.path.unlink()
        self.failureResultOf(run(entry.open()), FileNotFoundError)
        self.assertIsNone(find(store, target("a")))
        self.assert_agrees()
        self.flushLoggedErrors()

    def test_altered_file_drops_the_entry(self) -> None:
        """An entry whose file has another size is never served."""
        store = self.started()
        self.put(store, "a")
        entry = find(store, target("a"))
        assert entry is not None
        os.truncate(entry.blob.path, 4200)
        self.failureResultOf(run(entry.open()), OSError)
        self.assertIsNone(find(store, target("a")))
        self.assert_agrees()

    def test_too_many_open_files_drop_nothing(self) -> None:
        """A shortage of descriptors is not the file's fault."""
        self.place.in_thread = failing = Failing()
        store = self.started()
        self.put(store, "a")
        entry = find(store, target("a"))
        assert entry is not None
        failing.trouble["opened"] = OSError(24, "too many open files")
        self.failureResultOf(run(entry.open()), OSError)
        self.assertIs(find(store, target("a")), entry)
        self.assertFalse(self.place.ledger.leased(entry.id))

    def test_unreadable_octets_drop_the_entry(self) -> None:
        """When a reader meets octets that cannot be read, the next one finds no entry."""
        store = self.started()
        self.put(store, "a")
        entry = find(store, target("a"))
        assert entry is not None
        lease = self.successResultOf(run(entry.open()))
        for _ in range(2):
            lease.unreadable(OSError(5, "broken"))
        self.assertIsNone(find(store, target("a")))
        lease.close()
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()


class LeaseTests(StoreTestCase):
    """Readers hold what they read."""

    def test_doomed_stays_readable(self) -> None:
        """B5: a doomed file is read to its end; then it is unlinked, and its space free."""
        store = self.started()
        self.put(store, "a", b"abc")
        entry = find(store, target("a"))
        assert entry is not None
        lease = self.successResultOf(run(entry.open()))
        store.doom(entry)
        store.doom(entry)
        self.assertIsNone(find(store, target("a")))
        self.assertEqual(self.read(lease), b"abc")
        self.assertTrue(self.place.ledger.awaiting)
        lease.close()
        lease.close()
        self.assertEqual((self.place.files(), self.place.ledger.awaiting), ({}, 0))
        self.assertIs(entry.state, State.GONE)
        self.failureResultOf(run(entry.open()), FileNotFoundError)

    def test_body_is_all_there(self) -> None:
        """A stored body never makes its reader wait."""
        store = self.started()
        self.put(store, "a", b"abc")
        entry = find(store, target("a"))
        assert entry is not None
        lease = self.successResultOf(run(entry.open()))
        self.assertEqual((lease.length, lease.available), (3, 3))
        self.assertTrue(self.successResultOf(run(lease.wait(2))))
        self.assertFalse(self.successResultOf(run(lease.wait(3))))
        lease.close()
