"""Tests of the store: entries in, entries out, and nothing lost or leaked between."""

from __future__ import annotations

from osproxy.repo.kinds import Kind
from osproxy.store.records import read_header
from tests.store.doubles import HEAD, StoreTestCase, body_named, find, run, sha256, target


class EntryTests(StoreTestCase):
    """What was committed can be read."""

    def test_put_and_read(self) -> None:
        """A committed body is found and read back, and is what the metrics count."""
        store = self.started()
        self.put(store, "a.rpm", b"body" * 3000)
        self.assertEqual(self.body_of(store, "a.rpm"), b"body" * 3000)
        self.assertIn(b"osproxy_entries 1.0", self.place.metrics.exposition())
        self.assert_agrees()

    def test_empty_body(self) -> None:
        """A body of no octets is a body."""
        store = self.started()
        self.put(store, "empty", b"")
        self.assertEqual(self.body_of(store, "empty"), b"")

    def test_survives_a_restart(self) -> None:
        """An orderly stop and a new start keep entries, heads, freshness and the order of use."""
        store = self.started()
        for name in ("a", "b", "c"):
            self.put(store, name)
        entry = self.entry_of(store)
        self.place.clock.advance(1)
        store.touch(entry)
        store.freshen(entry, 77.0)
        self.successResultOf(run(store.stop()))
        store = self.started()
        found = self.entry_of(store)
        self.assertEqual((found.checked_at, found.head), (77.0, HEAD))
        self.assertEqual(found.digest, sha256(body_named("a")))
        self.assertEqual(self.body_of(store, "a"), body_named("a"))
        ledger = self.place.ledger
        order = ledger.victims(
            ledger.missing(ledger.capacity - ledger.overhead - ledger.headroom), 0.0
        )
        names = {e.id: e.target.path for e in (find(store, target(name)) for name in "abc") if e}
        self.assertEqual([names[key] for key in order], ["/b", "/c", "/a"])
        self.assert_agrees()

    def test_standing_survives(self) -> None:
        """How an entry stood when it was last used is known after a restart."""
        self.place.eviction = "clock"
        store = self.started()
        for name in ("a", "b"):
            self.put(store, name)
        found = (find(store, target(name)) for name in "ab")
        entries = [entry for entry in found if entry is not None]
        store.touch(entries[0])
        standing = [self.place.ledger.hotness(entry.id) for entry in entries]
        self.assertGreater(standing[0], standing[1])
        self.successResultOf(run(store.stop()))
        self.started()
        self.assertEqual([self.place.ledger.hotness(entry.id) for entry in entries], standing)

    def test_file_describes_itself(self) -> None:
        """A file says what it is, so that the catalogue can be made anew from the files."""
        store = self.started()
        self.put(store, "a", b"12345")
        entry = self.entry_of(store)
        record = read_header(entry.blob.path)
        self.assertEqual((record.target, record.head, record.length), (target("a"), HEAD, 5))
        self.assertEqual((record.digest, record.kind), (sha256(b"12345"), Kind.PACKAGE))
        self.assertEqual((record.offset, record.checked_at), (entry.offset, 5.0))
