"""Tests of `osproxy.store.stock`: what goes along with a file, and what stays for others."""

from __future__ import annotations

from attrs import evolve

from osproxy.store.ledger import BLOCK
from tests.store.bodies import BODY, SharedBodyCase
from tests.store.doubles import MIB, WhenTold, at_once, find, run, target


class NumberTests(SharedBodyCase):
    """Files by their numbers."""

    def test_nameless(self) -> None:
        """A body that only others name is there, though it is no entry, until they go."""
        store = self.shared("a", "b")
        stock, number = store._stock, self.entry_of(store, "a").id
        self.assertIn(number, stock)
        store.doom(self.entry_of(store, "a"))
        self.assertNotIn(number, stock)
        self.assertTrue(stock.has(number))
        self.assertIs(stock.blob(number), self.entry_of(store, "b").body)
        self.assertEqual(stock.shared(), [number])
        store.doom(self.entry_of(store, "b"))
        self.assertFalse(stock.has(number))

    def test_newer(self) -> None:
        """What was begun later is newer, whatever it is a variant of, and nothing else is."""
        store = self.started()
        for name in "ab":
            self.put(store, name)
        first, second = (self.entry_of(store, name).id for name in "ab")
        for number, newer in ((first - 1, True), (first, False), (second, False)):
            self.assertEqual(store._stock.has_newer(target("a"), number), newer)
            variant = evolve(target("a"), variant="x")
            self.assertEqual(store._stock.has_newer(variant, number), newer)


class GoingTests(SharedBodyCase):
    """Entries go, and bodies with the last that has them."""

    def test_first_name_goes(self) -> None:
        """The body stays for the others, over a restart and without a catalogue, till the last."""
        for lost in (False, True):
            store = self.shared("a", "b", "c")
            store.doom(self.entry_of(store, "a"))
            self.check(store, "b", "c")
            self.successResultOf(run(store.stop()))
            if lost:
                self.place.directory.catalogue.unlink()
            store = self.started()
            self.assertIsNone(find(store, target("a")))
            self.check(store, "b", "c")
            store.doom(self.entry_of(store, "b"))
            self.check(store, "c")
            store.doom(self.entry_of(store, "c"))
            self.assertEqual((self.place.files(), store.entries), ({}, 0))
            self.assert_agrees()
            self.successResultOf(run(store.stop()))

    def test_replaced(self) -> None:
        """A new version of one leaves the others with what they had."""
        store = self.shared("a", "b")
        reading = self.successResultOf(run(self.entry_of(store, "a").open()))
        old = self.entry_of(store, "a")
        self.put(store, "a", b"new" * 2000)
        self.assertEqual(self.body_of(store, "a"), b"new" * 2000)
        self.assertEqual(self.body_of(store, "b"), BODY)
        self.assertEqual(self.read(reading), BODY)
        self.failureResultOf(run(old.open()), FileNotFoundError)
        reading.close()
        self.assert_agrees()
        self.put(store, "b", b"new" * 2000)
        self.assertEqual(len([s for s in self.place.files().values() if s > BLOCK]), 1)
        self.assert_agrees()
        # Nor has what is gone a row.
        sizes = self.successResultOf(run(self.place.catalogue.sizes(0, 9)))
        self.assertEqual(len(sizes), 2)

    def test_evicted(self) -> None:
        """Space is made by the body, with all its names; a name that is used keeps the body."""
        self.place.cache_size = 4 * MIB
        store = self.started()
        for name in "ab":
            self.put(store, name, b"s" * MIB)
        self.put(store, "c", b"c" * (MIB + MIB // 4))
        store.touch(self.entry_of(store, "b"))
        self.put(store, "d", b"d" * (MIB + MIB // 2))
        self.assertIsNone(find(store, target("c")))
        self.assertEqual(self.body_of(store, "b"), b"s" * MIB)
        self.put(store, "e", b"e" * 2 * MIB)
        self.assertEqual([find(store, target(name)) for name in "ab"], [None, None])
        self.assert_agrees()

    def test_missing(self) -> None:
        """When both links are missing, all are lost as the body is asked for by any name."""
        store = self.shared("a", "b", "c")
        path = self.entry_of(store, "b").body.path
        path.unlink()
        path.with_suffix(".body").unlink()
        self.failureResultOf(run(self.entry_of(store, "b").open()), FileNotFoundError)
        self.assertEqual([find(store, target(name)) for name in "abc"], [None] * 3)
        self.assert_agrees()

    def test_going_at_any_step(self) -> None:
        """However far it came to take a first name away, the other one has the body."""
        for turns in range(6):
            store = self.shared("a", "b")
            self.place.in_thread = self.place.in_database = threads = WhenTold()
            store.doom(self.entry_of(store, "a"))
            threads.run(min(turns, len(threads.waiting)))
            self.place.in_thread = self.place.in_database = at_once
            self.place.kill()
            store = self.started()
            self.assertEqual(self.body_of(store, "b"), BODY)
            self.assert_agrees()
            store.doom_all(target("a"))
            store.doom_all(target("b"))
            self.assertEqual(self.place.files(), {})
            self.successResultOf(run(store.stop()))
