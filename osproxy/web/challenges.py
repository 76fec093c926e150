"""
Answers to challenges of ACME, by which an authority finds out who has a name (RFC 8555 section
8.3). A client of the operator's writes them into a directory and removes them afterwards.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.logger import Logger

from osproxy.model import Notice

if TYPE_CHECKING:
    from pathlib import Path

    from osproxy.threads import InThread

_log = Logger()

_PREFIX = b"/.well-known/acme-challenge/"

# RFC 8555 section 8.3: base64url, so that nothing can lead to another directory.
_TOKEN = re.compile(rb"[A-Za-z0-9_-]{1,255}+")

# Two such tokens and a dot; some clients write an end of line behind them.
_AT_MOST = 1024

# A name that is not there, is a symbolic link, or has nobody at its other end.
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})


@define(eq=False)
class Challenges:
    """
    Serves the files that lie in a directory: these alone, and nothing else of it.

    :ivar directory: where they are; None where that path is nothing special.
    """

    directory: Path | None
    _in_thread: InThread
    _failing: bool = field(default=False, init=False)

    def are_at(self, target: bytes) -> bool:
        """Say whether a request target is ours; others are whoever's."""
        return self.directory is not None and target.startswith(_PREFIX)

    async def answer(self, target: bytes) -> Notice:
        """Answer such a target: with the file, or that there is none."""
        token = target.partition(b"?")[0].removeprefix(_PREFIX)
        content = None
        if self.directory is not None and _TOKEN.fullmatch(token):
            try:
                content = await self._in_thread(_read, self.directory / token.decode("ascii"))
            except OSError as error:
                self._failed(error)
            else:
                self._failing = False
        if content is None:
            return Notice(404, b"No such challenge.\n", passing=True)
        return Notice(200, content, "application/octet-stream", passing=True)

    def _failed(self, error: OSError) -> None:
        # Whoever likes may ask, and fill the log.
        if not self._failing:
            _log.error("cannot read an answer to a challenge: {error}", error=error)
        self._failing = True


def _read(path: Path) -> bytes | None:
    """Read a regular file that is small; there is no other to anybody."""
    try:
        # A pipe would keep us waiting.
        fileno = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    try:
        found = os.fstat(fileno)
        whole = stat.S_ISREG(found.st_mode) and found.st_size <= _AT_MOST
        return os.read(fileno, _AT_MOST) if whole else None
    finally:
        os.close(fileno)
