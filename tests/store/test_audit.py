"""Tests of `osproxy.store.audit`."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from osproxy.store.audit import mend, path_of, read_book, strays, without_body
from osproxy.store.layout import StoreError, find_directory
from tests.store.doubles import StoreTestCase, body_named, find, run, target

NAMES = ("a", "b", "c")


class AuditTestCase(StoreTestCase):
    """A cache whose server is stopped."""

    def setUp(self) -> None:
        """Store some entries, and stop."""
        super().setUp()
        store = self.started()
        for name in NAMES:
            self.put(store, name)
        self.ids = {name: entry.id for name in NAMES if (entry := find(store, target(name)))}
        self.successResultOf(run(store.stop()))
        self.directory = find_directory(self.place.path)

    def tearDown(self) -> None:
        """Release the lock."""
        self.directory.close()

    def path(self, name: str) -> Path:
        """Say where the file of an entry is."""
        return self.directory.entry_path(self.ids[name])

    def execute(self, statement: str) -> None:
        """Change the catalogue by hand."""
        connection = sqlite3.connect(self.directory.catalogue)
        connection.executescript(statement)
        connection.close()

    def named(self) -> list[str]:
        """Give the names of what should be there."""
        return sorted(record.target.path[1:] for record in read_book(self.directory).records)

    def served(self) -> list[str]:
        """Start, give the names of what is served, and stop."""
        self.directory.close()
        store = self.started()
        names = [name for name in NAMES if self.body_of(store, name) == body_named(name)]
        self.assert_agrees()
        self.successResultOf(run(store.stop()))
        self.directory = find_directory(self.place.path)
        return names


class SharedTests(AuditTestCase):
    """Bodies that several entries have in common."""

    def setUp(self) -> None:
        """Have one body under three names, of which the first is gone or not."""
        super().setUp()
        self.directory.close()
        store = self.started()
        for name in ("s", "t", "u"):
            self.put(store, name, body_named("s"))
        found = {name: find(store, target(name)) for name in ("s", "t", "u")}
        self.ids |= {name: entry.id for name, entry in found.items() if entry is not None}
        if (first := found["s"]) is not None:
            store.doom(first)
        self.successResultOf(run(store.stop()))
        self.directory = find_directory(self.place.path)

    def test_needed(self) -> None:
        """The body is needed, by its second link, whoever says it: the catalogue or the files."""
        wanted = [*(f"/{name}" for name in NAMES), "/s", "/t", "/u"]
        for damage in (None, "it is missing"):
            book = read_book(self.directory)
            self.assertEqual(sorted(record.target.path for record in book.records), wanted)
            self.assertEqual((book.damage, strays(self.directory, book)), (damage, []))
            (body,) = [record for record in book.records if record.nameless]
            self.assertEqual(path_of(self.directory, body).name, f"{body.id:016x}.body")
            self.assertEqual(without_body(book.records, ()), [])
            lost = [record.target.path for record in without_body(book.records, {body.id})]
            self.assertEqual(lost, ["/t", "/u"])
            if damage is None:
                self.directory.catalogue.unlink()

    def test_not_unlinked(self) -> None:
        """A kill between a row and an unlink costs nobody the body, whoever says what there is."""
        self.directory.close()
        store = self.started()
        self.put(store, "s", b"new")
        self.successResultOf(run(store.stop()))
        self.directory = find_directory(self.place.path)
        first = self.path("s")
        for damage in (None, "it is missing"):
            first.hardlink_to(first.with_suffix(".body"))
            if damage is not None:
                self.directory.catalogue.unlink()
            book = read_book(self.directory)
            self.assertEqual(len(book.records), 7)
            self.assertEqual((book.damage, strays(self.directory, book)), (damage, [first]))
            self.assertEqual(without_body(book.records, ()), [])
            mend(self.directory, book, (), [first])
            self.assertFalse(first.exists())
        self.directory.close()
        store = self.started()
        self.assertEqual(self.body_of(store, "s"), b"new")
        for name in ("t", "u"):
            self.assertEqual(self.body_of(store, name), body_named("s"))
        self.assert_agrees()
        self.successResultOf(run(store.stop()))
        self.directory = find_directory(self.place.path)

    def test_row_lost(self) -> None:
        """A row that a power loss has brought back says no more than that there is a body."""
        self.execute(f"UPDATE entries SET body = NULL WHERE id = {self.ids['s']}")
        book = read_book(self.directory)
        (body,) = [record for record in book.records if record.target.path == "/s"]
        self.assertTrue(body.nameless)
        self.assertEqual(strays(self.directory, book), [])

    def test_on_its_way_out(self) -> None:
        """A body that nobody names any more is no entry, and its file a stray if there is one."""
        for name in ("a", "b"):
            self.execute(f"UPDATE entries SET body = id WHERE id = {self.ids[name]}")
        self.path("a").unlink()
        book = read_book(self.directory)
        self.assertEqual(self.named(), ["c", "s", "t", "u"])
        self.assertEqual(strays(self.directory, book), [self.path("b")])
        mend(self.directory, book, (), [self.path("b")])
        self.assertEqual(self.served(), ["c"])

    def test_strays(self) -> None:
        """A link that no entry needs is a stray."""
        stray = self.directory.body_path(77)
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_bytes(b"")
        self.assertEqual(strays(self.directory, read_book(self.directory)), [stray])

    def test_mended(self) -> None:
        """When the body goes with its names, the rest is served."""
        book = read_book(self.directory)
        mend(self.directory, book, {self.ids[name] for name in ("s", "t", "u")}, ())
        self.assertEqual(self.named(), list(NAMES))
        self.assertEqual(self.served(), list(NAMES))
        self.assertEqual(len(self.place.files()), len(NAMES))


class BookTests(AuditTestCase):
    """What there should be."""

    def test_catalogue(self) -> None:
        """The catalogue says it; of rows that cannot be understood, the files do."""
        for name in ("a", "b"):
            self.execute(f"UPDATE entries SET head = 'x' WHERE id = {self.ids[name]}")
        self.path("a").write_bytes(b"no entry")
        book = read_book(self.directory)
        self.assertEqual(sorted(record.target.path for record in book.records), ["/b", "/c"])
        self.assertEqual(book.unreadable, [self.ids["a"], self.ids["b"]])
        self.assertEqual([record.target.path for record in book.restored(())], ["/b"])
        self.assertEqual(book.restored({self.ids["b"]}), [])
        self.assertEqual((book.damage, book.complete), (None, True))

    def test_incomplete(self) -> None:
        """Where rows may be missing that the next start will make, the files say them."""
        self.execute("INSERT INTO unfinished VALUES ('rebuild')")
        self.execute(f"DELETE FROM entries WHERE id = {self.ids['b']}")
        book = read_book(self.directory)
        self.assertEqual((book.damage, book.complete), (None, False))
        self.assertEqual(len(book.records), 3)
        self.assertEqual(self.named(), ["a", "b", "c"])
        self.assertEqual(strays(self.directory, book), [])

    def test_damaged(self) -> None:
        """Where it is damaged, missing or empty, the files say it."""
        for damage in (
            lambda path: path.write_bytes(b"no database"),
            lambda path: path.write_bytes(b""),
            Path.unlink,
        ):
            damage(self.directory.catalogue)
            self.assertIsNotNone(read_book(self.directory).damage)
            self.assertEqual(self.named(), ["a", "b", "c"])

    def test_two_files_of_one_target(self) -> None:
        """Of two files that say that they are the same, the later one counts."""
        self.directory.catalogue.unlink()
        later = self.directory.entry_path(self.ids["c"] + 5)
        shutil.copy(self.path("a"), later)
        (record,) = (one for one in read_book(self.directory).records if one.target.path == "/a")
        self.assertEqual(record.id, self.ids["c"] + 5)
        self.assertEqual(strays(self.directory, read_book(self.directory)), [self.path("a")])

    def test_nothing_stored(self) -> None:
        """A cache that never had anything lacks nothing."""
        self.directory.catalogue.unlink()
        for name in NAMES:
            self.path(name).unlink()
        book = read_book(self.directory)
        self.assertEqual((book.records, book.damage), ([], None))

    def test_another_version(self) -> None:
        """Of a catalogue of another version nothing is known, and no file is asked."""
        self.execute("PRAGMA user_version = 99")
        self.assertRaises(StoreError, read_book, self.directory)


class StraysTests(AuditTestCase):
    """Files that no entry needs."""

    def test_table(self) -> None:
        """Files without a row, and files in a wrong place, though their number is known."""
        without = self.directory.entry_path(self.ids["a"] + 77)
        shutil.copy(self.path("a"), without)
        misplaced = self.directory.root / "entries" / "3f" / "00" / self.path("b").name
        misplaced.parent.mkdir(parents=True)
        shutil.copy(self.path("b"), misplaced)
        self.path("a").with_name("README").write_text("mine")
        found = strays(self.directory, read_book(self.directory))
        self.assertEqual(sorted(found), sorted([without, misplaced]))

    def test_none(self) -> None:
        """As a rule there is none."""
        self.assertEqual(strays(self.directory, read_book(self.directory)), [])


class MendTests(AuditTestCase):
    """Putting it right."""

    def mend(self, *damaged: str) -> None:
        """Delete these entries, and what no entry needs."""
        book = read_book(self.directory)
        ids = {self.ids[name] for name in damaged}
        mend(self.directory, book, ids, strays(self.directory, book))

    def test_entries(self) -> None:
        """Of a damaged entry neither row nor file stays; the others are served as before."""
        self.mend("b")
        self.assertFalse(self.path("b").exists())
        self.assertEqual(self.named(), ["a", "c"])
        self.assertEqual(self.served(), ["a", "c"])

    def test_missing_file(self) -> None:
        """What is missing already is deleted all the same."""
        self.path("b").unlink()
        self.mend("b")
        self.assertEqual(self.named(), ["a", "c"])

    def test_unreadable_row(self) -> None:
        """A row that cannot be understood is made anew from its file, or goes with it."""
        for name in NAMES:
            self.execute(f"UPDATE entries SET head = 'x' WHERE id = {self.ids[name]}")
        self.path("c").write_bytes(b"no entry")
        self.mend("b")
        self.assertFalse(self.path("b").exists())
        self.assertFalse(self.path("c").exists())
        book = read_book(self.directory)
        self.assertEqual((book.unreadable, len(book.records)), ([], 1))
        self.assertEqual(self.served(), ["a"])

    def test_incomplete(self) -> None:
        """What the next start is to make anew is left to it."""
        self.execute("INSERT INTO unfinished VALUES ('rebuild')")
        self.execute(f"DELETE FROM entries WHERE id = {self.ids['b']}")
        self.mend("c")
        self.assertFalse(read_book(self.directory).complete)
        self.assertEqual(self.served(), ["a", "b"])
        self.assertTrue(read_book(self.directory).complete)

    def test_strays(self) -> None:
        """A file without an entry goes, and nothing else does."""
        stray = self.directory.entry_path(self.ids["a"] + 77)
        shutil.copy(self.path("a"), stray)
        self.path("a").with_name("README").write_text("mine")
        self.directory.draft_path(self.ids["a"] + 78).write_text("draft")
        self.mend()
        self.assertFalse(stray.exists())
        self.assertEqual(self.path("a").with_name("README").read_text(), "mine")
        self.path("a").with_name("README").unlink()
        self.assertEqual(len(self.directory.drafts()), 1)
        self.assertEqual(self.served(), list(NAMES))

    def test_catalogue(self) -> None:
        """A damaged catalogue is made anew, and nothing is lost but what is damaged itself."""
        self.directory.catalogue.write_bytes(b"no database")
        self.path("c").write_bytes(b"no entry")
        if os.geteuid() == 0:
            # As when root repairs what a service has made.
            os.chown(self.directory.root, 65534, 65534)
        self.mend("b")
        self.assertEqual(self.directory.catalogue.stat().st_uid, self.directory.root.stat().st_uid)
        self.assertTrue(self.directory.catalogue.with_name("catalogue.damaged-1").exists())
        self.assertIsNone(read_book(self.directory).damage)
        self.assertEqual(self.served(), ["a"])
