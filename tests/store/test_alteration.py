"""Tests of `osproxy.store.alteration`."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.alteration import condition_of, digest_of, mark, see_unaltered
from tests.store.doubles import sha256

SECOND = 10**9


class AlterationTests(SynchronousTestCase):
    """What others have changed is told from what is as it was."""

    def setUp(self) -> None:
        """Have a file that is marked."""
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"headerbody")
        self.descriptor = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, self.descriptor)
        os.utime(self.path, ns=(5, 1_000 * SECOND + 123_456_789))
        mark(self.descriptor)

    def see(self, body: bytes = b"body") -> None:
        """Look at the file, which is to have this body."""
        see_unaltered(self.descriptor, 6, 10, sha256(body))

    def test_unaltered(self) -> None:
        """What is marked is not read, and its time is the second in which it was written."""
        self.assertEqual(self.path.stat().st_mtime_ns, 1_000 * SECOND)
        self.see(b"not this")

    def test_altered(self) -> None:
        """What was written to is found out, however often it is looked at."""
        with self.path.open("r+b") as file:
            file.seek(6)
            file.write(b"B")
        for _ in range(2):
            error = self.assertRaises(OSError, self.see)
            self.assertEqual(error.errno, errno.EIO)

    def test_touched(self) -> None:
        """What has another time and the same content is read once."""
        os.utime(self.path, ns=(5, 2_000 * SECOND + 1))
        self.see()
        self.assertEqual(self.path.stat().st_mtime_ns, 2_000 * SECOND)

    def test_read_only(self) -> None:
        """Where the time cannot be set the content counts; other trouble with the disk is told."""
        trouble = 0

        def utime(*_: Any, **__: Any) -> None:
            raise OSError(trouble, "no")

        os.utime(self.path, ns=(5, 2_000 * SECOND + 1))
        self.patch(os, "utime", utime)
        for trouble in (errno.EROFS, errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EDQUOT):  # noqa: B007
            self.see()
        trouble = errno.EIO
        self.assertRaises(OSError, self.see)

    def test_condition(self) -> None:
        """An open file is in the same condition until something is done to it."""
        before = condition_of(self.descriptor)
        self.assertIsNotNone(before)
        self.path.read_bytes()
        self.assertEqual(condition_of(self.descriptor), before)
        os.link(self.path, self.path.with_name("further"))
        self.assertNotEqual(condition_of(self.descriptor), before)

    def test_no_condition(self) -> None:
        """What is not marked is in none, nor is what bears a time of whole seconds."""
        found = os.fstat(self.descriptor)
        seconds = SimpleNamespace(
            st_size=found.st_size,
            st_nlink=found.st_nlink,
            st_mtime_ns=found.st_mtime_ns,
            st_ctime_ns=found.st_ctime_ns // SECOND * SECOND,
        )
        self.patch(os, "fstat", lambda descriptor: seconds)
        self.assertIsNone(condition_of(self.descriptor))
        seconds.st_ctime_ns += 1
        self.assertIsNotNone(condition_of(self.descriptor))
        seconds.st_mtime_ns += 1
        self.assertIsNone(condition_of(self.descriptor))


class DigestTests(SynchronousTestCase):
    """Tests of `digest_of`."""

    def test_part(self) -> None:
        """Only the part counts; a file that ends before has the digest of what is there."""
        path = Path(self.mktemp())
        path.write_bytes(b"headerbody" + b"x" * (3 << 20))
        descriptor = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        self.assertEqual(digest_of(descriptor, 6, 10), sha256(b"body"))
        whole = path.read_bytes()
        self.assertEqual(digest_of(descriptor, 0, len(whole)), sha256(whole))
        self.assertEqual(digest_of(descriptor, 0, len(whole) + 9), sha256(whole))
