"""Tests of `osproxy.store.listing`."""

from __future__ import annotations

import sqlite3

from attrs import evolve

from osproxy.repo.kinds import Kind
from osproxy.store.listing import _LIST, place_of
from osproxy.store.schema import CatalogueDamaged
from tests.store.doubles import at_once, run
from tests.store.test_catalogue import CatalogueTestCase, listed, record


class ListingTests(CatalogueTestCase):
    """All entries, in the order of their use."""

    def test_order(self) -> None:
        """The least recently used is first, however many are asked for at once."""
        catalogue, _ = self.opened()
        rows = [record(number, f"n{number}") for number in (1, 2, 3)]
        rows[1] = evolve(rows[1], kind=Kind.IMAGE)
        self.successResultOf(run(catalogue.swap(rows, ())))
        self.successResultOf(run(catalogue.note({1: (50.0, 3)}, {})))
        wanted = [place_of(rows[1]), place_of(rows[2]), place_of(evolve(rows[0], hotness=3))]
        for most in (1, 2, 9):
            self.assertEqual(self.successResultOf(run(listed(catalogue, most))), wanted)

    def test_plan(self) -> None:
        """Rows are read as they lie on the disk, and not in the order of an index."""
        catalogue, _ = self.opened()
        plan = catalogue._database.execute(f"EXPLAIN QUERY PLAN {_LIST}").fetchall()
        self.assertEqual(plan[0][-1], "SCAN entries")

    def test_damaged(self) -> None:
        """What cannot be read is damage; what cannot be reached is none."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.close()))
        self.path.write_bytes(b"no database" * 1000)
        listing = catalogue.listing(at_once)
        self.failureResultOf(run(listing.next(1)), CatalogueDamaged)
        self.successResultOf(run(listing.close()))
        self.path.unlink()
        self.path.mkdir()
        listing = catalogue.listing(at_once)
        self.failureResultOf(run(listing.next(1)), sqlite3.OperationalError)
        self.successResultOf(run(listing.close()))

    def test_unsound(self) -> None:
        """A row that holds what no entry has is damage: it would take space that there is not."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.swap([record(1), record(2)], ())))
        self.successResultOf(run(catalogue.note({2: (50.0, 3)}, {})))
        self.execute("CREATE TABLE kept AS SELECT * FROM entries")
        self.execute("CREATE TABLE kept_uses AS SELECT * FROM uses")
        for change in (
            "entries SET key = 'x'",
            "entries SET offset = 1.5",
            "entries SET length = -1",
            "entries SET length = 9223372036854775807",
            "entries SET length = x'ff'",
            "entries SET stored_at = 'x'",
            "entries SET checked_at = 'x'",
            "entries SET verified_at = 'x'",
            "entries SET body = 'x'",
            "uses SET used = CAST(x'ff' AS TEXT)",
            "uses SET hotness = CAST(x'ff' AS TEXT)",
        ):
            self.execute(f"UPDATE {change} WHERE id = 2")
            self.failureResultOf(run(listed(catalogue)), CatalogueDamaged)
            self.execute(
                "DELETE FROM entries; INSERT INTO entries SELECT * FROM kept;"
                "DELETE FROM uses; INSERT INTO uses SELECT * FROM kept_uses;"
            )
        self.assertEqual(len(self.successResultOf(run(listed(catalogue)))), 2)
