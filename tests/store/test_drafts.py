"""Tests of `osproxy.store.drafts`."""

from __future__ import annotations

import os

from twisted.internet.defer import CancelledError

from osproxy.repo.kinds import Kind
from osproxy.store.ledger import BLOCK, CacheFull
from tests.store.doubles import (
    HEAD,
    MIB,
    Failing,
    StoreTestCase,
    WhenTold,
    body_named,
    draft_of,
    find,
    run,
    sha256,
    target,
)


class DraftTests(StoreTestCase):
    """What is being written."""

    def test_readers_follow(self) -> None:
        """What was written can be read before the rest has come, and after the commit."""
        store = self.started()
        draft = self.successResultOf(run(draft_of(store, "a", b"abc")))
        lease = draft.lease()
        self.assertEqual(os.pread(lease.fileno(), 9, draft.offset), b"abc")
        self.successResultOf(run(store.commit([(draft, sha256(b"abc"))], 1.0)))
        self.assertEqual(os.pread(lease.fileno(), 9, draft.offset), b"abc")
        entry = self.entry_of(store)
        self.assertTrue(self.place.ledger.leased(entry.id))
        store.doom(entry)
        self.assertEqual(os.pread(lease.fileno(), 9, draft.offset), b"abc")
        lease.close()
        lease.close()
        self.assertEqual(self.place.files(), {})

    def test_discard(self) -> None:
        """A draft that is given up leaves nothing, however often it is given up."""
        store = self.started()
        draft = self.successResultOf(run(store.begin(target("a"), HEAD, MIB, kind=Kind.PACKAGE)))
        draft.write(b"abc")
        descriptor = draft.fileno()
        draft.discard()
        draft.discard()
        self.assertRaises(OSError, os.fstat, descriptor)
        self.assertRaises(ValueError, draft.write, b"d")
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()

    def test_discard_under_readers(self) -> None:
        """Readers of a draft that is given up may still read what was written."""
        store = self.started()
        draft = self.successResultOf(run(store.begin(target("a"), HEAD, MIB, kind=Kind.PACKAGE)))
        draft.write(b"abc")
        lease = draft.lease()
        draft.discard()
        self.assertEqual(os.pread(lease.fileno(), 9, draft.offset), b"abc")
        # What was not written is free already.
        self.assertEqual(self.place.ledger.awaiting, draft.offset + BLOCK)
        lease.close()
        self.assert_agrees()

    def test_discard_after_commit(self) -> None:
        """An entry is not lost by giving up the draft that it was."""
        store = self.started()
        draft = self.successResultOf(run(draft_of(store, "a", b"abc")))
        self.successResultOf(run(store.commit([(draft, sha256(b"abc"))], 1.0)))
        draft.discard()
        self.assertEqual(self.body_of(store, "a"), b"abc")

    def test_unknown_length(self) -> None:
        """A body of unknown length reserves in steps and is stored at the size it turned out."""
        store = self.started()
        draft = self.successResultOf(run(store.begin(target("a"), HEAD, None, kind=Kind.LISTING)))
        first = self.place.ledger.reserved
        for _ in range(9):
            draft.write(memoryview(b"x" * MIB))
        self.assertGreater(self.place.ledger.reserved, first)
        self.assertLess(self.place.ledger.reserved, 20 * MIB)
        (entry,) = self.successResultOf(run(store.commit([(draft, "0" * 64)], 1.0)))
        self.assertEqual(entry.length, 9 * MIB)
        self.assert_agrees()

    def test_unknown_length_makes_room_ahead(self) -> None:
        """A full cache gives way to a body that grows."""
        store = self.started()
        for number in range(15):
            self.put(store, f"old{number}", body_named(f"old{number}", 4 * MIB))
        draft = self.successResultOf(run(store.begin(target("a"), HEAD, None, kind=Kind.LISTING)))
        for _ in range(4 * 30):
            draft.write(b"x" * (MIB // 4))
            self.assertLessEqual(self.place.ledger.used, self.place.ledger.capacity)
        self.successResultOf(run(store.commit([(draft, "0" * 64)], 1.0)))
        self.assertIsNone(find(store, target("old0")))
        self.assert_agrees()

    def test_outgrows_the_cache(self) -> None:
        """A body of unknown length that outgrows everything is refused, not cut."""
        store = self.started()
        draft = self.successResultOf(run(store.begin(target("a"), HEAD, None, kind=Kind.LISTING)))
        with self.assertRaises(CacheFull):
            for _ in range(70):
                draft.write(b"x" * MIB)
        self.assertGreater(draft.written, 60 * MIB)
        draft.discard()
        self.assert_agrees()

    def test_longer_than_it_said(self) -> None:
        """A body that is longer than its announced length is accounted for, too."""
        store = self.started()
        draft = self.successResultOf(run(store.begin(target("a"), HEAD, 3, kind=Kind.PACKAGE)))
        draft.write(b"x" * 3 * BLOCK)
        self.assertEqual(self.place.ledger.reserved, draft.offset + 3 * BLOCK)

    def test_disk_full_on_write(self) -> None:
        """A failing write is the writer's to see, and giving the draft up frees its space."""
        store = self.started()
        draft = self.successResultOf(run(store.begin(target("a"), HEAD, MIB, kind=Kind.PACKAGE)))
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, draft.fileno())
        os.close(full)
        self.assertRaises(OSError, draft.write, b"x" * 5000)
        draft.discard()
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()

    def test_disk_full_on_begin(self) -> None:
        """A file that cannot be made costs nothing."""
        self.place.in_thread = failing = Failing({"create": OSError(28, "no space")})
        store = self.started()
        self.failureResultOf(run(store.begin(target("a"), HEAD, 9, kind=Kind.PACKAGE)), OSError)
        failing.trouble.clear()
        self.assertEqual(self.place.ledger.reserved, 0)
        self.assert_agrees()

    def test_cancelled_begin(self) -> None:
        """A begin that is cancelled between the reservation and the open file leaves nothing."""
        store = self.started()
        self.place.in_thread = threads = WhenTold()
        before = self.place.descriptors()
        beginning = run(store.begin(target("a"), HEAD, MIB, kind=Kind.PACKAGE))
        self.assertTrue(self.place.ledger.reserved)
        beginning.cancel()
        self.failureResultOf(beginning, CancelledError)
        threads.run_all()
        self.assertEqual(self.place.descriptors(), before)
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()
