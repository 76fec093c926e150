"""Tests of `osproxy.store.pagecache`."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.pagecache import cached, leave_no_trace, read_cached


class ReadTests(SynchronousTestCase):
    """What is read without waiting."""

    def test_in_memory(self) -> None:
        """What was just written is read, as far as the file goes."""
        path = Path(self.mktemp())
        path.write_bytes(b"0123456789")
        with path.open("rb") as file:
            self.assertEqual(read_cached(file.fileno(), 2, 3), b"234")
            self.assertEqual(read_cached(file.fileno(), 8, 3), b"89")
            self.assertEqual(read_cached(file.fileno(), 10, 3), b"")

    def test_not_in_memory(self) -> None:
        """Where the kernel would wait, or cannot tell, it is nothing."""
        trouble = 0

        def preadv(*_: object) -> int:
            raise OSError(trouble, "no")

        self.patch(os, "preadv", preadv)
        for trouble in (errno.EAGAIN, errno.EOPNOTSUPP):  # noqa: B007
            self.assertEqual(read_cached(0, 0, 1), b"")
        trouble = errno.EIO
        self.assertRaises(OSError, read_cached, 0, 0, 1)


class CachedTests(SynchronousTestCase):
    """Whether an octet is in memory."""

    def test_read_before(self) -> None:
        """What was just read is."""
        path = Path(self.mktemp())
        path.write_bytes(bytes(10_000))
        with path.open("rb") as file:
            os.pread(file.fileno(), 10_000, 0)
            self.assertTrue(cached(file.fileno(), 0, unknown=False))
            self.assertTrue(cached(file.fileno(), 9_999, unknown=False))

    def test_nothing_to_wait_for(self) -> None:
        """Beyond the end nothing is waited for."""
        path = Path(self.mktemp())
        path.touch()
        with path.open("rb") as file:
            self.assertTrue(cached(file.fileno(), 0, unknown=False))

    def test_unknown(self) -> None:
        """Where the file system cannot tell, it is what whoever asks makes of that."""
        with Path("/proc/self/status").open("rb") as file:
            for unknown in (False, True):
                self.assertIs(cached(file.fileno(), 0, unknown=unknown), unknown)

    def test_trouble(self) -> None:
        """What cannot be read at all is said."""
        descriptor = os.open(self.mktemp(), os.O_WRONLY | os.O_CREAT)
        try:
            self.assertRaises(OSError, cached, descriptor, 0, unknown=True)
        finally:
            os.close(descriptor)


class TraceTests(SynchronousTestCase):
    """Files of which the kernel does not write down when they are read."""

    def test_set(self) -> None:
        """What was opened in some way stays so beside that."""
        path = Path(self.mktemp())
        path.touch()
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, descriptor)
        before = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        leave_no_trace(descriptor)
        self.assertEqual(fcntl.fcntl(descriptor, fcntl.F_GETFL), before | os.O_NOATIME)

    def test_of_somebody_else(self) -> None:
        """What belongs to another user is read all the same."""

        def refuse(*_: object) -> int:
            raise PermissionError(errno.EPERM, "no")

        self.patch(fcntl, "fcntl", refuse)
        leave_no_trace(0)
