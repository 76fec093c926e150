"""Tests of the catalogue: rows in, rows out, and what becomes of a damaged one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.kinds import Kind
from osproxy.store.catalogue import Catalogue, Damaged, Place
from osproxy.store.layout import StoreError
from osproxy.store.records import Record
from tests.store.doubles import HEAD, at_once, run, target

# What a page of a table's rows begins with.
_LEAF = 13


def record(number: int, name: str = "a") -> Record:
    """Describe an entry."""
    return Record(number, target(name), Kind.PACKAGE, HEAD, 4096, 9, "0" * 64, 1.0, 2.0, "g")


async def listed(catalogue: Catalogue, most: int = 2) -> list[Place]:
    """List all entries, so many at a time."""
    places: list[Place] = []
    listing = catalogue.listing(at_once)
    try:
        while bite := await listing.next(most):
            places += bite
    finally:
        await listing.close()
    return places


class CatalogueTests(SynchronousTestCase):
    """The rows of one directory."""

    def setUp(self) -> None:
        """Have a place for a database."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "catalogue.sqlite"

    def opened(self) -> tuple[Catalogue, list[Record]]:
        """Open a catalogue and read it, in the order in which it is listed."""
        catalogue = Catalogue(self.path, at_once)
        extent = self.successResultOf(run(catalogue.open()))
        places = self.successResultOf(run(listed(catalogue)))
        records = self.successResultOf(run(catalogue.rows([number for number, *_ in places])))
        self.assertEqual(extent.count, len(places))
        return catalogue, records

    def execute(self, statement: str) -> None:
        """Change the database behind the catalogue's back."""
        with sqlite3.connect(self.path) as connection:
            connection.executescript(statement)
        connection.close()

    def test_keeps_rows(self) -> None:
        """What was written is read back, the least recently used first."""
        catalogue, records = self.opened()
        self.assertEqual(records, [])
        rows = [record(number, f"n{number}") for number in (1, 2, 3)]
        self.successResultOf(run(catalogue.swap(rows, ())))
        self.successResultOf(run(catalogue.note({1: (50.0, 3)}, {2: (7.0, HEAD)})))
        self.assertGreater(catalogue.octets, 4096)
        self.successResultOf(run(catalogue.close()))
        self.successResultOf(run(catalogue.close()))
        _, records = self.opened()
        self.assertEqual(
            records, [evolve(rows[1], checked_at=7.0), rows[2], evolve(rows[0], hotness=3)]
        )

    def test_unsynced(self) -> None:
        """It says which files wait to be synced, until they are, or go."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.swap([record(1), record(2)], (), "one boot")))
        self.successResultOf(run(catalogue.swap([record(3)], [1], "another")))
        self.successResultOf(run(catalogue.swap([record(4)], ())))
        self.successResultOf(run(catalogue.close()))
        catalogue = Catalogue(self.path, at_once)
        found = self.successResultOf(run(catalogue.open())).unsynced
        self.assertEqual(found, {2: "one boot", 3: "another"})
        self.successResultOf(run(catalogue.synced([2, 9])))
        # It is opened anew.
        found = self.successResultOf(run(catalogue.open())).unsynced
        self.assertEqual(found, {3: "another"})

    def test_recovered_is_doubtful(self) -> None:
        """Of a row that was made anew no boot is known; of one that was there it is as it was."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.swap([record(1)], ())))
        self.successResultOf(run(catalogue.swap([record(2)], (), "one boot")))
        rows = [record(number) for number in (1, 2, 3)]
        for _ in range(2):
            self.successResultOf(run(catalogue.recover(rows)))
            found = self.successResultOf(run(catalogue.open())).unsynced
            self.assertEqual(found, {2: "one boot", 3: ""})

    def test_swaps_or_does_not(self) -> None:
        """Rows that are replaced go if and only if their successors come."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.swap([record(1)], ())))
        swap = run(catalogue.swap([record(2), record(2)], [1]))
        self.failureResultOf(swap, sqlite3.IntegrityError)
        self.successResultOf(run(catalogue.close()))
        self.assertEqual(self.opened()[1], [record(1)])

    def test_drops_uses_too(self) -> None:
        """Of a row that is deleted nothing stays."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.swap([record(1)], ())))
        self.successResultOf(run(catalogue.note({1: (5.0, 0)}, {})))
        self.successResultOf(run(catalogue.drop([1])))
        self.successResultOf(run(catalogue.close()))
        with sqlite3.connect(self.path) as connection:
            self.assertEqual(connection.execute("SELECT * FROM uses").fetchall(), [])
        connection.close()

    def test_not_open(self) -> None:
        """A catalogue that is not open takes nothing."""
        catalogue = Catalogue(self.path, at_once)
        self.failureResultOf(run(catalogue.drop([1])), sqlite3.ProgrammingError)

    def test_damaged(self) -> None:
        """A damaged database is moved aside, never overwritten, and the cache starts empty."""
        for number in (1, 2):
            self.path.write_bytes(b"this is no database at all " * 1000)
            catalogue, records = self.opened()
            self.assertEqual(records, [])
            self.successResultOf(run(catalogue.swap([record(1)], ())))
            self.assertTrue(self.path.with_name(f"catalogue.damaged-{number}").exists())
            # Its space counts.
            self.assertGreater(catalogue.octets, number * 27000)
            self.successResultOf(run(catalogue.close()))
            self.assertEqual(self.opened()[1], [record(1)])

    def test_damaged_inside(self) -> None:
        """Damage that shows only when rows are read is damage, too."""
        catalogue, _ = self.opened()
        rows = [record(number, "x" * 500) for number in range(200)]
        self.successResultOf(run(catalogue.swap(rows, ())))
        self.successResultOf(run(catalogue.completed()))
        self.successResultOf(run(catalogue.close()))
        octets = bytearray(self.path.read_bytes())
        leaves = [page for page in range(4, len(octets) // 4096) if octets[page * 4096] == _LEAF]
        self.assertGreater(len(leaves), 10)
        for page in leaves[1:]:
            octets[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
        self.path.write_bytes(octets)
        catalogue = Catalogue(self.path, at_once)
        self.successResultOf(run(catalogue.open()))
        damage = self.failureResultOf(run(listed(catalogue)), Damaged).value
        self.assertFalse(catalogue.incomplete)
        self.successResultOf(run(catalogue.start_anew(damage)))
        self.assertTrue(catalogue.incomplete)
        self.assertTrue(self.path.with_name("catalogue.damaged-1").exists())
        self.successResultOf(run(catalogue.close()))
        # It is not forgotten that rows are missing.
        catalogue, records = self.opened()
        self.assertEqual((records, catalogue.incomplete), ([], True))
        self.successResultOf(run(catalogue.completed()))
        self.successResultOf(run(catalogue.close()))
        self.assertFalse(self.opened()[0].incomplete)

    def test_unreadable_row(self) -> None:
        """A row that cannot be understood is not given; the others are."""
        catalogue, _ = self.opened()
        rows = [record(1, "a"), record(2, "b"), record(3, "c")]
        self.successResultOf(run(catalogue.swap(rows, ())))
        self.successResultOf(run(catalogue.close()))
        self.execute("UPDATE entries SET head = 'x' WHERE id = 1")
        self.execute("UPDATE entries SET kind = 'x' WHERE id = 2")
        self.assertEqual(self.opened()[1], [rows[2]])
        self.assertEqual(self.opened()[1], [rows[2]])

    def test_not_damaged_but_out_of_reach(self) -> None:
        """A database that cannot be opened is not taken for damaged."""
        self.path.mkdir()
        self.failureResultOf(run(Catalogue(self.path, at_once).open()), StoreError)
