"""
The disk fills up, refuses, fails, and recovers: clients have their files throughout.
"""

from __future__ import annotations

import os
import shutil
from itertools import islice

from tests.integration import disks
from tests.integration.tools import require_root, run, threaded, until
from tests.integration.troubles import FILE, TroubleCase


class DiskTests(TroubleCase):
    """The real thing, on small file systems of its own."""

    @threaded
    def test_full(self) -> None:
        """While others have filled the disk nothing is kept; once there is space all is."""
        disk = self.mounted(disks.tmpfs(self.place("disk"), 40 << 20))
        files = self.publish(6)
        server = self.osproxy(self.file_server().url, "--cache-size=30MiB", cache_path=disk.path)
        first, *_ = files
        self.hits(server, files, [first])
        ballast = disk.fill()
        self.assertEqual(self.hits(server, files), 1)
        self.assertEqual(self.troubles(server)["keep"], 5)
        until(lambda: server.status().capacity < FILE, "it is noticed")
        self.hits(server, files)
        said = self.complaints(server)
        # That there is no space, that there is no room, and that uses cannot be noted.
        self.assertLessEqual(len(said), 4, said)
        ballast.unlink()
        until(lambda: server.status().capacity > 20 << 20, "there is space")
        self.hits(server, files)
        self.assertEqual(self.hits(server, files), 6)
        self.assertEqual(self.complaints(server), said)
        self.assert_ledger_is_right(server)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_full_at_the_start(self) -> None:
        """On a full disk it may not start, says why in a line, and loses nothing."""
        disk = self.mounted(disks.tmpfs(self.place("disk"), 40 << 20))
        files = self.publish(3)
        server = self.osproxy(self.file_server().url, "--cache-size=30MiB", cache_path=disk.path)
        self.hits(server, files)
        self.assertEqual(server.stop(), 0)
        before = self.complaints(server)
        ballast = disk.fill()
        server.launch()
        self.assertEqual(server.wait(), 1)
        self.assertIn("No space left on device", server.said())
        ballast.unlink()
        server.start()
        self.assertEqual(self.hits(server, files), 3)
        self.assertEqual(self.complaints(server), before)

    @threaded
    def test_quota(self) -> None:
        """A quota that is less than the space on the disk is met, and costs nobody an answer."""
        disk = self.mounted(disks.btrfs(self.place("disk"), 256 << 20, 12 << 20))
        files = self.publish(6)
        server = self.osproxy(self.file_server().url, "--cache-size=100MiB", cache_path=disk.path)
        self.hits(server, files)
        kept = self.hits(server, files)
        self.assertGreaterEqual(kept, 2)
        self.assertLess(kept, 6)
        # What was kept at the second attempt, as the disk pleases, was no hit yet.
        stored = server.status().entries
        self.assertGreaterEqual(stored, kept)
        self.assertEqual(self.troubles(server)["keep"], 2 * 6 - kept - stored)
        said = self.complaints(server)
        self.assertIn("Disk quota exceeded", said[0])
        self.assertLessEqual(len(said), 2, said)
        run(["btrfs", "qgroup", "limit", "none", disk.path])
        self.hits(server, files)
        self.assertEqual(self.hits(server, files), 6)
        self.assert_ledger_is_right(server)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_quota_met_by_others(self) -> None:
        """Where each write needs a new block, and there is none, what is stored is served on."""
        disk = self.mounted(disks.btrfs(self.place("disk"), 256 << 20, 24 << 20))
        files = self.publish(4)
        first, second, *_ = files
        server = self.osproxy(self.file_server().url, "--cache-size=100MiB", cache_path=disk.path)
        self.hits(server, files, [first, second])
        # From then on the blocks of all that was written belong to the last state of the disk.
        run(["btrfs", "filesystem", "sync", disk.path])
        disk.fill()
        for _ in range(2):
            self.assertEqual(self.hits(server, files), 2)
        until(lambda: "catalogue" in self.troubles(server), "uses are lost")
        self.assertEqual(self.troubles(server)["keep"], 4)
        self.assertLessEqual(len(self.complaints(server)), 3)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_read_only_after_an_error(self) -> None:
        """Where the kernel makes the disk read-only, what is stored is served on."""
        disk = self.mounted(disks.ext4(self.place("disk"), 100 << 20))
        files = self.publish(4)
        first, second, *_ = files
        server = self.osproxy(self.file_server().url, "--cache-size=30MiB", cache_path=disk.path)
        self.hits(server, files, [first, second])
        disk.become_read_only()
        for _ in range(2):
            self.assertEqual(self.hits(server, files), 2)
        self.assertEqual(self.troubles(server)["keep"], 4)
        until(lambda: "catalogue" in self.troubles(server), "uses are lost")
        said = self.complaints(server)
        self.assertIn("Read-only file system", said[0])
        self.assertEqual(len(said), 2, said)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_read_only_for_a_while(self) -> None:
        """A directory that is read-only for a while is used again afterwards."""
        require_root("mount a directory")
        files = self.publish(4)
        first, second, *_ = files
        server = self.osproxy(self.file_server().url, "--cache-size=30MiB")
        self.hits(server, files, [first, second])
        run(["mount", "--bind", "-o", "ro", server.store, server.store])
        try:
            for _ in range(2):
                self.assertEqual(self.hits(server, files), 2)
        finally:
            run(["umount", server.store])
        said = self.complaints(server)
        self.assertIn("Read-only file system", said[0])
        self.assertLessEqual(len(said), 2, said)
        self.hits(server, files)
        self.assertEqual(self.hits(server, files), 4)
        self.assertEqual(self.complaints(server), said)
        self.assert_ledger_is_right(server)

    @threaded
    def test_every_access_fails(self) -> None:
        """A disk that fails at each access is done without; after a repair all is there again."""
        disk = self.mounted(disks.ext4(self.place("disk"), 100 << 20))
        files = self.publish(4)
        first, second, *_ = files
        server = self.osproxy(self.file_server().url, "--cache-size=30MiB", cache_path=disk.path)
        self.hits(server, files, [first, second])
        os.sync()
        disk.fail()
        for _ in range(3):
            self.assertEqual(self.hits(server, files), 0)
        counted = self.troubles(server)
        self.assertEqual(counted["read"], 2)
        self.assertEqual(counted["keep"], 12)
        said = self.complaints(server)
        self.assertLessEqual(len(said), 7, said)
        self.assertEqual(server.stop(), 0)
        disk.unmount()
        disk.mount()
        server.start()
        self.assertEqual(self.hits(server, files), 2)
        self.assertEqual(self.hits(server, files), 4)
        self.assert_ledger_is_right(server)

    @threaded
    def test_bad_sectors(self) -> None:
        """
        The client of a file that can be read in part gets a broken connection, the next one the
        whole file, anew; other files are as they were.
        """
        disk = self.mounted(disks.ext4(self.place("disk"), 100 << 20))
        files = self.publish(2, 20_000_000)
        good, bad = files
        server = self.osproxy(self.file_server().url, "--cache-size=60MiB", cache_path=disk.path)
        self.hits(server, files)
        self.assertEqual(server.stop(), 0)
        content = self.site.root.joinpath(bad.lstrip("/")).read_bytes()
        # What was read stays in memory otherwise.
        disk.unmount()
        disk.mount()
        server.start()
        disk.lose_from(content[10_000_000:10_000_064])
        answer = server.fetch(bad)
        self.assertFalse(answer.complete)
        self.assertEqual(content[: len(answer.body)], answer.body)
        self.assertEqual(self.troubles(server)["read"], 1)
        self.assert_whole(server.fetch(good), files[good])
        self.assert_whole(server.fetch(bad), files[bad])
        said = self.complaints(server)
        self.assertLessEqual(len(said), 3, said)
        self.assertIn("Input/output error", said[0])

    @threaded
    def test_deleted(self) -> None:
        """
        When the cache directory is deleted, files that are open are served on, and what is wanted
        is passed through until the directory is made anew.
        """
        files = self.publish(4)
        first, second, *_ = files
        server = self.osproxy(self.file_server().url, "--cache-size=30MiB")
        self.hits(server, files, [first, second])
        shutil.rmtree(server.store)
        self.assertEqual(self.hits(server, files), 0)
        self.assertGreaterEqual(self.troubles(server)["keep"], 4)
        until(server.store.is_dir, "the directory is made anew")
        until(lambda: "directory" in self.troubles(server), "it is counted")
        self.hits(server, files)
        self.assertEqual(self.hits(server, files), 4)
        said = self.complaints(server)
        self.assertEqual(len(said), 3, said)
        self.assert_ledger_is_right(server)
        self.assertEqual(server.stop(), 0)
        server.start()
        self.assertEqual(self.hits(server, files), 4)

    @threaded
    def test_few_inodes(self) -> None:
        """Where there can be so many files only, those that were used last stay."""
        disk = self.mounted(disks.ext4(self.place("disk"), 40 << 20, "-N", "100"))
        files = self.publish(150, 5000)
        server = self.osproxy(
            self.file_server().url, "--cache-size=20MiB", "--eviction=lru", cache_path=disk.path
        )
        latest = list(files)[-50:]
        for _ in range(2):
            self.hits(server, files)
            self.assertEqual(self.hits(server, files, latest), 50)
            self.assertLess(server.status().entries, 100)
            self.assert_ledger_is_right(server)
            self.assertEqual(server.stop(), 0)
            server.start()
            self.assertEqual(self.hits(server, files, latest), 50)
        self.assertEqual(self.complaints(server), [])

    @threaded
    def test_no_inodes(self) -> None:
        """When others have taken the last one, entries go until there are some again."""
        disk = self.mounted(disks.tmpfs(self.place("disk"), 40 << 20, inodes=100))
        files = self.publish(60, 5000)
        server = self.osproxy(
            self.file_server().url, "--cache-size=20MiB", "--eviction=lru", cache_path=disk.path
        )
        names = iter(files)
        first, second, third = (list(islice(names, 20)) for _ in range(3))
        self.hits(server, files, [*first, *second])
        crowd = disk.fill_with_files()
        self.assertEqual(self.hits(server, files, third), 0)
        self.assertEqual(self.troubles(server), {"keep": 20})
        said = self.complaints(server)
        self.assertEqual(len(said), 1, said)
        self.assertIn("No space left on device", said[0])
        until(lambda: server.status().entries < 40, "some go")
        self.hits(server, files, third)
        self.assertEqual(self.hits(server, files, third), 20)
        self.assertLess(self.hits(server, files, first), 20)
        self.assertEqual(self.complaints(server), said)
        shutil.rmtree(crowd)
        until(lambda: self.hits(server, files) == 60, "all is kept")
        self.assertEqual(self.complaints(server), said)
        self.assert_ledger_is_right(server)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_read_only_for_long(self) -> None:
        """While a directory is read-only, what was wanted in vain does not add up to anything."""
        require_root("mount a directory")
        files = self.publish(30, 5000)
        first, *others = files
        server = self.osproxy(self.file_server().url, "--cache-size=30MiB")
        self.hits(server, files, [first])
        before = server.status()
        run(["mount", "--bind", "-o", "ro", server.store, server.store])
        try:
            self.assertEqual(self.hits(server, files), 1)
            counted = self.troubles(server)
            self.assertEqual(counted["keep"], len(others))
            # Only that the first was used cannot be noted.
            self.assertLessEqual(counted.keys(), {"keep", "catalogue"})
            self.assertEqual(server.status(), before)
            self.assertLessEqual(len(self.complaints(server)), 2, server.said())
            self.assertEqual(server.stop(), 0)
        finally:
            # What was opened meanwhile may still be open.
            run(["umount", "--lazy", server.store])
