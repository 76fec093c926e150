"""Tests of `osproxy.store.allowance`."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.allowance import Allowance, allowance, free_files_of


def disk(blocks: int, free: int, files: int = 0, free_files: int = 0) -> os.statvfs_result:
    """Make what a file system with blocks of 1000 octets says, a tenth of it for root only."""
    for_us, files_for_us = free - blocks // 10, free_files - files // 10
    return os.statvfs_result(
        (4096, 1000, blocks, free, for_us, files, free_files, files_for_us, 0, 255)
    )


class AllowanceTests(SynchronousTestCase):
    """What may be taken of a disk by one who has 5,000 octets of it, in 5 files."""

    def allowed(self, disk: os.statvfs_result, floor: int = 0) -> Allowance:
        """Say what may be taken when so many octets are to stay free."""
        return allowance(disk, lambda size: floor, 5_000, 5)

    def test_space(self) -> None:
        """What is there, and what is free for us, but for what is to stay so."""
        for blocks, free, floor, octets in (
            (100, 30, 0, 25_000),
            (100, 30, 4_000, 21_000),
            (100, 10, 0, 5_000),
            (100, 10, 7_000, -2_000),
        ):
            self.assertEqual(
                self.allowed(disk(blocks, free), floor), Allowance(octets, None), (free, floor)
            )

    def test_files(self) -> None:
        """So it is with files, of which the same part is to stay free."""
        for files, free_files, floor, most in (
            (200, 100, 0, 85),
            (200, 100, 5_000, 75),
            (200, 20, 0, 5),
            (200, 20, 5_000, -5),
        ):
            allowed = self.allowed(disk(100, 30, files, free_files), floor)
            self.assertEqual(allowed.files, most, (files, free_files, floor))

    def test_unknown_files(self) -> None:
        """What knows of files only how many there are says less than none of the others."""
        for files, free_files in ((200, -1), (-1, -1), (0, 0), (0, 100)):
            said = os.statvfs_result(
                (4096, 1000, 100, 30, 20, files, free_files, free_files, 0, 255)
            )
            self.assertEqual(self.allowed(said, 4_000), Allowance(21_000, None))
            self.assertIsNone(free_files_of(said))
        self.assertEqual(free_files_of(disk(100, 30, 200, 20)), 0)

    def test_part_of_the_disk(self) -> None:
        """What is to stay free is told by the size of the disk, in octets."""
        allowed = allowance(disk(100, 30, 200, 100), lambda size: size // 20, 0, 0)
        self.assertEqual(allowed, Allowance(15_000, 70))

    def test_unknown(self) -> None:
        """A file system that has no space in all does not know, and has no limit."""
        self.assertEqual(self.allowed(disk(0, 0), 4_000), Allowance(None, None))
        self.assertEqual(self.allowed(disk(0, 0, 200, 100), 4_000), Allowance(None, 85))
