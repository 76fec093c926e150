"""
How much of a disk may be taken, as the disk has it.

A part of it is to stay free: of its space, and the same part of the files that it can have. Many
file systems have a fixed number of inodes, and are as full without one as without a block; others
make them as they are needed, and say that there are none in all. Those that say so of their space
are in memory, or elsewhere, and do not know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    import os
    from collections.abc import Callable


@frozen
class Allowance:
    """
    What may be taken; None where there is no limit, and less than nothing on a disk that is full.

    :ivar octets: of space, what is taken already included.
    :ivar files: how many, those that are there included.
    """

    octets: int | None
    files: int | None


def allowance(
    disk: os.statvfs_result, free_space: Callable[[int], int], octets: int, files: int
) -> Allowance:
    """
    Say how much may be taken of a disk.

    :param free_space: how much of a disk of a given size is to stay free.
    :param octets: what we take of it.
    :param files: how many of the files on it are ours.
    """
    size = disk.f_blocks * disk.f_frsize
    if not size:
        return Allowance(None, _files(disk, 0, 1, files))
    floor = free_space(size)
    free = disk.f_bavail * disk.f_frsize
    return Allowance(octets + free - floor, _files(disk, floor, size, files))


def free_files_of(disk: os.statvfs_result) -> int | None:
    """
    Say how many more files a disk can have, None for any number.

    In a cluster (CephFS, Gfarm) it may be known how many there are, but not how many there can be:
    then it is less than none.
    """
    return disk.f_favail if disk.f_files > 0 <= disk.f_favail else None


def _files(disk: os.statvfs_result, floor: int, size: int, files: int) -> int | None:
    free = free_files_of(disk)
    return None if free is None else files + free - disk.f_files * floor // size
