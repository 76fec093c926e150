"""Tests of `osproxy.store.pagecache`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.pagecache import cached


class CachedTests(SynchronousTestCase):
    """Whether an octet is in memory."""

    def test_read_before(self) -> None:
        """What was just read is."""
        path = Path(self.mktemp())
        path.write_bytes(bytes(10_000))
        with path.open("rb") as file:
            os.pread(file.fileno(), 10_000, 0)
            self.assertTrue(cached(file.fileno(), 0))
            self.assertTrue(cached(file.fileno(), 9_999))

    def test_nothing_to_wait_for(self) -> None:
        """Beyond the end, and in file systems that are in memory, nothing is waited for."""
        path = Path(self.mktemp())
        path.touch()
        for place in (path, Path("/proc/self/status")):
            with place.open("rb") as file:
                self.assertTrue(cached(file.fileno(), 0))

    def test_trouble(self) -> None:
        """What cannot be read at all is said."""
        descriptor = os.open(self.mktemp(), os.O_WRONLY | os.O_CREAT)
        try:
            self.assertRaises(OSError, cached, descriptor, 0)
        finally:
            os.close(descriptor)
