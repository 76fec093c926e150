"""Tests of the catalogue: rows in, rows out, and what becomes of a damaged one."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Head, Target
from osproxy.repo.kinds import Kind
from osproxy.store.catalogue import Catalogue, Damaged, Place
from osproxy.store.layout import StoreError
from osproxy.store.records import Record, head_to
from tests.store.doubles import HEAD, at_once, run, target

# What a page of a table's rows begins with.
_LEAF = 13
# As the first version of osproxy made it, with two entries, of which one was used.
FIRST = f"""
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, backend TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL,
    head TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, digest TEXT NOT NULL,
    stored_at REAL NOT NULL, checked_at REAL NOT NULL, generation TEXT NOT NULL
);
CREATE TABLE uses (id INTEGER PRIMARY KEY, used REAL NOT NULL);
INSERT INTO entries VALUES
    (7, '/', '/a', 'package', '{json.dumps(head_to(HEAD))}', 4096, 9, '{"0" * 64}', 1, 2, 'g'),
    (8, '/', '/a', 'package', '{json.dumps(head_to(HEAD))}', 4096, 9, '{"0" * 64}', 1, 2, 'g');
INSERT INTO uses VALUES (7, 3.0);
PRAGMA user_version = 1;
"""


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

    def test_first_schema(self) -> None:
        """A database of the first version is brought up to date, and nothing in it is lost."""
        with sqlite3.connect(self.path) as connection:
            connection.executescript(FIRST)
        connection.close()
        first = Record(7, target("a"), Kind.PACKAGE, HEAD, 4096, 9, "0" * 64, 1.0, 2.0, "g")
        catalogue, records = self.opened()
        self.assertEqual(records, [evolve(first, id=8), first])
        self.successResultOf(run(catalogue.note({7: (0.5, 4)}, {})))
        self.successResultOf(run(catalogue.close()))
        self.assertEqual(self.opened()[1], [evolve(first, hotness=4), evolve(first, id=8)])

    def test_half_way(self) -> None:
        """An update that fails changes nothing, so that it can be tried again."""
        with sqlite3.connect(self.path) as connection:
            connection.executescript(FIRST.replace(" uses ", " others "))
        connection.close()
        self.failureResultOf(run(Catalogue(self.path, at_once).open()), StoreError)
        with sqlite3.connect(self.path) as connection:
            self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (1,))
        connection.close()
        self.execute("ALTER TABLE others RENAME TO uses")
        self.assertEqual(len(self.opened()[1]), 2)

    def test_later_schema(self) -> None:
        """A database of a later version is refused, not touched."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.close()))
        self.execute("PRAGMA user_version = 99")
        before = self.path.read_bytes()
        self.failureResultOf(run(Catalogue(self.path, at_once).open()), StoreError)
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
        self.failureResultOf(run(Catalogue(self.path, at_once).open()), StoreError)
