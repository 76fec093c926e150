"""Tests of `osproxy.store.inventory`."""

from __future__ import annotations

import gc
import sqlite3
from typing import TYPE_CHECKING

from attrs import evolve

from osproxy.model import Target
from osproxy.repo.kinds import Kind
from osproxy.store.blobs import State
from tests.store.doubles import (
    HEAD,
    Failing,
    StoreTestCase,
    WhenTold,
    at_once,
    body_named,
    find,
    run,
    sha256,
    target,
)

if TYPE_CHECKING:
    from osproxy.store.store import Store


class InventoryTestCase(StoreTestCase):
    """A store in which next to nothing stays in memory."""

    def setUp(self) -> None:
        """Have a place for a cache."""
        super().setUp()
        self.place.recent = 1

    def put_variant(self, store: Store, variant: str, body: bytes) -> None:
        """Store one of several responses of a URL."""
        named = evolve(target("a"), variant=variant)
        draft = self.successResultOf(run(store.begin(named, HEAD, len(body), kind=Kind.GENERIC)))
        draft.write(body)
        self.successResultOf(run(store.commit([(draft, sha256(body))], 1.0)))


class FindingTests(InventoryTestCase):
    """Entries that are in memory, and entries that are not."""

    def test_hits_and_misses_ask_nobody(self) -> None:
        """What is in memory, and what is not stored, is said at once; the rest is read."""
        store = self.started()
        for name in "ab":
            self.put(store, name)
        self.place.in_database = database = WhenTold()
        self.assertIsNotNone(find(store, target("b")))
        self.assertIsNone(find(store, target("c")))
        self.assertIsNone(find(store, Target("/x", "/a")))
        finding = run(store.find(target("a")))
        self.assertNoResult(finding)
        database.run_all()
        entry = self.successResultOf(finding)
        assert entry is not None
        self.assertEqual((entry.target, entry.head, entry.checked_at), (target("a"), HEAD, 5.0))

    def test_at_hand(self) -> None:
        """What is in memory is at hand, and what is not, or is of several variants, is not."""
        store = self.started()
        for name in "ab":
            self.put(store, name)
        self.assertIs(store.at_hand(target("b")), self.entry_of(store, "b"))
        for missing in (target("a"), target("c"), evolve(target("b"), variant="x")):
            self.assertIsNone(store.at_hand(missing))
        self.put_variant(store, "x", b"x")
        self.put_variant(store, "y", b"y")
        for variant in ("", "x", "y"):
            self.assertIsNone(store.at_hand(evolve(target("a"), variant=variant)))

    def test_not_at_hand_yet(self) -> None:
        """After a start nothing is at hand that was not looked up."""
        store = self.started()
        self.put(store, "b")
        self.successResultOf(run(store.stop()))
        self.place.in_database = database = WhenTold()
        store = self.place.store()
        starting = run(store.start())
        while not database.waiting:
            self.place.clock.advance(0)
        self.assertIsNone(store.at_hand(target("b")))
        database.run_all()
        self.successResultOf(starting)
        finding = run(store.find(target("b")))
        database.run_all()
        self.assertIs(store.at_hand(target("b")), self.successResultOf(finding))

    def test_one_entry_a_file(self) -> None:
        """Whoever asks, at whatever time, gets the entry that another holds; so with leases."""
        store = self.started()
        for name in "ab":
            self.put(store, name)
        self.place.in_database = database = WhenTold()
        both = [run(store.find(target("a"))) for _ in range(2)]
        database.run_all()
        first, second = map(self.successResultOf, both)
        self.assertIs(first, second)
        self.place.in_database = at_once
        assert first is not None
        lease = self.successResultOf(run(first.open()))
        del first, second, both
        self.entry_of(store, "b")
        gc.collect()
        self.entry_of(store, "b")
        again = self.entry_of(store, "a")
        store.doom(again)
        self.assertEqual(len(self.place.open_files()), 1)
        self.assertEqual(self.read(lease), body_named("a"))
        lease.close()
        self.assertEqual(self.place.open_files(), [])
        self.assert_agrees()

    def test_noted_before_it_is_read_again(self) -> None:
        """A confirmation that is not written yet is not forgotten with the entry."""
        store = self.started()
        for name in "ab":
            self.put(store, name)
        store.freshen(self.entry_of(store, "a"), 99.0)
        self.entry_of(store, "b")
        self.assertEqual(self.entry_of(store, "a").checked_at, 99.0)
        self.place.clock.advance(5)
        self.entry_of(store, "b")
        gc.collect()
        self.assertEqual(self.entry_of(store, "a").checked_at, 99.0)

    def test_gone_while_it_is_read(self) -> None:
        """What is let go of while its row is read is not found."""
        store = self.started()
        for name in "ab":
            self.put(store, name)
        number = self.entry_of(store, "a").id
        self.entry_of(store, "b")
        gc.collect()
        self.place.in_database = database = WhenTold()
        finding = run(store.find(target("a")))
        store.doom_all(target("a"))
        database.run_all()
        self.assertIsNone(self.successResultOf(finding))
        self.assertNotIn(number, self.place.ledger)

    def test_replaced_while_it_is_read(self) -> None:
        """What is replaced while its row is read is found as what is there now."""
        store = self.started()
        for name in "ab":
            self.put(store, name)
        old = self.entry_of(store, "a").id
        self.entry_of(store, "b")
        self.place.in_database = database = WhenTold()
        finding = run(store.find(target("a")))
        self.place.in_database = at_once
        self.put(store, "a", b"new")
        database.run_all()
        found = self.successResultOf(finding)
        assert found is not None
        self.assertEqual((found.digest, found.state), (sha256(b"new"), State.LIVE))
        self.assertNotIn(old, self.place.ledger)

    def test_variants(self) -> None:
        """All that is stored of a URL is found, and each by its own name, in memory or not."""
        store = self.started()
        for variant, body in (("", b"plain"), ("v1", b"one"), ("v2", b"two")):
            self.put_variant(store, variant, body)
        self.put(store, "b")
        for _ in range(2):
            store = self.restarted(store)
            found = self.successResultOf(run(store.all_of(target("a"))))
            self.assertEqual({entry.target.variant for entry in found}, {"", "v1", "v2"})
            entry = find(store, evolve(target("a"), variant="v2"))
            assert entry is not None
            self.assertEqual(entry.digest, sha256(b"two"))
            self.assertIsNone(find(store, evolve(target("a"), variant="v3")))
        store.doom_all(target("a"))
        self.assertEqual(self.successResultOf(run(store.all_of(target("a")))), [])
        self.assertEqual(store.entries, 1)
        self.assert_agrees()

    def restarted(self, store: Store) -> Store:
        """Stop and start."""
        self.successResultOf(run(store.stop()))
        return self.started()

    def test_collision(self) -> None:
        """Two URLs of one key are not taken for one another."""
        store = self.started()
        for name, body in (("a", b"aa"), ("b", b"bb")):
            self.put(store, name, body)
        self.place.catalogue._database.execute(
            "UPDATE entries SET key = (SELECT key FROM entries WHERE path = '/b')"
        )
        self.place.catalogue._database.commit()
        store = self.restarted(store)
        self.assertEqual(self.body_of(store, "b"), b"bb")
        self.assertEqual(len(self.successResultOf(run(store.all_of(target("b"))))), 1)
        self.assertIsNone(find(store, target("a")))
        self.assertEqual(store.entries, 2)


class NumberTests(InventoryTestCase):
    """Entries by the numbers of their files."""

    def test_found(self) -> None:
        """One that is held is found as it is; another is read, and goes again when it is let go."""
        store = self.started()
        for name in "ab":
            self.put(store, name)
        held = self.entry_of(store, "a")
        self.assertIs(self.successResultOf(run(store.entry(held.id))), held)
        number = self.entry_of(store, "b").id
        self.entry_of(store, "a")
        gc.collect()
        again = self.successResultOf(run(store.entry(number)))
        assert again is not None
        self.assertEqual(again.target, target("b"))
        self.assertIs(self.entry_of(store, "b"), again)

    def test_gone(self) -> None:
        """What is gone, or goes while its row is read, is not found."""
        store = self.started()
        for name in "ab":
            self.put(store, name)
        entry = self.entry_of(store, "a")
        number = entry.id
        store.doom(entry)
        self.assertIsNone(self.successResultOf(run(store.entry(number))))
        number = self.entry_of(store, "b").id
        self.put(store, "c")
        gc.collect()
        self.place.in_database = threads = WhenTold()
        finding = run(store.entry(number))
        store.doom_all(target("b"))
        threads.run_all()
        self.assertIsNone(self.successResultOf(finding))


class UnreadableTests(InventoryTestCase):
    """Rows that cannot be read."""

    def stored(self) -> Store:
        """Have one entry that is not in memory."""
        store = self.started()
        for name in "ab":
            self.put(store, name)
        gc.collect()
        return store

    def test_row_that_makes_no_sense(self) -> None:
        """What the catalogue does not know is read from the file."""
        store = self.stored()
        self.place.catalogue._database.execute("UPDATE entries SET head = 'x'")
        self.assertEqual(self.entry_of(store, "a").head, HEAD)
        self.assertEqual(self.body_of(store, "a"), body_named("a"))

    def test_no_catalogue(self) -> None:
        """A catalogue that fails costs an error, not an entry."""
        store = self.stored()
        self.place.in_database = Failing({"_rows": sqlite3.DatabaseError("malformed")})
        self.assertEqual(self.entry_of(store, "a").head, HEAD)

    def test_neither(self) -> None:
        """What can be read nowhere is lost, and does not stay."""
        store = self.stored()
        path = self.entry_of(store, "a").blob.path
        self.entry_of(store, "b")
        gc.collect()
        path.write_bytes(b"")
        self.place.catalogue._database.execute("UPDATE entries SET head = 'x'")
        self.assertIsNone(find(store, target("a")))
        self.assertEqual(store.entries, 1)
        self.assert_agrees()
