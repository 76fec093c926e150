"""Tests of `osproxy.tools.check`."""

from __future__ import annotations

import os
import shutil
import sqlite3
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.task import Clock

from osproxy.store.layout import find_directory
from osproxy.tools.check import Check, Report
from osproxy.tools.progress import Progress
from tests.store.doubles import StoreTestCase, find, run, target

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("a", "b", "c")


def flipped(path: Path, position: int) -> None:
    """Flip a bit of a file."""
    octets = bytearray(path.read_bytes())
    octets[position] ^= 1
    path.write_bytes(octets)


class Written(StringIO):
    """A stream that says what is written."""

    def __init__(self, written: Callable[[str], None]) -> None:
        super().__init__()
        self._written = written

    def write(self, text: str) -> int:
        """Say it, and keep it."""
        self._written(text)
        return super().write(text)


class CheckTestCase(StoreTestCase):
    """A cache whose server is stopped."""

    def setUp(self) -> None:
        """Store some entries, and stop."""
        super().setUp()
        store = self.started()
        for name in NAMES:
            self.put(store, name)
        self.files = {name: e.blob.path for name in NAMES if (e := find(store, target(name)))}
        self.successResultOf(run(store.stop()))
        self.catalogue = self.place.directory.catalogue
        self.root = self.place.directory.root

    def check(
        self,
        *,
        repair: bool = False,
        rate: int | None = None,
        written: Callable[[str], None] = lambda _: None,
    ) -> tuple[bool, list[str]]:
        """Look, and give whether all is well, and what is told; ``written`` is told it at once."""
        out, bar, clock = Written(written), StringIO(), Clock()
        directory = find_directory(self.place.path)
        try:
            report = Report(out, Progress(bar, clock.seconds))
            well = Check(directory, rate, report, clock.seconds, clock.advance).run(repair=repair)
        finally:
            directory.close()
        self.bar, self.took = bar.getvalue(), clock.seconds()
        return well, out.getvalue().splitlines()

    def content(self) -> dict[str, bytes]:
        """Read everything that lies there."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file()
        }

    def execute(self, statement: str) -> None:
        """Change the catalogue by hand."""
        connection = sqlite3.connect(self.catalogue)
        connection.executescript(statement)
        connection.close()


class SharedTests(CheckTestCase):
    """A body that several entries have in common."""

    def setUp(self) -> None:
        """Have one body under three names, of which the first is gone."""
        super().setUp()
        store = self.started()
        for name in ("s", "t", "u"):
            self.put(store, name, b"shared" * 2000)
        first, second = (find(store, target(name)) for name in ("s", "t"))
        assert first is not None
        assert second is not None
        store.doom(first)
        self.files["t"], self.body = second.blob.path, second.body.path
        self.successResultOf(run(store.stop()))

    def test_well(self) -> None:
        """It is as it was stored, and counted once."""
        well, lines = self.check()
        self.assertTrue(well, lines)
        self.assertTrue(lines[-1].startswith("5 entries, "), lines)

    def test_damaged(self) -> None:
        """When the body is damaged all who have it are deleted; a name that is goes alone."""
        flipped(self.files["t"], 30)
        self.assertEqual(self.check()[1][-2].split(": ")[1], "1 damaged")
        self.check(repair=True)
        self.assertEqual(self.check()[1][-1].split(",")[0], "4 entries")
        flipped(self.body, -1)
        well, lines = self.check()
        self.assertFalse(well)
        self.assertIn("/u: its body is missing or damaged", lines)
        self.check(repair=True)
        self.assertTrue(self.check()[0])
        store = self.started()
        self.assertEqual(store.entries, len(NAMES))
        self.assert_agrees()
        self.successResultOf(run(store.stop()))


class CheckTests(CheckTestCase):
    """What is found, and what becomes of it."""

    def test_clean(self) -> None:
        """A cache in which all is well is left alone, with --repair too."""
        before = self.content()
        for repair in (False, True):
            self.assertEqual(
                self.check(repair=repair), (True, ["3 entries, 26.6 KiB: all as they were stored"])
            )
            self.assertEqual(self.bar.splitlines()[-1][:5], "100 %")
        self.assertEqual(self.content(), before)

    def test_each_damage(self) -> None:
        """Each kind of damage is found, kept without --repair, and deleted with it."""
        stray = self.files["a"].with_name("00000000deadbeef")
        number = int(self.files["b"].name, 16)
        damages: dict[str, Callable[[], object]] = {
            "/b: its file is missing": self.files["b"].unlink,
            "/b: its file has another size": lambda: os.truncate(self.files["b"], 5000),
            "/b: its body is not what was stored": lambda: flipped(self.files["b"], 5000),
            "/b: its file says something else": lambda: flipped(self.files["b"], 30),
            f"row {number} of the catalogue": lambda: self.execute(
                f"UPDATE entries SET kind = 'x' WHERE id = {number}"
            ),
            "entries/": lambda: shutil.copy(self.files["a"], stray),
            "the catalogue is damaged: ": lambda: self.catalogue.write_bytes(b"x" * 5000),
            "the catalogue is damaged: it is missing": self.catalogue.unlink,
        }
        saved = Path(self.mktemp())
        shutil.copytree(self.root, saved)
        for said, damage in damages.items():
            damage()
            before = self.content()
            well, lines = self.check()
            self.assertFalse(well, said)
            self.assertEqual([line for line in lines if line.startswith(said)], lines[:1], said)
            self.assertIn("nothing was changed; --repair deletes what is wrong", lines)
            self.assertEqual(self.content(), before, said)
            self.assertEqual(self.check(repair=True)[0], False, said)
            kept = 3 if said.startswith(("entries/", "row ", "the catalogue")) else 2
            self.assertTrue(self.check()[0], said)
            self.assertIn(f"{kept} entries", self.check()[1][0], said)
            self.assertEqual(len(list(self.root.glob("entries/*/*/*"))), kept, said)
            shutil.rmtree(self.root)
            shutil.copytree(saved, self.root)

    def test_summary(self) -> None:
        """What was found is summed up in a line, and what was done in another."""
        flipped(self.files["a"], 5000)
        self.files["b"].unlink()
        shutil.copy(self.files["c"], self.files["c"].with_name("00000000deadbeef"))
        self.place.directory.draft_path(9).write_bytes(b"d")
        _, lines = self.check(repair=True)
        self.assertEqual(
            lines[3:],
            [
                "3 entries, 26.6 KiB: 2 damaged, 1 file without an entry",
                "left to the next start: 1 draft",
                "deleted: 2 entries, 1 file without an entry",
            ],
        )
        self.assertEqual(len(self.place.directory.drafts()), 1)

    def test_catalogue(self) -> None:
        """Whoever learns that the catalogue is damaged learns what would come of it."""
        self.catalogue.write_bytes(b"x" * 5000)
        _, lines = self.check()
        self.assertIn("makes a new catalogue from the files when it starts", lines[-1])
        _, lines = self.check(repair=True)
        self.assertIn("the catalogue is made anew from the files", lines[-1])
        store = self.started()
        self.assertEqual(store.entries, 3)
        self.successResultOf(run(store.stop()))

    def test_rows(self) -> None:
        """A row that cannot be understood is made anew from its file."""
        self.execute("UPDATE entries SET kind = 'x'")
        self.files["a"].write_bytes(b"no entry")
        _, lines = self.check(repair=True)
        self.assertEqual(
            lines[-3:],
            [
                "2 entries, 17.8 KiB: 3 rows not understood, 1 file without an entry",
                "deleted: 0 entries, 1 file without an entry",
                "made anew from files: 2 rows",
            ],
        )
        self.assertEqual(self.check(), (True, ["2 entries, 17.8 KiB: all as they were stored"]))

    def test_incomplete(self) -> None:
        """Rows that the next start will make anew are not missed, nor are their files."""
        self.execute("INSERT INTO unfinished VALUES ('rebuild'); DELETE FROM entries;")
        self.assertEqual(
            self.check(repair=True),
            (
                True,
                [
                    "3 entries, 26.6 KiB: all as they were stored",
                    "left to the next start: the catalogue, of which rows are missing",
                ],
            ),
        )

    def test_second_look(self) -> None:
        """What is right at the second look is not deleted."""
        right = self.files["a"].read_bytes()
        flipped(self.files["a"], 5000)
        flipped(self.files["b"], 5000)
        stray = self.files["c"].with_name("00000000deadbeef")
        shutil.copy(self.files["c"], stray)

        def put_right(text: str) -> None:
            # The sum is written between the two looks.
            if text.startswith("3 entries"):
                self.files["a"].write_bytes(right)
                stray.unlink()

        _, lines = self.check(repair=True, written=put_right)
        self.assertEqual(
            lines[-2:],
            [
                "right at the second look, and kept: 2",
                "deleted: 1 entry, 0 files without an entry",
            ],
        )
        self.assertTrue(self.files["a"].exists())
        self.assertFalse(self.files["b"].exists())

    def test_many(self) -> None:
        """Twenty are told of, and the others counted."""
        for number in range(30):
            shutil.copy(self.files["a"], self.files["a"].with_name(f"{0xDEAD0000 + number:016x}"))
        _, lines = self.check()
        self.assertEqual(lines[20], "... and 10 more")
        self.assertEqual(lines[21], "3 entries, 26.6 KiB: 30 files without an entry")

    def test_rate(self) -> None:
        """It reads no faster than is asked for."""
        self.check(rate=5000)
        self.assertEqual(self.took, 3)
        self.check()
        self.assertEqual(self.took, 0)
