"""
File systems of a test's own, that fill up, refuse and break: tmpfs, and images behind a loop.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
from itertools import count
from pathlib import Path

from tests.integration.tools import require, require_root, run

# EXT4_IOC_SHUTDOWN of linux/ext4.h: from then on every access fails, and what was not synced is
# lost, as after a power failure (EXT4_GOING_FLAGS_NOLOGFLUSH).
_SHUTDOWN = 0x8004587D
_WITHOUT_FLUSHING = 2
# Of the file system on the image, and more than a sector.
_BLOCK = 4096


class Disk:
    """
    A file system that is mounted for a test.

    :ivar path: where it is mounted.
    """

    def __init__(self, path: Path, *mounting: str | Path, image: Path | None = None) -> None:
        require("mount", "umount")
        require_root("mount a file system")
        self.path = path
        self._mounting = mounting
        self._image = image
        path.mkdir()
        self._mount()

    def _mount(self) -> None:
        what = "osproxy-test" if self._image is None else self._image
        run(["mount", *self._mounting, what, self.path])

    def remount(self) -> None:
        """Detach it and attach what is on its image, with nothing of it in memory."""
        assert self._image is not None, "it has an image"
        self.unmount()
        # Where another mount namespace has it still, the kernel would attach the same once more.
        copy = self._image.with_name(f"{self._image.name}-again")
        run(["cp", "--sparse=always", self._image, copy])
        self._image = copy
        self._mount()

    def unmount(self) -> None:
        """Detach it, whoever still uses it."""
        run(["umount", "--lazy", self.path])

    def sync(self) -> None:
        """Have all that was written on the image."""
        run(["sync", "--file-system", self.path])

    def become_read_only(self) -> None:
        """Have the kernel find an error and stop all writing (ext4 only)."""
        run(["mount", "-o", "remount,errors=remount-ro", self.path])
        device = run(["findmnt", "-no", "SOURCE", self.path]).out.strip().rpartition("/")[2]
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("a test")

    def fail(self) -> None:
        """Fail every access from now on, and lose what was not synced (ext4 only)."""
        root = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(root, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING))
        finally:
            os.close(root)

    def where(self, content: bytes) -> int:
        """Say where on the image this lies."""
        assert self._image is not None, "it has an image"
        with (
            self._image.open("rb") as image,
            mmap.mmap(image.fileno(), 0, prot=mmap.PROT_READ) as octets,
        ):
            position = octets.find(content)
        if position < 0:
            raise ValueError("the image has no such content")
        return position

    def lose_from(self, content: bytes) -> None:
        """Let nothing be read any more from where this lies on, but for what is in memory."""
        position = self.where(content)
        # In whole blocks: what the kernel makes of the rest of one is not always an error.
        assert self._image is not None, "it has an image"
        os.truncate(self._image, position - position % _BLOCK)

    @property
    def used(self) -> int:
        """Octets in use."""
        it = os.statvfs(self.path)
        return (it.f_blocks - it.f_bfree) * it.f_frsize

    def fill(self, name: str = "ballast") -> Path:
        """Take all the space there is with a file, and return it."""
        ballast = self.path / name
        with ballast.open("wb", buffering=0) as file:
            for size in (65536, 4096):
                try:
                    while file.write(b"x" * size) == size:
                        pass
                except OSError as error:
                    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                        raise
        return ballast

    def fill_with_files(self, name: str = "crowd") -> Path:
        """Make as many files as there can be, and return the folder that they are in."""
        crowd = self.path / name
        crowd.mkdir()
        try:
            for number in count():
                (crowd / str(number)).touch()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        return crowd


def tmpfs(path: Path, octets: int, *, inodes: int = 0) -> Disk:
    """
    Mount a file system in memory.

    :param inodes: how many files and folders it can have, 0 for any number.
    """
    return Disk(path, "-t", "tmpfs", "-o", f"size={octets},nr_inodes={inodes}")


def ext4(path: Path, octets: int, *options: str) -> Disk:
    """Mount an image with a file system that outlives its unmounting."""
    require("mkfs.ext4")
    image = _image(path, octets, "mkfs.ext4", "-q", "-F", *options)
    return Disk(path, "-o", "loop", image=image)


def btrfs(path: Path, octets: int, quota: int) -> Disk:
    """Mount an image with a quota that is less than the space it says it has."""
    require("mkfs.btrfs", "btrfs")
    disk = Disk(path, "-o", "loop", image=_image(path, octets, "mkfs.btrfs", "-q"))
    run(["btrfs", "quota", "enable", path])
    run(["btrfs", "qgroup", "limit", str(quota), path])
    return disk


def _image(path: Path, octets: int, *making: str) -> Path:
    image = path.with_name(f"{path.name}.image")
    with image.open("wb") as file:
        file.truncate(octets)
    run([*making, image])
    return image
