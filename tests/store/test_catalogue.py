"""Tests of the catalogue: rows in, rows out, and what becomes of a damaged one."""

from __future__ import annotations

import resource
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.kinds import Kind
from osproxy.store.catalogue import Catalogue
from osproxy.store.layout import StoreError
from osproxy.store.records import Record
from osproxy.store.schedule import Candidate
from osproxy.store.schema import CatalogueDamaged
from tests.store.doubles import HEAD, at_once, run, target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osproxy.store.listing import Place

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


class CatalogueTestCase(SynchronousTestCase):
    """A place for a catalogue."""

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


class CatalogueTests(CatalogueTestCase):
    """The rows of one directory."""

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

    def test_no_descriptor(self) -> None:
        """What was written is written, though there is no descriptor to see how much it is now."""
        catalogue, _ = self.opened()
        before = catalogue.octets
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for number, most, known in ((1, 0, False), (2, soft, True)):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            self.successResultOf(run(catalogue.swap([record(number)], ())))
            self.assertEqual(catalogue.octets > before, known)
        _, records = self.opened()
        self.assertEqual([it.id for it in records], [1, 2])

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
        damage = self.failureResultOf(run(listed(catalogue)), CatalogueDamaged).value
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

    def test_damaged_while_used(self) -> None:
        """Damage that shows only when something is written is the end of it at the next start."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.swap([record(1), record(2)], ())))
        self.successResultOf(run(catalogue.completed()))
        ((page,),) = catalogue._database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'entries_by_digest'"
        )
        self.successResultOf(run(catalogue.close()))
        octets = bytearray(self.path.read_bytes())
        octets[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
        self.path.write_bytes(octets)
        catalogue, records = self.opened()
        self.assertEqual((len(records), catalogue.incomplete), (2, False))
        with capturedLogs() as events:
            for _ in range(2):
                self.failureResultOf(run(catalogue.drop([1])), sqlite3.DatabaseError)
        self.assertEqual(len(events), 1)
        self.assertEqual(self.successResultOf(run(catalogue.rows([2]))), [record(2)])
        self.successResultOf(run(catalogue.close()))
        self.assertEqual(self.path.with_name("catalogue.damaged-1").read_bytes(), octets)
        catalogue, records = self.opened()
        self.assertEqual((records, catalogue.incomplete), ([], True))
        self.successResultOf(run(catalogue.close()))
        self.assertFalse(self.path.with_name("catalogue.damaged-2").exists())

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
            catalogue, records = self.opened()
            self.assertEqual((records, catalogue.incomplete), ([record(number)], False))
            self.successResultOf(run(catalogue.close()))
            aside = self.path.with_name(f"catalogue.damaged-{number}")
            self.assertEqual(aside.read_bytes() if aside.exists() else None, content)


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
        self.successResultOf(run(catalogue.note({0: (8.0, 0)}, {})))
        self.assertEqual(self.successResultOf(run(catalogue.last_used(0))), 8.0)
        self.assertIsNone(self.successResultOf(run(catalogue.last_used(1))))

    @given(st.lists(st.floats(0, 100), max_size=12), st.floats(0, 100), st.integers(1, 12))
    @settings(max_examples=20)
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
