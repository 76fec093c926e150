"""
The disk fills up, refuses, fails, and recovers: clients have their files throughout.
"""

from __future__ import annotations

import shutil
from errno import EDQUOT, EIO, ENOSPC, EROFS
from itertools import islice

from tests.integration import disks
from tests.integration.tools import require_root, run, threaded, until
from tests.integration.troubles import FILE, TroubleCase

# Octets that tell one file from another.
_BEGINNING = 64
# What the catalogue cannot write down: that something was used, and a new row.
_LOST = "the catalogue of"
_NO_ROW = "is passed through: d"


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
        kept = self.hits(server, files)
        if kept != 1:
            # It has been noticed already, and what was stored has made room.
            self.assertEqual(kept, 0)
            self.assertLess(server.status().capacity, FILE)
        self.assertEqual(self.troubles(server)["keep"], 6 - kept)
        until(lambda: server.status().capacity < FILE, "it is noticed")
        self.assertEqual(self.hits(server, files), 0)
        self.assertEqual(self.troubles(server)["keep"], 12 - kept)
        ballast.unlink()
        until(lambda: server.status().capacity > 20 << 20, "there is space")
        said = self.complaints(server)
        self.assertEqual(self.hits(server, files), 0)
        self.assertEqual(self.hits(server, files), 6)
        self.assertEqual(self.complaints(server), said)
        no_space = f"is passed through: [Errno {ENOSPC}]"
        self.assert_said(server, "is passed through: no room", may=(no_space, _LOST))
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
        run(["btrfs", "qgroup", "limit", "none", disk.path])
        self.hits(server, files)
        self.assertEqual(self.hits(server, files), 6)
        self.assert_said(server, f"is passed through: [Errno {EDQUOT}]", may=(_NO_ROW, _LOST))
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
        self.assertEqual(self.hits(server, files), 2)
        kept = self.hits(server, files)
        self.assertIn(kept, (2, 3))
        stored = server.status().entries
        self.assertIn(stored, (kept, kept + 1))
        until(lambda: "catalogue" in self.troubles(server), "uses are lost")
        # As the disk pleases: what was begun in vain has left some space, or has not.
        self.assertEqual(self.troubles(server)["keep"], 2 * 4 - kept - stored)
        self.assert_said(server, f"is passed through: [Errno {EDQUOT}]", _LOST, may=(_NO_ROW,))
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
        self.assert_said(server, f"is passed through: [Errno {EROFS}]", _LOST)
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
        self.assertEqual(self.troubles(server)["keep"], 4)
        self.assertEqual(self.hits(server, files), 2)
        self.assertEqual(self.hits(server, files), 4)
        self.assertEqual(self.troubles(server)["keep"], 4)
        removed = f"cannot be removed: [Errno {EROFS}]"
        self.assert_said(server, f"is passed through: [Errno {EROFS}]", may=(removed, _LOST))
        self.assert_ledger_is_right(server)

    @threaded
    def test_every_access_fails(self) -> None:
        """A disk that fails at each access is done without; after a repair all is there again."""
        disk = self.mounted(disks.ext4(self.place("disk"), 100 << 20))
        files = self.publish(4)
        first, second, *_ = files
        server = self.osproxy(self.file_server().url, "--cache-size=30MiB", cache_path=disk.path)
        self.hits(server, files, [first, second])
        disk.sync()
        disk.fail()
        for _ in range(3):
            self.assertEqual(self.hits(server, files), 0)
        counted = self.troubles(server)
        self.assertEqual(counted["read"], 2)
        self.assertEqual(counted["keep"], 12)
        self.assert_said(
            server,
            f"is lost: [Errno {EIO}]",
            f"is passed through: [Errno {EIO}]",
            may=(
                f"cannot be removed: [Errno {EIO}]",
                "cannot be looked at",
                "cannot be verified",
                "the catalogue is damaged",
                "cannot be written: disk I/O error",
                "cannot be written: database disk image is malformed",
            ),
        )
        self.assertEqual(server.stop(), 0)
        disk.remount()
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
        server = self.osproxy(self.file_server().url, "--cache-size=60MiB", cache_path=disk.path)
        self.hits(server, files)
        self.assertEqual(server.stop(), 0)
        disk.sync()
        # What was read stays in memory otherwise.
        disk.remount()
        contents = {path: self.site.root.joinpath(path.lstrip("/")).read_bytes() for path in files}
        # As the file system has laid them: what is lost is lost to the end.
        good, bad = sorted(files, key=lambda path: disk.where(contents[path][:_BEGINNING]))
        content = contents[bad]
        server.start()
        disk.lose_from(content[10_000_000:10_000_064])
        answer = server.fetch(bad)
        self.assertFalse(answer.complete)
        self.assertEqual(content[: len(answer.body)], answer.body)
        self.assertEqual(self.troubles(server)["read"], 1)
        self.assert_whole(server.fetch(good), files[good])
        self.assert_whole(server.fetch(bad), files[bad])
        broken = (f"{bad} is lost: [Errno {EIO}]", "is cut: the file cannot be read")
        self.assert_said(server, *broken, may=("is passed through: ", _LOST))

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
        troubles = self.troubles(server)
        if "directory" not in troubles:
            self.assertEqual(troubles, {"read": 2, "keep": 4})
        until(server.store.is_dir, "the directory is made anew")
        until(lambda: "directory" in self.troubles(server), "it is counted")
        # What came since that has been kept; the catalogue may need another moment.
        self.assertEqual(self.hits(server, files), 4 - troubles.get("keep", 0))
        until(lambda: self.hits(server, files) == 4, "all is kept")
        lost = ("is lost: [Errno 2]", "is passed through: [Errno 2]")
        self.assert_said(server, "it was deleted; the cache begins anew, empty", may=lost)
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
        troubles = self.troubles(server)
        # Unless the disk was looked at already, and entries have gone for these.
        if not server.metric("evictions_total"):
            self.assertEqual(troubles, {"keep": 20})
            self.assert_said(server, f"is passed through: [Errno {ENOSPC}]")
        said = self.complaints(server)
        until(lambda: server.metric("evictions_total"), "some go")
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
