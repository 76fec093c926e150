"""Tests of `osproxy.config.regular`."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.regular import AT_MOST, open_at_once, read_regular


class RegularTests(SynchronousTestCase):
    """What is no regular file is refused, and nobody is waited for."""

    def setUp(self) -> None:
        """Make a place for files."""
        self.place = Path(self.mktemp()).absolute()
        self.place.mkdir()
        self.file = self.place / "file"

    def refused(self, path: Path) -> OSError:
        """Read what cannot be read, and leave no descriptor open."""
        before = set(os.listdir("/proc/self/fd"))
        error: OSError = self.assertRaises(OSError, read_regular, path)
        # Others, of tests before, may be collected as garbage meanwhile.
        self.assertEqual(set(os.listdir("/proc/self/fd")) - before, set())
        return error

    def test_content(self) -> None:
        """A file is read to its end, by whatever name."""
        link = self.place / "link"
        link.symlink_to(self.file)
        for content in (b"", b"content", b"x" * AT_MOST):
            self.file.write_bytes(content)
            self.assertEqual(read_regular(link), content)

    def test_of_unknown_size(self) -> None:
        """The kernel's own files say that they are empty, and are not."""
        self.assertIn(b"MemTotal", read_regular(Path("/proc/meminfo")))

    def test_pipe(self) -> None:
        """A pipe is not waited for, with a writer or without."""
        os.mkfifo(self.file)
        self.assertEqual(self.refused(self.file).strerror, "it is no regular file")
        writer = os.open(self.file, os.O_RDWR)
        self.addCleanup(os.close, writer)
        self.assertEqual(self.refused(self.file).strerror, "it is no regular file")

    def test_other_kinds(self) -> None:
        """Devices, directories and sockets are no files of settings."""
        with socket.socket(socket.AF_UNIX) as it:
            it.bind(os.path.relpath(self.file))
        for path, number in (
            (Path("/dev/zero"), errno.EINVAL),
            (self.place, errno.EISDIR),
            (self.file, errno.ENXIO),
            (self.place / "missing", errno.ENOENT),
        ):
            self.assertEqual(self.refused(path).errno, number, path)

    def test_too_large(self) -> None:
        """A file without an end in sight does not fill the memory."""
        self.file.touch()
        os.truncate(self.file, 1 << 40)
        self.assertEqual(self.refused(self.file).errno, errno.EFBIG)

    def test_opened_to_add(self) -> None:
        """A pipe that nobody reads is not waited for by who would write either."""
        os.mkfifo(self.file)
        error = self.assertRaises(OSError, open_at_once, str(self.file), os.O_WRONLY)
        self.assertEqual(error.errno, errno.ENXIO)
