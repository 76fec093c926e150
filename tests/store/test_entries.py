"""Tests of `osproxy.store.entries`."""

from __future__ import annotations

import errno
import os

from osproxy.store.blobs import State
from osproxy.store.files import check_of, opener_of
from tests.store.doubles import Failing, StoreTestCase, find, run, target


class OpenTests(StoreTestCase):
    """Files that are not what they were."""

    def test_missing_file_drops_the_entry(self) -> None:
        """An entry whose file is gone is dropped when it is asked for, and its space is free."""
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        entry.blob.path.unlink()
        self.failureResultOf(run(entry.open()), FileNotFoundError)
        self.assertIsNone(find(store, target("a")))
        self.assert_agrees()
        self.flushLoggedErrors()

    def test_altered_file_drops_the_entry(self) -> None:
        """An entry whose file has another size is never served."""
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        os.truncate(entry.blob.path, 4200)
        self.failureResultOf(run(entry.open()), OSError)
        self.assertIsNone(find(store, target("a")))
        self.assert_agrees()

    def test_too_many_open_files_drop_nothing(self) -> None:
        """A shortage of descriptors is not the file's fault."""
        self.place.in_thread = failing = Failing()
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        failing.trouble["opened"] = OSError(24, "too many open files")
        self.failureResultOf(run(entry.open()), OSError)
        self.assertIs(find(store, target("a")), entry)
        self.assertFalse(self.place.ledger.leased(entry.id))

    def test_unreadable_octets_drop_the_entry(self) -> None:
        """When a reader meets octets that cannot be read, the next one finds no entry."""
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        lease = self.successResultOf(run(entry.open()))
        for _ in range(2):
            lease.unreadable(OSError(5, "broken"))
        self.assertIsNone(find(store, target("a")))
        lease.close()
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()


class GlanceTests(StoreTestCase):
    """Bodies that are read here and now."""

    def setUp(self) -> None:
        """Have an entry whose file stays open."""
        super().setUp()
        self.place.stay_open = 1
        self.store = self.started()
        self.put(self.store, "a", b"abc")
        found = self.store.at_hand(target("a"))
        assert found is not None
        self.entry = found

    def read_once(self) -> None:
        """Read it as others do, after which its file stays open."""
        self.successResultOf(run(self.entry.open())).close()

    def test_open(self) -> None:
        """The body is given once the file is open, and nobody holds it by that."""
        self.assertIsNone(self.entry.glance())
        self.read_once()
        for _ in range(2):
            self.assertEqual(self.entry.glance(), b"abc")
        self.assertFalse(self.place.ledger.leased(self.entry.id))

    def test_held(self) -> None:
        """Where others have it open it is given as well."""
        lease = self.successResultOf(run(self.entry.open()))
        self.assertEqual(self.entry.glance(), b"abc")
        lease.close()

    def test_doomed(self) -> None:
        """What is out of sight is not given, though its file is open."""
        lease = self.successResultOf(run(self.entry.open()))
        self.store.doom(self.entry)
        self.assertIsNone(self.entry.glance())
        lease.close()

    def test_in_part(self) -> None:
        """What is in memory in part only, or cannot be read, is not given, and not judged."""
        self.read_once()
        real = os.preadv
        self.patch(os, "preadv", lambda *args: real(*args) - 1)
        self.assertIsNone(self.entry.glance())

        def broken(*_: object) -> int:
            raise OSError(errno.EIO, "broken")

        self.patch(os, "preadv", broken)
        self.assertIsNone(self.entry.glance())
        self.assertIs(self.store.at_hand(target("a")), self.entry)

    def test_after_another_boot(self) -> None:
        """What a power loss may have taken is not given before it was made sure of."""
        self.read_once()
        self.successResultOf(run(self.store.stop()))
        self.place.boot = "another boot"
        store = self.started()
        entry = self.entry_of(store)
        opening = run(entry.body.open(opener_of(entry.offset + 3), check_of(entry.offset, 3, "")))
        self.successResultOf(opening)
        self.assertIsNone(entry.glance())
        self.successResultOf(run(entry.open())).close()
        self.assertEqual(entry.glance(), b"abc")


class LeaseTests(StoreTestCase):
    """Readers hold what they read."""

    def test_doomed_stays_readable(self) -> None:
        """B5: a doomed file is read to its end; then it is unlinked, and its space free."""
        store = self.started()
        self.put(store, "a", b"abc")
        entry = self.entry_of(store)
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
        entry = self.entry_of(store)
        lease = self.successResultOf(run(entry.open()))
        self.assertEqual((lease.length, lease.available), (3, 3))
        self.assertTrue(self.successResultOf(run(lease.wait(2))))
        self.assertFalse(self.successResultOf(run(lease.wait(3))))
        lease.close()
