"""Tests of `osproxy.store.examination`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from osproxy.store.examination import Examination, examine
from osproxy.store.layout import StoreError
from osproxy.store.schema import CatalogueDamaged
from tests.store.doubles import run
from tests.store.test_catalogue import CatalogueTestCase, record

if TYPE_CHECKING:
    from osproxy.store.records import Record


def files_of(path: Path) -> dict[str, bytes]:
    """Read the files of a database."""
    return {found.name: found.read_bytes() for found in path.parent.iterdir()}


class ExamineTests(CatalogueTestCase):
    """A look at a database that nobody has open."""

    def store(self, count: int) -> list[Record]:
        """Store some rows, and leave the database open, as a crash would."""
        catalogue, _ = self.opened()
        self.addCleanup(catalogue._close)
        rows = [record(number, f"n{number}" + "x" * 500) for number in range(1, count + 1)]
        self.successResultOf(run(catalogue.swap(rows, ())))
        self.successResultOf(run(catalogue.completed()))
        self.catalogue = catalogue
        return rows

    def close(self) -> None:
        """Close it."""
        self.successResultOf(run(self.catalogue.close()))

    def test_changes_nothing(self) -> None:
        """After a crash and after a clean end the rows are read; no file is altered, or made."""
        rows = self.store(3)
        for logs in (1, 0):
            left = Path(shutil.copytree(self.path.parent, self.mktemp())) / self.path.name
            before = files_of(left)
            self.assertEqual(examine(left), Examination(rows, [], complete=True))
            self.assertEqual(files_of(left), before)
            self.assertEqual(len(before), 1 + logs)
            self.close()

    def test_unreadable_row(self) -> None:
        """Rows that cannot be understood are named, and stay."""
        rows = self.store(3)
        self.close()
        self.execute("UPDATE entries SET kind = 'x' WHERE id = 2")
        for _ in range(2):
            self.assertEqual(
                examine(self.path), Examination([rows[0], rows[2]], [2], complete=True)
            )

    def test_incomplete(self) -> None:
        """It is told when rows are missing that the next start will make anew."""
        self.store(1)
        self.close()
        self.execute("INSERT INTO unfinished VALUES ('rebuild')")
        self.assertFalse(examine(self.path).complete)
        self.execute("DELETE FROM unfinished")
        self.assertTrue(examine(self.path).complete)

    def test_no_text(self) -> None:
        """What is no UTF-8 costs no more than its row."""
        rows = self.store(2)
        self.close()
        self.execute("UPDATE entries SET kind = CAST(x'ff' AS TEXT) WHERE id = 2")
        self.assertEqual(examine(self.path), Examination(rows[:1], [2], complete=True))

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

    def test_other_tables(self) -> None:
        """What has not the tables of its version is damaged."""
        self.store(2)
        self.close()
        self.execute("DROP TABLE uses")
        self.assertRaises(CatalogueDamaged, examine, self.path)

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
