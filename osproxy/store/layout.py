"""
The one directory that is ours, and where in it what lies.

``<cache path>/osproxy/`` holds a marker with the format's version, which is also the lock, the
catalogue, ``drafts/`` and ``entries/xx/yy/``. A file's name is its number; a number is never given
twice. A file whose body several entries share has a second link beside its name. Nothing outside
this directory is ever deleted, nor anything in one without the marker, nor a file that is not named
as we name files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define

from osproxy.store.syncing import Disk

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
_NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_MARKER = "osproxy-cache"
_MARKER_TEXT = "osproxy cache directory, format "
_COUNTER = "run"
_FOLDERS = ("drafts", "entries")
#: Ends the second name of a file whose body several entries share.
BODY_SUFFIX = ".body"
_NAME = re.compile(r"[0-9a-f]{16}")
_BODY = re.compile(rf"[0-9a-f]{{16}}\{BODY_SUFFIX}")
# 64 directories of 64 keep a million files at some 250 to a directory.
_FAN = re.compile(r"[0-3][0-9a-f]")


class StoreError(Exception):
    """The cache directory cannot be used; the text is one line for the operator."""


class DirectoryInUse(StoreError):
    """Another process holds the lock of the cache directory."""


class NotOurs(StoreError):
    """The directory has content, but not our marker, or the marker of another format."""


@define(eq=False)
class Directory:
    """
    A cache directory that this process holds the lock of.

    :ivar root: the marked directory.
    :ivar first_id: the least number that no file of an earlier run can have.
    """

    root: Path
    first_id: int
    _lock: int

    @property
    def catalogue(self) -> Path:
        """Where the catalogue lies."""
        return self.root / "catalogue.sqlite"

    def draft_path(self, number: int) -> Path:
        """Where a file lies while it is written."""
        return self.root / "drafts" / f"{number:016x}"

    def entry_path(self, number: int) -> Path:
        """
        Where a file lies once it is whole.

        256 files that were begun one after the other share a directory, so that a small cache
        makes few directories.
        """
        slot = (number >> 8) + (number >> 32) * 61
        folder = f"{slot >> 6 & 63:02x}/{slot & 63:02x}"
        return self.root / "entries" / folder / f"{number:016x}"

    def body_path(self, number: int) -> Path:
        """Where the second link to a file lies whose body is shared."""
        return self.entry_path(number).with_suffix(BODY_SUFFIX)

    def drafts(self) -> list[int]:
        """Name the drafts that lie here; blocks."""
        return [int(path.name, 16) for path in _files(self.root / "drafts", _NAME)]

    def entries(self) -> Iterator[list[int]]:
        """Name the entries that lie here, a directory at a time; each step blocks."""
        for found in self.entry_files():
            yield [int(path.name, 16) for path in found]

    def entry_files(self) -> Iterator[list[Path]]:
        """Give what is named as an entry, be it in its place or not; as `entries` otherwise."""
        return self._each_folder(_NAME)

    def bodies(self) -> Iterator[list[int]]:
        """Name the files of which there is a second link here; as `entries` otherwise."""
        for found in self.body_files():
            yield [int(path.stem, 16) for path in found]

    def body_files(self) -> Iterator[list[Path]]:
        """Give what is named as such a link, be it in its place or not; as `entries` otherwise."""
        return self._each_folder(_BODY)

    def _each_folder(self, named: re.Pattern[str]) -> Iterator[list[Path]]:
        for upper in _folders(self.root / "entries"):
            for lower in _folders(upper):
                yield _files(lower, named)

    def mended(self) -> bool:
        """
        Say whether what lies there is still what we hold the lock of; blocks.

        If it is, folders that somebody has deleted are put back.
        """
        try:
            found = (self.root / _MARKER).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not os.path.samestat(found, os.fstat(self._lock)):
            return False
        for name in _FOLDERS:
            (self.root / name).mkdir(mode=0o700, exist_ok=True)
        return True

    def renew(self) -> None:
        """
        Make it anew after it was deleted, and the cache path with it; numbers go on. Blocks.

        :raises StoreError: when something else is in its place.
        :raises OSError: when it cannot be made.
        """
        self.root.parent.mkdir(mode=0o700, exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)
        fresh = _claimed(self.root, self.first_id >> 32)
        os.close(self._lock)
        self._lock = fresh._lock

    def close(self) -> None:
        """Release the lock."""
        os.close(self._lock)


def open_directory(cache_path: Path) -> Directory:
    """
    Make or find the cache directory and take its lock, which is held until it is closed.

    The lock outlives a fork. A directory that is not empty and has no marker is left alone.

    :raises StoreError: when it cannot be used.
    """
    root = cache_path / "osproxy"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        return _claimed(root)
    except OSError as error:
        raise StoreError(f"cache directory {root}: {error.strerror}") from error


def find_directory(cache_path: Path) -> Directory:
    """
    Take the lock of a cache directory that is there, and change nothing in it.

    :raises StoreError: when there is none, or it cannot be used.
    """
    root = cache_path / "osproxy"
    try:
        lock = _marker_to_lock(root / _MARKER)
    except FileNotFoundError:
        raise StoreError(f"{root} is no cache directory of osproxy") from None
    except OSError as error:
        raise StoreError(f"cache directory {root}: {error.strerror}") from error
    try:
        _take_lock(root, lock)
        if not _is_marked(lock):
            raise NotOurs(f"{root} is not a cache directory of format {FORMAT}")
        directory = Directory(root, 0, lock)
        _check_links(directory)
        directory.first_id = (_last_run(directory) + 1) << 32
        return directory
    except BaseException:
        os.close(lock)
        raise


def _marker_to_lock(marker: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        # NFS gives the lock to none who could not write (flock(2)).
        return os.open(marker, flags | os.O_RDWR)
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
    return os.open(marker, flags | os.O_RDONLY)


def _claimed(root: Path, least_run: int = 1) -> Directory:
    marker = root / _MARKER
    if not marker.exists() and any(root.iterdir()):
        raise NotOurs(f"{root} holds something that is not a cache of osproxy; it is left alone")
    lock = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _take_lock(root, lock)
        _check_marker(root, lock)
        directory = Directory(root, 0, lock)
        _check_links(directory)
        for name in _FOLDERS:
            (root / name).mkdir(mode=0o700, exist_ok=True)
        directory.first_id = _next_run(directory, least_run) << 32
        # A number that a power loss has taken back would be given twice.
        for folder in (root, root.parent):
            Disk().folder(folder)
        return directory
    except BaseException:
        os.close(lock)
        raise


def _take_lock(root: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DirectoryInUse(f"cache directory {root} is in use by another process") from None


def _check_links(directory: Directory) -> None:
    for path in (*(directory.root / name for name in _FOLDERS), directory.catalogue):
        if path.is_symlink():
            raise NotOurs(f"{path} is a symbolic link; it is left alone")


def _is_marked(lock: int) -> bool:
    return os.pread(lock, 200, 0) == f"{_MARKER_TEXT}{FORMAT}\n".encode("ascii")


def _check_marker(root: Path, lock: int) -> None:
    if _is_marked(lock):
        return
    found = os.pread(lock, 1, 0)
    # An empty marker is what a crash leaves between its making and its writing.
    if found or any(path.name != _MARKER for path in root.iterdir()):
        raise NotOurs(f"{root} is not a cache directory of format {FORMAT}; it is left alone")
    os.pwrite(lock, f"{_MARKER_TEXT}{FORMAT}\n".encode("ascii"), 0)
    # A power loss that leaves what comes later, and not this, would leave it to nobody.
    Disk().file(lock)


def _next_run(directory: Directory, least: int) -> int:
    # Numbers go on even when the catalogue is lost, so that what an earlier run left behind can
    # be told from what this one makes.
    run = max(least, _last_run(directory) + 1)
    fresh = directory.root / "run.new"
    with fresh.open("w", encoding="ascii") as file:
        file.write(f"{run}\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(directory.root / _COUNTER)
    return run


def _last_run(directory: Directory) -> int:
    counter = directory.root / _COUNTER
    try:
        return int(counter.read_text("ascii"))
    except FileNotFoundError:
        # Never there, or lost: then the files have the numbers of earlier runs.
        found = chain([directory.drafts()], directory.entries(), directory.bodies())
        return max(chain.from_iterable(found), default=0) >> 32
    except ValueError:
        raise NotOurs(f"{counter} is not a number; remove it or put it right") from None


def _folders(path: Path) -> list[Path]:
    return sorted(
        Path(item.path)
        for item in _scanned(path)
        if _FAN.fullmatch(item.name) and item.is_dir(follow_symlinks=False)
    )


def _files(path: Path, named: re.Pattern[str]) -> list[Path]:
    return [
        Path(item.path)
        for item in _scanned(path)
        if named.fullmatch(item.name) and item.is_file(follow_symlinks=False)
    ]


def _scanned(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            return list(found)
    except FileNotFoundError:
        # Taken away by hand, with all that was in it.
        return []
