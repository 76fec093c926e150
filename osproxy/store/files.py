"""
What is done to a file in a thread: made, opened, published, given a second link, removed.

All of it blocks. Who may do it, and when, is said by `osproxy.store.blobs` and those who keep them.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from osproxy.store.alteration import mark, see_unaltered
from osproxy.store.pagecache import leave_no_trace
from osproxy.store.syncing import sync_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osproxy.store.syncing import Syncing

    Checkpoint = Callable[[str], None]


def creator_of(header: bytes) -> Callable[[Path], int]:
    """Give a function that makes a file for its writer and readers, or leaves nothing; blocks."""

    def create(path: Path) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            leave_no_trace(descriptor)
            write_all(descriptor, header, 0)
        except BaseException:
            remove(descriptor, path)
            raise
        return descriptor

    return create


def opener_of(size: int, *, writing: bool = False) -> Callable[[Path], int]:
    """Give a function that opens a file, if it is as long as it should be; blocks."""

    def opened(path: Path) -> int:
        access = os.O_RDWR if writing else os.O_RDONLY
        # A pipe that somebody has put in its place must not be waited for.
        descriptor = os.open(path, access | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            os.close(descriptor)
            raise OSError(errno.EIO, f"{found.st_size} octets instead of {size}", str(path))
        leave_no_trace(descriptor)
        return descriptor

    return opened


def check_of(offset: int, length: int, digest: str) -> Callable[[int], None]:
    """Give a function that sees that nobody has altered the body of an open file; blocks."""

    def check(descriptor: int) -> None:
        see_unaltered(descriptor, offset, offset + length, digest)

    return check


def publish(
    descriptor: int,
    header: bytes,
    draft: Path,
    entry: Path,
    checkpoint: Checkpoint,
    syncing: Syncing | None,
) -> None:
    """
    Write the header of a finished draft and put the file among the entries; blocks.

    :param syncing: makes sure that the disk has all of it; None where that is done later.
    """
    checkpoint("before-header")
    write_all(descriptor, header, 0)
    mark(descriptor)
    checkpoint("after-header")
    if syncing is not None:
        syncing.file(descriptor)
    checkpoint("before-rename")
    try:
        draft.rename(entry)
    except FileNotFoundError:
        # Not further up: a directory that was deleted is not for us to bring back.
        entry.parent.parent.mkdir(mode=0o700, exist_ok=True)
        entry.parent.mkdir(mode=0o700, exist_ok=True)
        draft.rename(entry)
    if syncing is not None:
        sync_names(syncing, [entry])
    checkpoint("after-rename")


def publish_name(
    header: bytes,
    draft: Path,
    entry: Path,
    checkpoint: Checkpoint,
    syncing: Syncing | None,
) -> None:
    """Put a header among the entries that has its body elsewhere; see `publish`."""
    descriptor = creator_of(header)(draft)
    try:
        publish(descriptor, header, draft, entry, checkpoint, syncing)
    finally:
        os.close(descriptor)


def link_body(entry: Path, body: Path, syncing: Syncing | None) -> None:
    """Give a file its second link, unless it has it; blocks."""
    # When it has one, its first name may be on its way out.
    if body.exists():
        return
    os.link(entry, body, follow_symlinks=False)
    if syncing is not None:
        sync_names(syncing, [body])


def write_all(descriptor: int, data: bytes | memoryview, position: int) -> None:
    """Write all of it at this position."""
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, position)
        position += count
        view = view[count:]


def remove(descriptor: int | None, *links: Path) -> None:
    """Close a file and unlink it, in this order: freeing the space is the unlink's work; blocks."""
    try:
        if descriptor is not None:
            os.close(descriptor)
    finally:
        for path in links:
            path.unlink(missing_ok=True)
