"""Tests of `osproxy.store.gauges`."""

from __future__ import annotations

from osproxy.store.ledger import BLOCK
from tests.store.doubles import MIB, StoreTestCase, draft_of, run


class GaugeTests(StoreTestCase):
    """The metrics say what there is."""

    def figure(self, name: str) -> float:
        """Read one off the page of metrics."""
        page = self.place.metrics.exposition().decode()
        (line,) = [it for it in page.splitlines() if it.startswith(f"osproxy_{name} ")]
        return float(line.split()[1])

    def test_what_there_is(self) -> None:
        """Each figure is that of the moment."""
        store = self.started()
        self.assertEqual(self.figure("capacity_bytes"), self.place.cache_size)
        for count in (1, 2):
            self.put(store, f"f{count}", bytes([count]) * MIB)
            self.assertEqual(self.figure("entries"), count)
            self.assertEqual(self.figure("stored_bytes"), self.place.ledger.used)
        self.assertGreaterEqual(self.figure("stored_bytes"), 2 * MIB)
        self.assertEqual(self.figure("catalogue_bytes"), self.place.catalogue.octets)
        draft = self.successResultOf(run(draft_of(store, "d", b"y" * MIB)))
        self.assertEqual(self.figure("drafts"), 1)
        self.assertEqual(self.figure("reserved_bytes"), MIB + BLOCK)
        self.put_aside(store, "e", b"z" * 2 * MIB, 3 * MIB)
        self.assertEqual((self.figure("drafts"), self.figure("kept_drafts")), (1, 1))
        draft.discard()
        self.assertEqual(self.figure("drafts"), 0)
        for gone in ("image_bytes", "pinned_bytes", "awaiting_deletion_bytes"):
            self.assertEqual(self.figure(gone), 0, gone)
        self.assertEqual(self.figure("image_capacity_bytes"), self.place.cache_size)
        self.assertGreater(self.figure("disk_free_bytes"), 0)

    def test_free_files(self) -> None:
        """How many more files the disk can have is told, and where it can have any number."""
        for free, told in ((7, 7.0), (None, float("inf"))):
            self.place.free_files, self.place.free = free, MIB
            store = self.started()
            self.assertEqual(self.figure("disk_free_files"), told)
            self.successResultOf(run(store.stop()))
