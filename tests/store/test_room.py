"""Tests of `osproxy.store.room`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError

from osproxy.repo.kinds import Kind
from osproxy.store.ledger import CacheFull
from tests.store.doubles import (
    HEAD,
    MIB,
    Place,
    StoreTestCase,
    WhenTold,
    find,
    part_of,
    put,
    run,
    target,
)

if TYPE_CHECKING:
    from osproxy.store.store import Store


class EvictionTests(StoreTestCase):
    """Who goes so that another may come."""

    def fill(self, store: Store, count: int = 15) -> None:
        """Fill the cache but for a few MiB."""
        for number in range(count):
            self.put(store, f"old{number}", b"x" * 4 * MIB)

    def test_makes_room(self) -> None:
        """B6: what was used least recently goes, and the sum is right before, during and after."""
        store = self.started()
        self.fill(store)
        entry = find(store, target("old0"))
        assert entry is not None
        store.touch(entry)
        self.put(store, "new", b"x" * 6 * MIB)
        self.assertIsNotNone(find(store, target("old0")))
        self.assertIsNone(find(store, target("old1")))
        self.assertIn(b"osproxy_evictions_total 1.0", self.place.metrics.exposition())
        self.assert_agrees()

    def test_refuses_the_impossible(self) -> None:
        """What can never fit is refused, and nobody goes for it."""
        store = self.started()
        self.fill(store)
        beginning = run(store.begin(target("a"), HEAD, 70 * MIB, kind=Kind.IMAGE))
        self.failureResultOf(beginning, CacheFull)
        self.assertIsNotNone(find(store, target("old0")))

    def test_drafts_go_first(self) -> None:
        """Drafts that nobody writes go before any entry, the oldest first, and as many as must."""
        store = self.started()
        self.fill(store, 13)
        for name in ("a", "b"):
            self.put_aside(store, name, bytes(2 * MIB), 3 * MIB)
        self.put(store, "new", b"x" * 8 * MIB)
        self.assertEqual([store.find_kept(target(name)) is None for name in "ab"], [True, False])
        self.assertIsNotNone(find(store, target("old0")))
        self.put(store, "newer", b"x" * 4 * MIB)
        self.assertEqual(store.kept, 0)
        self.assertIsNone(find(store, target("old0")))
        self.assertIsNotNone(find(store, target("old1")))
        self.assertIn(b"osproxy_evictions_total 1.0", self.place.metrics.exposition())
        self.assert_agrees()

    def test_drafts_do_not_go_in_vain(self) -> None:
        """What can never fit costs no draft either."""
        store = self.started()
        self.put_aside(store, "a", bytes(2 * MIB), 3 * MIB)
        beginning = run(store.begin(target("b"), HEAD, 70 * MIB, kind=Kind.IMAGE))
        self.failureResultOf(beginning, CacheFull)
        self.assertEqual(store.kept, 1)

    def test_drafts_that_are_read(self) -> None:
        """B6: a draft that somebody still reads is not counted on."""
        store = self.started()
        self.fill(store, 14)
        draft = self.successResultOf(run(part_of(store, "a", bytes(3 * MIB), 4 * MIB)))
        lease = draft.lease()
        draft.put_aside()
        self.put(store, "new", b"x" * 6 * MIB)
        self.assertIsNone(find(store, target("old0")))
        self.assertEqual(store.kept, 1)
        lease.close()
        self.assert_agrees()

    def test_disk_fills_up_with_drafts(self) -> None:
        """B6: when others fill the disk, drafts go first here, too."""
        store = self.started()
        self.put(store, "old", b"x" * 4 * MIB)
        self.put_aside(store, "a", bytes(4 * MIB), 5 * MIB)
        self.place.free = -2 * MIB
        for _ in range(2):
            self.place.clock.advance(5)
        self.assertEqual(store.kept, 0)
        self.assertIsNotNone(find(store, target("old")))
        self.assert_agrees()

    def test_waits_for_the_unlink(self) -> None:
        """B6: nothing is reserved before the space is free; two who want room get it in turn."""
        store = self.started()
        self.fill(store)
        self.place.in_thread = self.place.in_database = threads = WhenTold()
        both = [
            run(store.begin(target(name), HEAD, 6 * MIB, kind=Kind.PACKAGE)) for name in ("a", "b")
        ]
        while threads.waiting:
            self.assertLessEqual(self.place.ledger.used, self.place.ledger.capacity)
            threads.run()
        for beginning in both:
            self.successResultOf(beginning)
        self.assertEqual(len([n for n in range(15) if find(store, target(f"old{n}"))]), 12)

    def test_cancelled_while_waiting(self) -> None:
        """Who leaves while room is made for him leaves it to the next."""
        store = self.started()
        self.fill(store)
        self.place.in_thread = self.place.in_database = threads = WhenTold()
        first = run(store.begin(target("a"), HEAD, 6 * MIB, kind=Kind.PACKAGE))
        second = run(store.begin(target("b"), HEAD, 6 * MIB, kind=Kind.PACKAGE))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        threads.run_all()
        draft = self.successResultOf(second)
        draft.discard()
        threads.run_all()
        self.assertEqual(self.place.ledger.reserved, 0)
        self.assert_agrees()

    def test_disk_fills_up(self) -> None:
        """B6: when others fill the disk, the cache shrinks; what is read stays."""
        store = self.started()
        self.fill(store)
        entry = find(store, target("old0"))
        assert entry is not None
        lease = self.successResultOf(run(entry.open()))
        self.place.free = -30 * MIB
        for _ in range(2):
            self.place.clock.advance(5)
        self.assertLess(self.place.ledger.used, 34 * MIB)
        self.assertIsNone(find(store, target("old0")))
        self.assertEqual(len(os.pread(lease.fileno(), lease.length, lease.offset)), lease.length)
        lease.close()
        self.assert_agrees()

    def test_thousands(self) -> None:
        """Many small ones go for one large one, in bites."""
        store = self.started()
        for number in range(300):
            self.successResultOf(run(put(store, f"s{number}", b"x" * 9000)))
        self.put(store, "big", b"x" * 61 * MIB)
        self.assertIsNotNone(find(store, target("big")))
        self.assert_agrees()


class CapacityTests(StoreTestCase):
    """What may be taken."""

    def test_smaller_setting(self) -> None:
        """B6: a smaller setting at the next start is kept at once."""
        store = self.started()
        for number in range(10):
            self.put(store, f"n{number}", b"x" * 4 * MIB)
        self.successResultOf(run(store.stop()))
        self.place.cache_size = 20 * MIB
        store = self.started()
        self.assertIsNone(find(store, target("n0")))
        self.assertIsNotNone(find(store, target("n9")))
        self.assert_agrees()

    def test_step(self) -> None:
        """What is reserved ahead for unknown lengths is a small part of the cache, and bounded."""
        for size, least, most in ((2, 64 * 1024, 128 * 1024), (64, 3 * MIB, 4 * MIB)):
            self.place = Place(self.place.path.with_name(f"of-{size}"), size * MIB)
            self.place.free = 1 << 40
            store = self.started()
            draft = self.successResultOf(
                run(store.begin(target("a"), HEAD, None, kind=Kind.LISTING))
            )
            self.assertTrue(least <= draft.step <= most, draft.step)
            self.successResultOf(run(store.stop()))

    def test_small_disk(self) -> None:
        """B6: what the disk has counts where it is less than the setting."""
        self.place.free = 10 * MIB
        store = self.started()
        self.assertLessEqual(self.place.ledger.capacity, 11 * MIB)
        begun = run(store.begin(target("a"), HEAD, 12 * MIB, kind=Kind.PACKAGE))
        self.failureResultOf(begun, CacheFull)

    def test_reserved_is_not_on_the_disk(self) -> None:
        """What is reserved and not yet written is not taken for space that we have."""
        self.place.free = 10 * MIB
        store = self.started()
        before = self.place.ledger.capacity
        self.successResultOf(run(store.begin(target("a"), HEAD, 8 * MIB, kind=Kind.PACKAGE)))
        for _ in range(2):
            self.place.clock.advance(5)
        self.assertLessEqual(abs(self.place.ledger.capacity - before), 4096)
