"""Tests of the catalogue: rows in, rows out, and what becomes of a damaged one."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Head, Target
from osproxy.repo.kinds import Kind
from osproxy.store.catalogue import Catalogue, CatalogueDamaged, examine
from osproxy.store.layout import StoreError
from osproxy.store.records import Record
from osproxy.store.schedule import Candidate
from tests.store.doubles import HEAD, at_once, run, target

if TYPE_CHECKING:
    from collections.abc import Sequence


def record(number: int, name: str = "a") -> Record:
    """Describe an entry."""
    return Record(number, target(name), Kind.PACKAGE, HEAD, 4096, 9, "0" * 64, 1.0, 2.0, "g")


class CatalogueTestCase(SynchronousTestCase):
    """A place for a catalogue."""

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


class CatalogueTests(CatalogueTestCase):
    """The rows of one directory."""

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
        self.assertEqual(
            found.head, Head('"a"', (("Content-Type", "x/y"),), None, "h", 5.0, 200, ())
        )
        varied = evolve(found, id=8, target=Target("/", "/a.rpm", "v1"))
        self.successResultOf(run(catalogue.swap([varied], [])))
        # Each was verified when it was written.
        self.assertEqual(
            self.successResultOf(run(catalogue.least_verified(9.0))),
            [Candidate(7, 4099, 1.0), Candidate(8, 4099, 1.0)],
        )
        self.successResultOf(run(catalogue.close()))
        self.assertEqual(self.opened()[1], [found, varied])

    def test_not_damaged_but_out_of_reach(self) -> None:
        """A database that cannot be opened is not taken for damaged."""
        self.path.mkdir()
        self.failureResultOf(run(Catalogue(self.path, at_once).load()), StoreError)


class VerificationTests(CatalogueTestCase):
    """When each entry was last verified, and used."""

    def order(self, catalogue: Catalogue, now: float, most: int | None = None) -> list[int]:
        """Name the entries in the order in which they are to be verified."""
        found = self.successResultOf(run(catalogue.least_verified(now, most)))
        return [candidate.id for candidate in found]

    def stored(self, times: Sequence[float]) -> Catalogue:
        """Store an entry at each of these times, numbered from 0."""
        catalogue, _ = self.opened()
        records = [
            evolve(record(number, f"n{number}"), stored_at=at) for number, at in enumerate(times)
        ]
        self.successResultOf(run(catalogue.swap(records, ())))
        return catalogue

    def test_stored(self) -> None:
        """What was just stored was verified just now."""
        catalogue = self.stored([30.0, 10.0, 20.0])
        self.assertEqual(self.order(catalogue, 30.0), [1, 2, 0])
        self.assertEqual(self.order(catalogue, 30.0, 2), [1, 2])
        (first,) = self.successResultOf(run(catalogue.least_verified(30.0, 1)))
        self.assertEqual(first, Candidate(1, 4096 + 9, 10.0))

    def test_survives(self) -> None:
        """What was verified goes to the end, also after a restart; a row that is gone does not."""
        catalogue = self.stored([1.0, 2.0, 3.0])
        self.successResultOf(run(catalogue.note_verified({0: 50.0, 9: 50.0})))
        self.successResultOf(run(catalogue.close()))
        catalogue, records = self.opened()
        self.assertEqual(len(records), 3)
        self.assertEqual(self.order(catalogue, 60.0), [1, 2, 0])
        self.successResultOf(run(catalogue.drop([1])))
        self.assertEqual(self.order(catalogue, 60.0), [2, 0])

    def test_last_used(self) -> None:
        """An entry that nobody has used yet counts as used when it was stored."""
        catalogue = self.stored([5.0])
        self.assertEqual(self.successResultOf(run(catalogue.last_used(0))), 5.0)
        self.successResultOf(run(catalogue.note({0: 8.0}, {})))
        self.assertEqual(self.successResultOf(run(catalogue.last_used(0))), 8.0)
        self.assertIsNone(self.successResultOf(run(catalogue.last_used(1))))

    @given(st.lists(st.floats(0, 100), max_size=12), st.floats(0, 100), st.integers(1, 12))
    @settings(max_examples=20, deadline=None)
    def test_order(self, times: list[float], now: float, most: int) -> None:
        """Those of the future come first, then the others, each by its time."""
        self.path.unlink(missing_ok=True)
        catalogue = self.stored(times)
        found = self.successResultOf(run(catalogue.least_verified(now)))
        self.assertEqual(sorted(one.id for one in found), list(range(len(times))))
        keys = [(one.verified_at <= now, one.verified_at) for one in found]
        self.assertEqual(keys, sorted(keys))
        self.assertEqual(
            self.successResultOf(run(catalogue.least_verified(now, most))), found[:most]
        )
        self.successResultOf(run(catalogue.close()))


class ExamineTests(CatalogueTestCase):
    """A look at a database that nobody has open."""

    def store(self, count: int) -> list[Record]:
        """Store some rows, and leave the database open, as a crash would."""
        catalogue, _ = self.opened()
        self.addCleanup(catalogue._close)
        rows = [record(number, f"n{number}" + "x" * 500) for number in range(1, count + 1)]
        self.successResultOf(run(catalogue.swap(rows, ())))
        self.catalogue = catalogue
        return rows

    def close(self) -> None:
        """Close it."""
        self.successResultOf(run(self.catalogue.close()))

    def content(self) -> dict[str, bytes]:
        """Read the files of the database, but for the index of its log, which is made anew."""
        return {
            path.name: path.read_bytes()
            for path in self.path.parent.iterdir()
            if not path.name.endswith("-shm")
        }

    def test_changes_nothing(self) -> None:
        """After a clean end and after a crash the rows are read, and the files stay as they are."""
        rows = self.store(3)
        for _ in range(2):
            before = self.content()
            self.assertEqual(examine(self.path), (rows, []))
            self.assertEqual(self.content(), before)
            self.close()
        self.assertEqual(list(self.content()), ["catalogue.sqlite"])

    def test_unreadable_row(self) -> None:
        """Rows that cannot be understood are named, and stay."""
        rows = self.store(3)
        self.close()
        self.execute("UPDATE entries SET kind = 'x' WHERE id = 2")
        self.assertEqual(examine(self.path), ([rows[0], rows[2]], [2]))
        self.assertEqual(examine(self.path)[1], [2])

    def test_damaged(self) -> None:
        """What is no database, is empty, or has lost a page, is damaged."""
        self.store(200)
        self.close()
        whole = self.path.read_bytes()
        middle = len(whole) // 8192 * 4096
        for content in (
            b"this is no database at all " * 1000,
            b"",
            whole[:middle],
            whole[:middle] + bytes(4096) + whole[middle + 4096 :],
        ):
            self.path.write_bytes(content)
            damaged = self.assertRaises(CatalogueDamaged, examine, self.path)
            self.assertEqual(len(str(damaged).splitlines()), 1)
            self.assertEqual(self.path.read_bytes(), content)

    def test_of_another_version(self) -> None:
        """One of an earlier or later version is neither damaged nor understood."""
        self.store(1)
        self.close()
        for version in (1, 99):
            self.execute(f"PRAGMA user_version = {version}")
            self.assertIn(
                f"schema {version}", str(self.assertRaises(StoreError, examine, self.path))
            )

    def test_out_of_reach(self) -> None:
        """One that cannot be opened is not damaged."""
        self.path.mkdir()
        self.assertRaises(StoreError, examine, self.path)

    def test_renew(self) -> None:
        """A new one takes the place of one that is damaged, or missing; the old one is kept."""
        for number, content in ((1, b"no database"), (2, b""), (3, None)):
            if content is None:
                self.path.unlink()
            else:
                self.path.write_bytes(content)
            catalogue = Catalogue(self.path, at_once)
            self.successResultOf(run(catalogue.renew([record(number)])))
            self.successResultOf(run(catalogue.close()))
            self.assertEqual(examine(self.path), ([record(number)], []))
            aside = self.path.with_name(f"catalogue.damaged-{number}")
            self.assertEqual(aside.read_bytes() if aside.exists() else None, content)
