"""
Tests of `osproxy.store.renewal`.
"""

from __future__ import annotations

import os
import shutil

from osproxy.store.layout import DirectoryInUse, open_directory
from osproxy.store.ledger import CacheFull
from tests.store.doubles import (
    MIB,
    StoreTestCase,
    body_named,
    draft_of,
    part_of,
    run,
    said_by,
    sha256,
)


class RenewalTests(StoreTestCase):
    """What becomes of a store whose directory is deleted, or taken by others."""

    def setUp(self) -> None:
        """Have a store with an entry."""
        super().setUp()
        self.said = said_by(self)
        self.store = self.started()
        self.put(self.store, "a", b"a" * 5000)
        self.root = self.place.path / "osproxy"

    def look(self) -> None:
        """Let so much time pass that the directory is looked at."""
        for _ in range(2):
            self.place.clock.advance(5)

    def test_deleted(self) -> None:
        """It is made anew, said in one line, and what is stored then is there after a start."""
        shutil.rmtree(self.root)
        self.look()
        self.assertEqual(self.store.entries, 0)
        (line,) = self.said()
        self.assertIn("was deleted", line)
        self.put(self.store, "b")
        self.assert_agrees()
        self.successResultOf(run(self.store.stop()))
        store = self.started()
        self.assertIsNone(self.body_of(store, "a"))
        self.assertEqual(self.body_of(store, "b"), body_named("b"))
        self.assert_agrees()

    def test_cache_path_deleted(self) -> None:
        """So it is when the cache path went with it."""
        shutil.rmtree(self.place.path)
        self.look()
        self.put(self.store, "b")
        self.assertEqual(self.body_of(self.store, "b"), body_named("b"))

    def test_its_files_deleted(self) -> None:
        """So it is when only what was in it went."""
        for path in list(self.root.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.look()
        self.put(self.store, "b")
        self.assertEqual(self.body_of(self.store, "b"), body_named("b"))

    def test_folders_deleted(self) -> None:
        """Folders come back; what did not lie in them stays."""
        shutil.rmtree(self.root / "drafts")
        self.look()
        self.put(self.store, "b")
        self.assertEqual(self.body_of(self.store, "a"), b"a" * 5000)
        shutil.rmtree(self.root / "entries")
        self.look()
        self.put(self.store, "c")
        self.assertEqual(self.body_of(self.store, "c"), body_named("c"))
        self.assertEqual(self.said(), [])

    def test_open_files(self) -> None:
        """What is open can be read to its end."""
        entry = self.entry_of(self.store)
        lease = self.successResultOf(run(entry.open()))
        shutil.rmtree(self.root)
        self.look()
        self.assertEqual(self.read(lease), b"a" * 5000)
        lease.close()
        self.assertEqual(self.place.open_files(), [])

    def test_drafts(self) -> None:
        """A draft that was begun before is not kept, and brings nothing back by half."""
        draft = self.successResultOf(run(draft_of(self.store, "b", b"b" * 5000)))
        self.put_aside(self.store, "c", b"c" * MIB, 2 * MIB)
        shutil.rmtree(self.root)
        self.failureResultOf(run(self.store.commit([(draft, sha256(b"b" * 5000))], 5.0)), OSError)
        self.assertFalse(self.root.exists())
        self.look()
        self.assertEqual(len(self.store.kept), 0)
        self.put(self.store, "b")
        self.assert_agrees()

    def test_numbers_go_on(self) -> None:
        """No number of an earlier run is given again, neither by this process nor by the next."""
        for _ in range(3):
            self.successResultOf(run(self.store.stop()))
            self.store = self.started()
        first = self.place.directory.first_id
        shutil.rmtree(self.root)
        self.look()
        self.successResultOf(run(self.store.stop()))
        self.started()
        self.assertGreater(self.place.directory.first_id, first)

    def test_lock(self) -> None:
        """The lock of the new one is held."""
        shutil.rmtree(self.root)
        self.look()
        with self.assertRaises(DirectoryInUse):
            open_directory(self.place.path)

    def test_taken_by_others(self) -> None:
        """What another process has made there is left alone, and nothing is kept any more."""
        shutil.rmtree(self.root)
        other = open_directory(self.place.path)
        self.addCleanup(other.close)
        theirs = other.entry_path(self.place.directory.first_id)
        theirs.parent.mkdir(parents=True)
        theirs.write_bytes(b"theirs")
        self.look()
        self.look()
        self.assertEqual(self.store.entries, 0)
        self.failureResultOf(run(part_of(self.store, "b", b"", 10)), CacheFull)
        self.assertEqual(theirs.read_bytes(), b"theirs")
        (line,) = self.said()
        self.assertIn("in use", line)
        self.successResultOf(run(self.store.stop()))
        self.assertEqual(sorted(os.listdir(theirs.parent)), [theirs.name])

    def test_tried_again(self) -> None:
        """What cannot be made now is made later."""
        shutil.rmtree(self.place.path)
        self.place.path.write_bytes(b"in the way")
        self.look()
        self.place.path.unlink()
        self.look()
        self.put(self.store, "b")
        self.assertEqual(self.body_of(self.store, "b"), body_named("b"))
