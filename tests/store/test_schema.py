"""Tests of `osproxy.store.schema`: databases of other versions."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from attrs import evolve

from osproxy.model import Head, Target
from osproxy.repo.kinds import Kind
from osproxy.store.accounts import Amount
from osproxy.store.catalogue import Catalogue
from osproxy.store.index import key_of
from osproxy.store.layout import StoreError
from osproxy.store.records import Record, head_to
from osproxy.store.schedule import Candidate
from osproxy.store.schema import SCHEMA, opened
from tests.store.doubles import HEAD, at_once, run, target
from tests.store.test_catalogue import CatalogueTestCase, listed, record

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


class SchemaTests(CatalogueTestCase):
    """What is found is brought up to date, or refused."""

    def test_durable(self) -> None:
        """Each transaction is synced if it is to outlive a power loss, and else now and then."""
        for durable, level in ((False, 1), (True, 2)):
            catalogue = Catalogue(self.path, at_once, durable=durable)
            self.successResultOf(run(catalogue.open()))
            (found,) = catalogue._database.execute("PRAGMA synchronous").fetchone()
            self.assertEqual(found, level)
            self.successResultOf(run(catalogue.close()))

    def test_nothing_mapped(self) -> None:
        """No file is mapped into memory, whose pages the disk might have no space for."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.note({7: (0.5, 4)}, {})))
        self.assertNotIn(self.path.name, Path("/proc/self/maps").read_text())
        names = {path.name for path in self.path.parent.iterdir()}
        self.assertEqual(names, {self.path.name, f"{self.path.name}-wal"})

    def test_shared(self) -> None:
        """Connections of this process share it, and those of another are refused."""
        self.opened()
        with closing(opened(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT * FROM entries").fetchall(), [])
        reading = (
            "import sqlite3, sys;"
            "sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM uses')"
        )
        command = [sys.executable, "-c", reading, str(self.path)]
        done = subprocess.run(command, capture_output=True, check=False)
        self.assertIn(b"database is locked", done.stderr)

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

    def test_names(self) -> None:
        """What an earlier version has stored can have names, and can be left to them."""
        with sqlite3.connect(self.path) as connection:
            connection.executescript(FIRST)
        connection.close()
        catalogue, (later, first) = self.opened()
        self.assertEqual(self.successResultOf(run(catalogue.equal("0" * 64, 9))), [first, later])
        self.assertEqual(self.successResultOf(run(catalogue.equal("0" * 63 + "1", 9))), [])
        name = evolve(first, id=9, target=target("b"), body=7)
        self.successResultOf(run(catalogue.swap([name], [8], unnamed=[7])))
        body = evolve(first, body=7)
        self.assertEqual(self.successResultOf(run(catalogue.equal("0" * 64, 9))), [body])
        found = [self.successResultOf(run(catalogue.rows_of(key_of(target(it))))) for it in "ab"]
        self.assertEqual(found, [[], [name]])
        sizes = self.successResultOf(run(catalogue.sizes(0, 9)))
        self.assertEqual(sizes, [(7, 4096 + 9), (9, 4096)])
        self.successResultOf(run(catalogue.close()))
        extent = self.successResultOf(run(catalogue.open()))
        self.assertEqual((extent.count, extent.taken), (1, Amount(octets=3 * 4096, files=2)))
        places = self.successResultOf(run(listed(catalogue)))
        self.assertEqual(
            [(number, size, of) for number, _, size, _, _, of in places],
            [(7, 4096 + 9, 7), (9, 4096, 7)],
        )
        self.successResultOf(run(catalogue.close()))

    def test_half_way(self) -> None:
        """An update that fails changes nothing."""
        with sqlite3.connect(self.path) as connection:
            connection.executescript(FIRST.replace(" uses ", " others "))
        connection.close()
        catalogue, records = self.opened()
        self.assertEqual(records, [])
        self.successResultOf(run(catalogue.close()))
        aside = self.path.with_name("catalogue.damaged-1")
        aside.replace(self.path)
        with sqlite3.connect(self.path) as connection:
            self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (1,))
        connection.close()
        self.execute("ALTER TABLE others RENAME TO uses")
        self.assertEqual(len(self.opened()[1]), 2)

    def test_other_tables(self) -> None:
        """A database that has not the tables of its version is damaged: its files are not."""
        changes = (
            *(
                f"DROP TABLE {name}"
                for name in ("entries", "uses", "unfinished", "unsynced", "asked")
            ),
            "ALTER TABLE entries DROP COLUMN variant",
            "PRAGMA user_version = 0",
            f"PRAGMA user_version = {SCHEMA - 1}",
        )
        for number, change in enumerate(changes, 1):
            catalogue, _ = self.opened()
            self.successResultOf(run(catalogue.completed()))
            self.successResultOf(run(catalogue.swap([record(number)], ())))
            self.successResultOf(run(catalogue.close()))
            self.execute(change)
            catalogue, records = self.opened()
            self.assertEqual((records, catalogue.incomplete), ([], True), change)
            self.successResultOf(run(catalogue.close()))
            self.assertTrue(self.path.with_name(f"catalogue.damaged-{number}").exists())

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
        # Each was verified when it was written.
        self.assertEqual(
            self.successResultOf(run(catalogue.least_verified(9.0))),
            [Candidate(7, 4099, 1.0), Candidate(8, 4099, 1.0)],
        )
        self.successResultOf(run(catalogue.close()))
        self.assertEqual(self.opened()[1], [found, varied])
