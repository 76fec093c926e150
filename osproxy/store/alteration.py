"""
Has somebody else changed a file since it was put among the entries?

Its time of modification is set to a whole second then, which the kernel, since it counts
nanoseconds, does not do when a file is written to. What bears another one is read as a whole before
it is served. File systems that count in seconds tell nothing, and copies that keep no times are
read once.

Of a file that stays open more can be told: whatever is done to it, be it written to, cut, renamed,
unlinked or given to somebody else, sets the time at which its status was changed (POSIX.1-2017, XBD
4.9), which nobody can set back.
"""

from __future__ import annotations

import errno
import hashlib
import os

Condition = tuple[int, int, int, int]
"""What an open file has changed in once anything was done to it."""

_SECOND = 10**9
_BLOCK = 1 << 20
# A disk that is read-only or full says nothing about the file.
_UNMARKED = frozenset({errno.EROFS, errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EDQUOT})


def mark(descriptor: int) -> None:
    """Have the time of a file say that it is not to be changed any more; blocks."""
    found = os.fstat(descriptor)
    os.utime(descriptor, ns=(found.st_atime_ns, found.st_mtime_ns // _SECOND * _SECOND))


def is_marked(descriptor: int) -> bool:
    """Say whether the time of a file says that nobody has changed it."""
    return os.fstat(descriptor).st_mtime_ns % _SECOND == 0


def condition_of(descriptor: int) -> Condition | None:
    """
    Say in which condition an open file is, to be compared with later.

    None where that would tell nothing, since its times are in seconds, or nobody knows what it is.
    """
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    marked, times = found.st_mtime_ns % _SECOND == 0, found.st_ctime_ns % _SECOND != 0
    if not (marked and times):
        return None
    return found.st_size, found.st_nlink, found.st_mtime_ns, found.st_ctime_ns


def see_unaltered(descriptor: int, start: int, stop: int, digest: str) -> None:
    """
    Make sure that a file is what was written; blocks, for long only if there is a reason to doubt.

    :param digest: SHA-256 of the octets between, in hex.
    :raises OSError: when it is not, or cannot be read.
    """
    if is_marked(descriptor):
        return
    if digest_of(descriptor, start, stop) != digest:
        raise OSError(errno.EIO, "it was altered after it was stored")
    try:
        mark(descriptor)
    except OSError as error:
        # Then it is read as often as it is opened.
        if error.errno not in _UNMARKED:
            raise


def digest_of(descriptor: int, start: int, stop: int) -> str:
    """Compute the SHA-256 of a part of a file, in hex; blocks."""
    digest = hashlib.sha256()
    while start < stop:
        data = os.pread(descriptor, min(_BLOCK, stop - start), start)
        if not data:
            break
        digest.update(data)
        start += len(data)
    return digest.hexdigest()
