"""Tests of `osproxy.store.rows`."""

from __future__ import annotations

from osproxy.store.rows import READ, record_of
from tests.store.doubles import run
from tests.store.test_catalogue import CatalogueTestCase, record


class RowTests(CatalogueTestCase):
    """Rows, as the database has them."""

    def test_round(self) -> None:
        """What was written is read back; what makes no sense is no entry."""
        catalogue, _ = self.opened()
        self.successResultOf(run(catalogue.swap([record(1)], ())))
        self.execute("CREATE TABLE kept AS SELECT * FROM entries")
        for change, read in (
            ("generation = 'g'", record(1)),
            ("head = 'x'", None),
            ("head = '[]'", None),
            ("head = '{}'", None),
            (f"head = '{'[' * 100_000}'", None),
            ("kind = 'x'", None),
            ("path = x'ff'", None),
            ("offset = 1e300", None),
            ("offset = -1", None),
            ("length = 'x'", None),
            ("stored_at = 'x'", None),
            ("checked_at = x'00'", None),
            ("body = 'x'", None),
        ):
            self.execute(
                f"DELETE FROM entries; INSERT INTO entries SELECT * FROM kept;"
                f"UPDATE entries SET {change}"
            )
            (row,) = catalogue._database.execute(READ).fetchall()
            self.assertEqual(record_of(row), read, change)
