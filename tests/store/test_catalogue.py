"""Tests of the catalogue: rows in, rows out, and what becomes of a damaged one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Head, Target
from osproxy.repo.kinds import Kind
from osproxy.store.catalogue import Catalogue
from osproxy.store.layout import StoreError
from osproxy.store.records import Record
from tests.store.doubles import HEAD, at_once, run, target


def record(number: int, name: str = "a") -> Record:
    """Describe an entry."""
    return Record(number, target(name), Kind.PACKAGE, HEAD, 4096, 9, "0" * 64, 1.0, 2.0, "g")


class CatalogueTests(SynchronousTestCase):
    """The rows of one directory."""

    def setUp(self) -> None:
        """Have a place for a database."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "catalogue.sqlite"

    def opened(self) -> tuple[Catalogue, list[Record]]:
        """Open a catalogue and read it."""
        catalogue = Catalogue(self.path, at_once)
        return catalogue, self.successResultOf(run(catalogue.load()))

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
        self.successResultOf(run(catalogue.note({1: 50.0}, {2: (7.0, HEAD)})))
        self.assertGreater(catalogue.octets, 4096)
        self.successResultOf(run(catalogue.close()))
        self.successResultOf(run(catalogue.close()))
        _, records = self.opened()
        self.assertEqual(records, [evolve(rows[1], checked_at=7.0), rows[2], rows[0]])

    def test_unsynced(self) -> None:
        """It says which files wait to be synced, until they are, or go."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.swap([record(1), record(2)], (), "one boot")))
        self.successResultOf(run(catalogue.swap([record(3)], [1], "another")))
        self.successResultOf(run(catalogue.swap([record(4)], ())))
        self.successResultOf(run(catalogue.close()))
        catalogue, _ = self.opened()
        found = self.successResultOf(run(catalogue.unsynced()))
        self.assertEqual(found, {2: "one boot", 3: "another"})
        self.successResultOf(run(catalogue.synced([2, 9])))
        self.assertEqual(self.successResultOf(run(catalogue.unsynced())), {3: "another"})

    def test_durable(self) -> None:
        """Each transaction is synced if it is to outlive a power loss, and else now and then."""
        for durable, level in ((False, 1), (True, 2)):
            catalogue = Catalogue(self.path, at_once, durable=durable)
            self.successResultOf(run(catalogue.load()))
            (found,) = catalogue._database.execute("PRAGMA synchronous").fetchone()
            self.assertEqual(found, level)
            self.successResultOf(run(catalogue.close()))

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
        self.successResultOf(run(catalogue.note({1: 5.0}, {})))
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
        self.successResultOf(run(catalogue.close()))
        octets = bytearray(self.path.read_bytes())
        octets[4 * 4096 :] = b"\xff" * (len(octets) - 4 * 4096)
        self.path.write_bytes(octets)
        self.assertEqual(self.opened()[1], [])
        self.assertTrue(self.path.with_name("catalogue.damaged-1").exists())

    def test_unreadable_row(self) -> None:
        """A row that cannot be understood is dropped; the others are not."""
        catalogue, _ = self.opened()
        rows = [record(1, "a"), record(2, "b"), record(3, "c")]
        self.successResultOf(run(catalogue.swap(rows, ())))
        self.successResultOf(run(catalogue.close()))
        self.execute("UPDATE entries SET head = 'x' WHERE id = 1")
        self.execute("UPDATE entries SET kind = 'x' WHERE id = 2")
        self.assertEqual(self.opened()[1], [rows[2]])
        self.assertEqual(self.opened()[1], [rows[2]])

    def test_later_schema(self) -> None:
        """A database of a later version is refused, not touched."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.close()))
        self.execute("PRAGMA user_version = 99")
        before = self.path.read_bytes()
        self.failureResultOf(run(Catalogue(self.path, at_once).load()), StoreError)
        self.assertEqual(self.path.read_bytes(), before)

    def test_earlier_schema(self) -> None:
        """A database of an earlier version is brought up to date, and its rows are kept."""
        self.execute(
            """
            CREATE TABLE entries (
                id INTEGER PRIMARY KEY, backend TEXT NOT NULL, path TEXT NOT NULL,
                kind TEXT NOT NULL, head TEXT NOT NULL, offset INTEGER NOT NULL,
                length INTEGER NOT NULL, digest TEXT NOT NULL, stored_at REAL NOT NULL,
                checked_at REAL NOT NULL, generation TEXT NOT NULL
            );
            CREATE TABLE uses (id INTEGER PRIMARY KEY, used REAL NOT NULL);
            INSERT INTO entries VALUES (
                7, '/', '/a.rpm', 'package',
                '{"etag": "\\"a\\"", "fields": [["Content-Type", "x/y"]],
                  "upstream_etag": null, "source": "h", "date": 5.0}',
                4096, 3, 'abc', 1.0, 2.0, 'g'
            );
            PRAGMA user_version = 1;
            """
        )
        catalogue, (found,) = self.opened()
        self.assertEqual(found.target, Target("/", "/a.rpm"))
        self.assertEqual(found.head, Head('"a"', (("Content-Type", "x/y"),), None, "h", 5.0, 200))
        varied = evolve(found, id=8, target=Target("/", "/a.rpm", "v1"))
        self.successResultOf(run(catalogue.swap([varied], [])))
        self.successResultOf(run(catalogue.close()))
        self.assertEqual(self.opened()[1], [found, varied])

    def test_not_damaged_but_out_of_reach(self) -> None:
        """A database that cannot be opened is not taken for damaged."""
        self.path.mkdir()
        self.failureResultOf(run(Catalogue(self.path, at_once).load()), StoreError)
