"""
Files that somebody names and that are read as a whole, anew now and then while others are served.

Whatever lies at their paths by then, nobody is kept waiting: a pipe has no end before its writers
leave, and some devices have none at all.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

AT_MOST = 16 << 20
"""More octets than settings and certificates ever come to."""


def read_regular(path: Path) -> bytes:
    """
    Read a regular file.

    :raises OSError: when it cannot be read, is something else, or is larger than `AT_MOST`.
    """
    with open(path, "rb", opener=open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        content = file.read(AT_MOST + 1)
    if len(content) > AT_MOST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content


def open_at_once(path: str, flags: int) -> int:
    """Open a file as `open` would, but wait for nobody, and take no terminal for our own."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o666)
