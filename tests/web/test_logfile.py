"""Tests of `osproxy.web.logfile`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.web.logfile import open_file


class LogFileTests(SynchronousTestCase):
    """Tests of `open_file` and of what it opens."""

    def test_file(self) -> None:
        """A file is appended to, at once."""
        path = Path(self.mktemp())
        path.write_text("before\n")
        file = open_file(str(path), 1)
        file.write(b"after\n")
        self.assertEqual(path.read_text(), "before\nafter\n")
        file.close()
        self.assertRaises(ValueError, file.write, b"x\n")

    def test_missing(self) -> None:
        """What cannot be had is an error."""
        self.assertRaises(OSError, open_file, "/proc/missing/log", 1)

    def test_stream(self) -> None:
        """A dash is a stream of the process, which stays open for others."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        file = open_file("-", writing)
        file.write(b"here\n")
        file.close()
        os.write(writing, b"there\n")
        os.close(writing)
        self.assertEqual(os.read(reading, 100), b"here\nthere\n")

    def test_full(self) -> None:
        """A full disk is an error."""
        file = open_file("/dev/full", 1)
        self.addCleanup(file.close)
        self.assertRaises(OSError, file.write, b"x\n")

    def test_torn(self) -> None:
        """After a line that was written in part, the next one begins on a line of its own."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        os.set_blocking(writing, False)
        self.addCleanup(os.close, writing)
        file = open_file("-", writing)
        self.assertRaises(BlockingIOError, file.write, b"x" * (1 << 20) + b"\n")
        os.read(reading, 1 << 20)
        file.write(b"one\n")
        file.write(b"two\n")
        self.assertEqual(os.read(reading, 100), b"\none\ntwo\n")
