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
    at_once,
    body_named,
    find,
    part_of,
    put,
    run,
    said,
    target,
)
from tests.web.support import logged

if TYPE_CHECKING:
    from osproxy.store.store import Store


class EvictionTests(StoreTestCase):
    """Who goes so that another may come."""

    def fill(self, store: Store, count: int = 15) -> None:
        """Fill the cache but for a few MiB."""
        for number in range(count):
            self.put(store, f"old{number}", body_named(f"old{number}", 4 * MIB))

    def test_makes_room(self) -> None:
        """B6: what was used least recently goes, and the sum is right before, during and after."""
        store = self.started()
        self.fill(store)
        entry = self.entry_of(store, "old0")
        store.touch(entry)
        self.put(store, "new", body_named("new", 6 * MIB))
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
        self.put(store, "new", body_named("new", 8 * MIB))
        self.assertEqual([store.kept.find(target(name)) is None for name in "ab"], [True, False])
        self.assertIsNotNone(find(store, target("old0")))
        self.put(store, "newer", body_named("newer", 4 * MIB))
        self.assertEqual(len(store.kept), 0)
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
        self.assertEqual(len(store.kept), 1)

    def test_drafts_that_are_read(self) -> None:
        """B6: a draft that somebody still reads is not counted on."""
        store = self.started()
        self.fill(store, 14)
        draft = self.successResultOf(run(part_of(store, "a", bytes(3 * MIB), 4 * MIB)))
        lease = draft.lease()
        draft.put_aside()
        self.put(store, "new", body_named("new", 6 * MIB))
        self.assertIsNone(find(store, target("old0")))
        self.assertEqual(len(store.kept), 1)
        lease.close()
        self.assert_agrees()

    def test_disk_fills_up_with_drafts(self) -> None:
        """B6: when others fill the disk, drafts go first here, too."""
        store = self.started()
        self.put(store, "old", body_named("old", 4 * MIB))
        self.put_aside(store, "a", bytes(4 * MIB), 5 * MIB)
        self.place.free = -2 * MIB
        for _ in range(2):
            self.place.clock.advance(5)
        self.assertEqual(len(store.kept), 0)
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
        entry = self.entry_of(store, "old0")
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
            self.successResultOf(run(put(store, f"s{number}", body_named(f"s{number}", 9000))))
        self.put(store, "big", body_named("big", 61 * MIB))
        self.assertIsNotNone(find(store, target("big")))
        self.assert_agrees()


class FileTests(StoreTestCase):
    """The disk can have so many files only."""

    def setUp(self) -> None:
        """Let it have five more."""
        super().setUp()
        self.place.free_files = 5

    def names(self, store: Store) -> list[str]:
        """Say which are stored of those that tests here store."""
        return [name for name in "abcdefgh" if find(store, target(name))]

    def test_makes_room(self) -> None:
        """What was used least recently goes for one more, however much space there is."""
        store = self.started()
        for name in "abcdefg":
            self.put(store, name)
        self.assertEqual(self.names(store), ["c", "d", "e", "f", "g"])
        self.assertIn(b"osproxy_evictions_total 2.0", self.place.metrics.exposition())
        self.assert_agrees()

    def test_drafts_go_first(self) -> None:
        """Drafts that nobody writes go before any entry, here as well, and no more than must."""
        store = self.started()
        for name in "abc":
            self.put(store, name)
        for name in ("x", "y"):
            self.put_aside(store, name, bytes(2 * MIB), 3 * MIB)
        self.put(store, "d")
        self.assertEqual((self.names(store), len(store.kept)), (["a", "b", "c", "d"], 1))

    def test_others(self) -> None:
        """When others make files, ours go, and come again when theirs have gone."""
        store = self.started()
        for name in "abcd":
            self.put(store, name)
        self.place.free_files = -2
        for _ in range(2):
            self.place.clock.advance(5)
        self.assertEqual(self.names(store), ["c", "d"])
        begun = run(store.begin(target("e"), HEAD, 5, kind=Kind.PACKAGE))
        self.successResultOf(begun).discard()
        self.assertEqual(self.names(store), ["d"])
        self.place.free_files = -1
        for _ in range(2):
            self.place.clock.advance(5)
        begun = run(store.begin(target("e"), HEAD, 5, kind=Kind.PACKAGE))
        self.failureResultOf(begun, CacheFull)
        self.place.free_files = 50
        for _ in range(2):
            self.place.clock.advance(5)
        self.put(store, "e")
        self.assertEqual(self.names(store), ["e"])
        self.assert_agrees()

    def test_not_listed_yet(self) -> None:
        """Nobody goes for files that are there and not listed yet."""
        store = self.started()
        for name in "abcd":
            self.put(store, name)
        self.successResultOf(run(store.stop()))
        self.place.free_files = 1
        self.place.in_thread = threads = WhenTold()
        store = self.place.store()
        starting = run(store.start())
        threads.run()
        self.successResultOf(starting)
        threads.run_all()
        self.place.in_thread = at_once
        self.put(store, "e")
        self.assertEqual(self.names(store), ["a", "b", "c", "d", "e"])
        self.put(store, "f")
        self.assertEqual(self.names(store), ["b", "c", "d", "e", "f"])


class ImageTests(StoreTestCase):
    """Images have a part of the cache."""

    def setUp(self) -> None:
        """Let images have half of it."""
        super().setUp()
        self.place.image_space = lambda capacity: capacity // 2

    def names(self, store: Store, *names: str) -> list[str]:
        """Say which of these are stored."""
        return [name for name in names if find(store, target(name))]

    def test_go_for_images(self) -> None:
        """An image takes the place of images once their part is full, and of nothing else."""
        store = self.started()
        self.put(store, "a.rpm", body_named("a.rpm", 4 * MIB))
        for name in ("a.iso", "b.iso", "c.iso"):
            self.put(store, name, body_named(name, 12 * MIB), Kind.IMAGE)
        self.assertEqual(
            self.names(store, "a.rpm", "a.iso", "b.iso", "c.iso"), ["a.rpm", "b.iso", "c.iso"]
        )
        self.assert_agrees()

    def test_too_large(self) -> None:
        """An image that is larger than their part is refused, and nothing goes for it."""
        store = self.started()
        self.put(store, "a.iso", body_named("a.iso", 12 * MIB), Kind.IMAGE)
        begun = run(store.begin(target("b.iso"), HEAD, 33 * MIB, kind=Kind.IMAGE))
        self.failureResultOf(begun, CacheFull)
        self.put(store, "a.rpm", body_named("a.rpm", 33 * MIB))
        self.assertEqual(self.names(store, "a.iso", "a.rpm"), ["a.iso", "a.rpm"])

    def test_of_unknown_length(self) -> None:
        """So is one that outgrows their part while it comes."""
        store = self.started()
        draft = self.successResultOf(run(store.begin(target("a"), HEAD, None, kind=Kind.IMAGE)))
        self.successResultOf(run(store.make_room(draft, 30 * MIB)))
        self.failureResultOf(run(store.make_room(draft, 33 * MIB)), CacheFull)
        draft.discard()
        self.assert_agrees()

    def test_restart(self) -> None:
        """After a restart, images are known for what they are."""
        store = self.started()
        for name in ("a.iso", "b.iso"):
            self.put(store, name, body_named(name, 12 * MIB), Kind.IMAGE)
        self.successResultOf(run(store.stop()))
        store = self.started()
        self.put(store, "c.iso", body_named("c.iso", 12 * MIB), Kind.IMAGE)
        self.assertEqual(self.names(store, "a.iso", "b.iso", "c.iso"), ["b.iso", "c.iso"])


class PinTests(StoreTestCase):
    """What is pinned stays."""

    def setUp(self) -> None:
        """Pin a folder, and a file."""
        super().setUp()
        self.place.pins = ("/pinned/", "/a.iso")
        self.place.image_space = lambda capacity: capacity // 4

    def fill(self, store: Store) -> None:
        """Store more than there is room for."""
        for number in range(20):
            self.put(store, f"n{number}", body_named(f"n{number}", 4 * MIB))

    def test_stays(self) -> None:
        """Pinned files outlast all others, after a restart as well, whatever their kind."""
        store = self.started()
        self.put(store, "pinned/a")
        self.put(store, "a.iso", body_named("a.iso", 20 * MIB), Kind.IMAGE)
        self.fill(store)
        self.successResultOf(run(store.stop()))
        store = self.started()
        self.fill(store)
        for name in ("pinned/a", "a.iso"):
            self.assertIsNotNone(find(store, target(name)))
        self.assert_agrees()

    def test_unpinned(self) -> None:
        """What is pinned no longer goes in its turn."""
        store = self.started()
        self.put(store, "pinned/a")
        self.successResultOf(run(store.stop()))
        self.place.pins = ()
        store = self.started()
        self.fill(store)
        self.assertIsNone(find(store, target("pinned/a")))

    def test_more_than_there_is_room_for(self) -> None:
        """Pins that the cache cannot hold are said to be so, once."""
        events = logged(self)
        store = self.started()
        self.put(store, "pinned/a", body_named("pinned/a", 40 * MIB))
        for name in ("pinned/b", "pinned/c"):
            begun = run(store.begin(target(name), HEAD, 30 * MIB, kind=Kind.PACKAGE))
            self.failureResultOf(begun, CacheFull)
        (message,) = said(events, "pinned")
        self.assertIn("/pinned/b cannot be held", message)
        self.assertIn("--cache-size", message)

    def test_not_their_fault(self) -> None:
        """What does not fit and is not pinned is nothing to be told of pins."""
        events = logged(self)
        store = self.started()
        self.put(store, "pinned/a", body_named("pinned/a", 40 * MIB))
        begun = run(store.begin(target("b"), HEAD, 30 * MIB, kind=Kind.PACKAGE))
        self.failureResultOf(begun, CacheFull)
        self.assertEqual(said(events, "pinned"), [])

    def test_smaller_setting(self) -> None:
        """What is not listed yet when the setting has become smaller is not held against pins."""
        store = self.started()
        self.put(store, "pinned/a", body_named("pinned/a", MIB))
        for number in range(4):
            self.put(store, f"n{number}", body_named(f"n{number}", 10 * MIB))
        self.successResultOf(run(store.stop()))
        events = logged(self)
        self.place.cache_size = 15 * MIB
        self.place.in_thread = threads = WhenTold()
        store = self.place.store()
        starting = run(store.start())
        threads.run()
        self.successResultOf(starting)
        self.assertIsNotNone(find(store, target("pinned/a")))
        for _ in range(2):
            self.place.clock.advance(5)
        # Is the directory there, and how full is the disk? The list has to wait.
        for _ in range(2):
            threads.waiting.rotate(1)
            threads.run()
        threads.run_all()
        self.place.in_thread = at_once
        self.assert_agrees()
        self.assertEqual(said(events, "pinned"), [])

    def test_disk_fills_up(self) -> None:
        """So is it when the disk leaves less than what is pinned."""
        store = self.started()
        self.put(store, "pinned/a", body_named("pinned/a", 40 * MIB))
        self.put(store, "b", body_named("b", 4 * MIB))
        events = logged(self)
        self.place.free = -10 * MIB
        for _ in range(6):
            self.place.clock.advance(5)
        self.assertIsNone(find(store, target("b")))
        self.assertIsNotNone(find(store, target("pinned/a")))
        self.assertEqual(len(said(events, "what is pinned cannot")), 1)


class CapacityTests(StoreTestCase):
    """What may be taken."""

    def test_smaller_setting(self) -> None:
        """B6: a smaller setting at the next start is kept at once."""
        store = self.started()
        for number in range(10):
            self.put(store, f"n{number}", body_named(f"n{number}", 4 * MIB))
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

    def test_unknown_size(self) -> None:
        """On a disk that does not know how large it is the setting counts."""
        self.place.free = self.place.disk = 0
        self.started()
        self.assertEqual(self.place.ledger.capacity, 64 * MIB)

    def test_reserved_is_not_on_the_disk(self) -> None:
        """What is reserved and not yet written is not taken for space that we have."""
        self.place.free = 10 * MIB
        store = self.started()
        before = self.place.ledger.capacity
        self.successResultOf(run(store.begin(target("a"), HEAD, 8 * MIB, kind=Kind.PACKAGE)))
        for _ in range(2):
            self.place.clock.advance(5)
        self.assertLessEqual(abs(self.place.ledger.capacity - before), 4096)
