"""
How it is made sure that the disk has what the kernel has.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Syncing(Protocol):
    """Makes sure that the disk has what the kernel has; each method blocks."""

    def file(self, descriptor: int) -> None:
        """Have the octets of a file on the disk, and its length."""

    def folder(self, path: Path) -> None:
        """Have the names in a folder on the disk."""


class Disk:
    """The real one."""

    def file(self, descriptor: int) -> None:
        """See `Syncing`."""
        os.fsync(descriptor)

    def folder(self, path: Path) -> None:
        """See `Syncing`."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_names(syncing: Syncing, entries: Iterable[Path]) -> None:
    """Have the names of entries on the disk, and those of the folders that lead to them; blocks."""
    # Whoever made a folder may not have come to sync its name.
    lowest = {entry.parent for entry in entries}
    upper = {folder.parent for folder in lowest}
    for folder in (*lowest, *upper, *{folder.parent for folder in upper}):
        syncing.folder(folder)
