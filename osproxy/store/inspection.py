"""
Is a file still what was written? Looked at in bites, each of which blocks.

What is in the page cache for others stays there; what only this has read does not. A file that is
found wrong is put out of it, so that a second look is at the disk.
"""

from __future__ import annotations

import hashlib
import os
from enum import Enum
from typing import TYPE_CHECKING

from osproxy.store.entries import NOT_ITS_FAULT
from osproxy.store.pagecache import cached
from osproxy.store.records import BadHeader, read_header

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from osproxy.store.records import Record

BITE = 1 << 20


class Fault(Enum):
    """In what way a file is not what was written."""

    MISSING = "its file is missing"
    SIZE = "its file has another size"
    UNREADABLE = "its file cannot be read"
    BODY = "its body is not what was stored"
    HEADER = "its file says something else of itself than the catalogue"


class Damaged(Exception):
    """A file is not what was written; the text says in what way."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault.value} ({detail})" if detail else fault.value)
        self.fault = fault


def inspect(path: Path, record: Record) -> Generator[int]:
    """
    Compare a file with what is known of it; yield after each bite how many octets it had.

    Of a name that is its header: its body is looked at in the file that has it.

    :raises Damaged: when it is not what was written.
    :raises OSError: when that cannot be told now, through no fault of the file.
    """
    try:
        yield from _inspect(path, record)
    except FileNotFoundError:
        raise Damaged(Fault.MISSING) from None
    except OSError as error:
        if error.errno in NOT_ITS_FAULT:
            raise
        raise Damaged(Fault.UNREADABLE, str(error.strerror)) from error


def _inspect(path: Path, record: Record) -> Generator[int]:
    # A descriptor of our own: nobody else is to go without the kernel's reading ahead.
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        found = os.fstat(file).st_size
        if found != record.size:
            raise Damaged(Fault.SIZE, f"{found} octets instead of {record.size}")
        # No octet but those asked for: what the kernel reads ahead would look as if others had.
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
        beginning = _hot(file, 0)
        digest = hashlib.sha256()
        for position in range(record.offset, record.size, BITE):
            count = min(BITE, record.size - position)
            hot = _hot(file, position) or _hot(file, position + count - 1)
            digest.update(_read(file, position, count))
            if not hot:
                os.posix_fadvise(file, position, count, os.POSIX_FADV_DONTNEED)
            if position == record.offset:
                beginning = hot
            yield count
        if not record.is_name and digest.hexdigest() != record.digest:
            raise Damaged(Fault.BODY)
        _compare(path, record)
        if not beginning:
            # The header was read by way of another descriptor, and some of the body with it.
            os.posix_fadvise(file, 0, record.offset + BITE, os.POSIX_FADV_DONTNEED)
    except Damaged:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        raise
    finally:
        os.close(file)


def _hot(file: int, position: int) -> bool:
    # Where nobody can tell, it may be what others need.
    return cached(file, position, unknown=True)


def _read(file: int, position: int, count: int) -> bytes:
    octets = bytearray()
    # Where an error lies behind the first octets, the kernel gives these and no error yet.
    while len(octets) < count:
        piece = os.pread(file, count - len(octets), position + len(octets))
        if not piece:
            raise Damaged(Fault.SIZE, "it ends early")
        octets += piece
    return bytes(octets)


def _compare(path: Path, record: Record) -> None:
    try:
        said = read_header(path)
    except BadHeader as error:
        raise Damaged(Fault.HEADER, str(error)) from error
    if _unchanging(said) != _unchanging(record):
        raise Damaged(Fault.HEADER)


def _unchanging(record: Record) -> tuple[object, ...]:
    """Give what stays as it was written, whatever the source confirms later."""
    return (
        record.id, record.target, record.kind, record.offset, record.length, record.digest,
        record.stored_at, record.generation, record.body,
    )  # fmt: skip
