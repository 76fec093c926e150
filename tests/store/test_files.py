"""Tests of `osproxy.store.files`."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.files import creator_of, opener_of, publish, remove, write_all


class BlockingTests(SynchronousTestCase):
    """What is done in a thread."""

    def setUp(self) -> None:
        """Have a folder."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.draft = self.folder / "draft"

    def made(self, header: bytes = b"") -> int:
        """Make a draft."""
        descriptor = creator_of(header)(self.draft)
        self.addCleanup(os.close, descriptor)
        return descriptor

    def test_create(self) -> None:
        """A draft is new, nobody else's to read, and says from the beginning what it is."""
        self.made(b"header")
        self.assertEqual(self.draft.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.draft.read_bytes(), b"header")
        self.assertRaises(FileExistsError, creator_of(b""), self.draft)

    def test_create_in_vain(self) -> None:
        """A draft whose header cannot be written is not left open, nor where it was."""
        before = os.listdir("/proc/self/fd")
        with self.assertRaises(TypeError):
            creator_of(cast("bytes", "no octets"))(self.draft)
        self.assertEqual(os.listdir("/proc/self/fd"), before)
        self.assertFalse(self.draft.exists())

    def test_publish(self) -> None:
        """The header goes in front of the body before the file gets its name, in a new folder."""
        entry = self.folder / "aa" / "bb" / "entry"
        descriptor = self.made()
        os.pwrite(descriptor, b"body", 6)
        seen: list[tuple[str, bytes, bool]] = []

        def reached(step: str) -> None:
            seen.append((step, os.pread(descriptor, 6, 0), entry.exists()))

        publish(descriptor, b"header", self.draft, entry, reached, None)
        self.assertEqual(
            seen,
            [
                ("before-header", bytes(6), False),
                ("after-header", b"header", False),
                ("before-rename", b"header", False),
                ("after-rename", b"header", True),
            ],
        )
        self.assertEqual(entry.read_bytes(), b"headerbody")
        self.assertFalse(self.draft.exists())

    def test_write_all(self) -> None:
        """All of it is written where it belongs, and nothing else is touched."""
        descriptor = self.made()
        write_all(descriptor, b"xxxxxxxx", 0)
        write_all(descriptor, memoryview(b"abc"), 2)
        self.assertEqual(self.draft.read_bytes(), b"xxabcxxx")

    def test_opener(self) -> None:
        """A file of another size is not opened, nor is what a symbolic link leads to."""
        self.draft.write_bytes(b"abc")
        descriptor = opener_of(3)(self.draft)
        self.assertEqual(os.pread(descriptor, 9, 0), b"abc")
        os.close(descriptor)
        with self.assertRaises(OSError) as raised:
            opener_of(4)(self.draft)
        self.assertEqual(raised.exception.errno, errno.EIO)
        link = self.folder / "link"
        link.symlink_to(self.draft.resolve())
        self.assertRaises(OSError, opener_of(3), link)

    def test_no_trace(self) -> None:
        """That a file is read changes nothing on the disk, neither by its writer nor by others."""
        writing = self.made(b"head")
        reading = opener_of(4)(self.draft)
        self.addCleanup(os.close, reading)
        for descriptor in (writing, reading):
            self.assertTrue(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_NOATIME)

    def test_opener_of_what_is_no_file(self) -> None:
        """A pipe or a folder that lies in the place of a file is neither opened nor waited for."""
        os.mkfifo(self.draft)
        self.assertRaises(OSError, opener_of(0), self.draft)
        self.assertRaises(OSError, opener_of(0, writing=True), self.draft)
        self.draft.unlink()
        self.draft.mkdir()
        self.assertRaises(OSError, opener_of(self.draft.stat().st_size), self.draft)

    def test_opener_for_writing(self) -> None:
        """A file that is to grow on can be written to."""
        self.draft.write_bytes(b"abc")
        descriptor = opener_of(3, writing=True)(self.draft)
        os.pwrite(descriptor, b"d", 3)
        os.close(descriptor)
        self.assertEqual(self.draft.read_bytes(), b"abcd")
        self.assertRaises(OSError, opener_of(3, writing=True), self.draft)

    def test_remove(self) -> None:
        """A removed file is closed and gone; one that is gone already is no trouble."""
        descriptor = creator_of(b"")(self.draft)
        remove(descriptor, self.draft)
        self.assertRaises(OSError, os.fstat, descriptor)
        self.assertFalse(self.draft.exists())
        remove(None, self.draft)
