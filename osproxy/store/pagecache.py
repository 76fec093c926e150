"""
What of a file the kernel has in memory, and how it is read without waiting for a disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress


def cached(file: int, offset: int, *, unknown: bool) -> bool:
    """
    Say whether the octet at an offset can be read without waiting for a disk.

    :param unknown: what to say where the file system cannot tell. Some of those are in memory
        themselves, and never wait; others lie upon one that does, as those of containers.
    """
    try:
        os.preadv(file, [bytearray(1)], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return unknown
    return True


def read_cached(file: int, offset: int, count: int) -> bytes:
    """Read what can be read without waiting for a disk: it may be less, and may be nothing."""
    buffer = bytearray(count)
    try:
        got = os.preadv(file, [buffer], offset, os.RWF_NOWAIT)
    except OSError as error:
        # File systems that cannot tell are read from as if it were not there.
        if error.errno not in (errno.EAGAIN, errno.EOPNOTSUPP):
            raise
        return b""
    return bytes(buffer) if got == count else bytes(buffer[:got])


def leave_no_trace(file: int) -> None:
    """
    Have the kernel not write down when an open file is read.

    It would do so while it reads, and may wait for a disk then, whatever it was asked not to do.
    """
    # Nobody but its owner may ask for that (open(2)), and a file system need not heed it.
    with suppress(OSError):
        fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_NOATIME)
