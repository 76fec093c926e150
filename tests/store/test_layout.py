"""Tests of the cache directory: it is ours, and only ours, and nobody else's."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.layout import (
    Directory,
    DirectoryInUse,
    NotOurs,
    StoreError,
    find_directory,
    open_directory,
)


class OpenDirectoryTests(SynchronousTestCase):
    """B7: one marked directory, under a lock."""

    def setUp(self) -> None:
        """Have a cache path."""
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.root = self.path / "osproxy"

    def test_makes_and_finds(self) -> None:
        """The directory is made once and found again, and its numbers go on."""
        first = open_directory(self.path)
        first.close()
        second = open_directory(self.path)
        self.addCleanup(second.close)
        self.assertEqual(second.root, self.root)
        self.assertGreater(second.first_id, first.first_id)

    def test_one_process(self) -> None:
        """A directory that is in use is refused, in one line that names it."""
        directory = open_directory(self.path)
        self.addCleanup(directory.close)
        error = self.assertRaises(DirectoryInUse, open_directory, self.path)
        self.assertIn(str(self.root), str(error))
        self.assertNotIn("\n", str(error))

    def test_somebody_elses(self) -> None:
        """A directory with content and no marker is left exactly as it is."""
        self.root.mkdir()
        (self.root / "thesis.tex").write_text("mine")
        self.assertRaises(NotOurs, open_directory, self.path)
        self.assertEqual(os.listdir(self.root), ["thesis.tex"])

    def test_another_format(self) -> None:
        """A directory of another format is left alone."""
        self.root.mkdir()
        (self.root / "osproxy-cache").write_text("osproxy cache directory, format 99\n")
        self.assertRaises(NotOurs, open_directory, self.path)
        self.assertEqual(os.listdir(self.root), ["osproxy-cache"])

    def test_killed_while_made(self) -> None:
        """A kill while the directory was made does not make it useless."""
        self.root.mkdir()
        (self.root / "osproxy-cache").touch()
        open_directory(self.path).close()

    def test_unmarked_beside_an_empty_marker(self) -> None:
        """An empty marker beside other things proves nothing."""
        self.root.mkdir()
        (self.root / "osproxy-cache").touch()
        (self.root / "thesis.tex").write_text("mine")
        self.assertRaises(NotOurs, open_directory, self.path)

    def test_links_elsewhere(self) -> None:
        """A symbolic link in the place of a directory of ours is not followed."""
        open_directory(self.path).close()
        (self.root / "entries").rmdir()
        elsewhere = self.path / "elsewhere"
        elsewhere.mkdir()
        (self.root / "entries").symlink_to(elsewhere)
        self.assertRaises(NotOurs, open_directory, self.path)

    def test_catalogue_elsewhere(self) -> None:
        """A catalogue that is a symbolic link would be written to elsewhere: it is left alone."""
        open_directory(self.path).close()
        (self.root / "catalogue.sqlite").symlink_to(self.path / "somebody's")
        self.assertRaises(NotOurs, open_directory, self.path)

    def test_no_directory(self) -> None:
        """A path that is missing, or a file in the place of the directory, is said in one line."""
        self.assertRaises(StoreError, open_directory, self.path / "missing")
        self.root.write_text("a file")
        self.assertRaises(StoreError, open_directory, self.path)

    def test_spoilt_counter(self) -> None:
        """Numbers are never guessed."""
        open_directory(self.path).close()
        (self.root / "run").write_text("many")
        self.assertRaises(NotOurs, open_directory, self.path)

    def test_lost_counter(self) -> None:
        """Where the counter is lost, no number is given that a file has."""
        for number, path in (
            (3 << 32 | 7, Directory.draft_path),
            (5 << 32 | 1, Directory.entry_path),
            (8 << 32, Directory.body_path),
        ):
            directory = open_directory(self.path)
            file = path(directory, number)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            directory.close()
            (self.root / "run").unlink()
            for opened in (find_directory, open_directory):
                directory = opened(self.path)
                self.assertEqual(directory.first_id, ((number >> 32) + 1) << 32)
                directory.close()

    def test_lock_outlives_a_fork(self) -> None:
        """A daemon keeps the lock that its parent took."""
        directory = open_directory(self.path)
        child = os.dup(directory._lock)
        directory.close()
        self.assertRaises(DirectoryInUse, open_directory, self.path)
        os.close(child)
        open_directory(self.path).close()


class FindDirectoryTests(SynchronousTestCase):
    """A directory that is there is looked at, and stays as it is."""

    def setUp(self) -> None:
        """Have a cache path with a cache."""
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.root = self.path / "osproxy"
        open_directory(self.path).close()

    def content(self) -> dict[str, tuple[int, int]]:
        """Give what lies there, and when it was changed."""
        return {
            str(path): (path.stat().st_mtime_ns, path.stat().st_size)
            for path in (self.root, *self.root.rglob("*"))
        }

    def test_changes_nothing(self) -> None:
        """It is found under its lock, with the numbers of the next run."""
        before = self.content()
        found = find_directory(self.path)
        self.assertRaises(DirectoryInUse, open_directory, self.path)
        found.close()
        self.assertEqual(self.content(), before)
        following = open_directory(self.path)
        self.addCleanup(following.close)
        self.assertEqual(found.first_id, following.first_id)

    def test_lock_can_be_had_over_a_network(self) -> None:
        """NFS gives the lock to none who could not write (flock(2))."""
        found = find_directory(self.path)
        self.addCleanup(found.close)
        self.assertTrue(fcntl.fcntl(found._lock, fcntl.F_GETFL) & os.O_RDWR)

    def test_in_use(self) -> None:
        """One that is in use is not looked at."""
        directory = open_directory(self.path)
        self.addCleanup(directory.close)
        self.assertRaises(DirectoryInUse, find_directory, self.path)

    def test_none(self) -> None:
        """Where there is none, none is made; what is not ours, or not of our format, is refused."""
        elsewhere = self.path / "elsewhere"
        self.assertRaises(StoreError, find_directory, elsewhere)
        self.assertFalse(elsewhere.exists())
        marker = self.root / "osproxy-cache"
        for text in (
            "",
            "osproxy cache directory, format 99\n",
            "osproxy cache directory, format 1",
        ):
            marker.write_text(text)
            self.assertRaises(NotOurs, find_directory, self.path)
        marker.unlink()
        self.assertRaises(StoreError, find_directory, self.path)
        marker.symlink_to("run")
        self.assertRaises(StoreError, find_directory, self.path)

    def test_links_elsewhere(self) -> None:
        """A link in the place of a folder leads nowhere."""
        (self.root / "entries").rmdir()
        (self.root / "entries").symlink_to(self.path)
        self.assertRaises(NotOurs, find_directory, self.path)


class DirectoryTests(SynchronousTestCase):
    """What lies where."""

    def test_lists_only_what_is_ours(self) -> None:
        """Files that are not named as we name files are not seen."""
        path = Path(self.mktemp())
        path.mkdir()
        directory = open_directory(path)
        self.addCleanup(directory.close)
        for number in (1, 300, 1 << 32):
            place = directory.entry_path(number)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
            place.with_name("README").touch()
        (directory.root / "entries" / "lost+found").mkdir()
        directory.draft_path(7).touch()
        (directory.root / "drafts" / "0000000000000008").symlink_to("/etc/passwd")
        found = sorted(number for numbers in directory.entries() for number in numbers)
        self.assertEqual(found, [1, 300, 1 << 32])
        self.assertEqual(directory.drafts(), [7])
        files = [path for paths in directory.entry_files() for path in paths]
        self.assertEqual(sorted(files), sorted(map(directory.entry_path, found)))

    def test_folders_taken_away(self) -> None:
        """Folders that somebody has taken away have nothing in them."""
        path = Path(self.mktemp())
        path.mkdir()
        directory = open_directory(path)
        self.addCleanup(directory.close)
        for name in ("drafts", "entries"):
            (directory.root / name).rmdir()
        self.assertEqual((directory.drafts(), list(directory.entries())), ([], []))

    def test_small_caches_make_few_directories(self) -> None:
        """Files that were begun one after the other lie together; many spread evenly."""
        path = Path(self.mktemp())
        path.mkdir()
        directory = open_directory(path)
        self.addCleanup(directory.close)
        first = directory.first_id
        few = {directory.entry_path(first + number).parent for number in range(200)}
        many = {directory.entry_path(first + number).parent for number in range(0, 1 << 20, 64)}
        self.assertEqual((len(few), len(many)), (1, 4096))
