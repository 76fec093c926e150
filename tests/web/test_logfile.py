"""Tests of `osproxy.web.logfile`."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from osproxy.web.logfile import LogFile, open_file

if TYPE_CHECKING:
    from collections.abc import Sequence

LINES = [b"%04d " % number + b"x" * 994 + b"\n" for number in range(1000)]


class FileTests(SynchronousTestCase):
    """Lines are added to a file."""

    def setUp(self) -> None:
        """Name one."""
        self.path = Path(self.mktemp())

    def opened(self) -> LogFile:
        """Open it."""
        file = open_file(str(self.path), 1)
        self.addCleanup(file.close)
        return file

    def test_file(self) -> None:
        """A file is appended to, at once."""
        self.path.write_text("before\n")
        self.assertEqual(self.opened().write([b"after\n", b"and after\n"]), 2)
        self.assertEqual(self.path.read_text(), "before\nafter\nand after\n")

    def test_many(self) -> None:
        """However many lines there are, a disk takes them all."""
        self.assertEqual(self.opened().write(LINES), len(LINES))
        self.assertEqual(self.path.read_bytes(), b"".join(LINES))

    def test_missing(self) -> None:
        """What cannot be had is an error."""
        self.assertRaises(OSError, open_file, "/proc/missing/log", 1)

    def test_closed(self) -> None:
        """So is a standard stream that somebody has closed."""
        reading, writing = os.pipe()
        os.close(reading)
        os.close(writing)
        self.assertRaises(OSError, open_file, "-", writing)

    def test_full(self) -> None:
        """A full disk is an error."""
        self.path.symlink_to("/dev/full")
        self.assertRaises(OSError, self.opened().write, [b"x\n"])

    def test_torn_before(self) -> None:
        """After a line that a crash or a full disk has torn, the first begins on its own."""
        for before, expected in (
            (b"", b"one\ntwo\n"),
            (b"whole\n", b"whole\none\ntwo\n"),
            (b"whole\nto", b"whole\nto\none\ntwo\n"),
        ):
            self.path.write_bytes(before)
            file = self.opened()
            file.write([b"one\n"])
            file.write([b"two\n"])
            self.assertEqual(self.path.read_bytes(), expected)


class FullTests(SynchronousTestCase):
    """A disk that takes so many octets, and then is full."""

    def setUp(self) -> None:
        """Have one."""
        self.octets = bytearray()
        self.room = 0

    def fileno(self) -> int:
        """Have no descriptor."""
        return -1

    def put(self, pieces: Sequence[bytes]) -> int:
        """Take what there is room for."""
        taken = b"".join(pieces)[: self.room]
        if not taken:
            raise OSError(28, "full")
        self.octets += taken
        self.room -= len(taken)
        return len(taken)

    def close(self) -> None:
        """Keep nothing open."""

    def test_part(self) -> None:
        """Lines that were written before it was full count; the trouble is told the next time."""
        file = LogFile(self)
        self.room = 6
        lines = [b"one\n", b"two\n", b"three\n"]
        self.assertEqual(file.write(lines), 1)
        self.assertRaises(OSError, file.write, lines[1:])
        self.room = 100
        self.assertEqual(file.write([b"four\n"]), 1)
        self.assertEqual(bytes(self.octets), b"one\ntw\nfour\n")


class PipeTests(SynchronousTestCase):
    """Nobody waits for who reads a pipe."""

    def read_all(self, reading: int) -> bytes:
        """Read what is there."""
        os.set_blocking(reading, False)
        got = b""
        try:
            while more := os.read(reading, 1 << 16):
                got += more
        except BlockingIOError:
            pass
        return got

    def fill(self, file: LogFile, reading: int) -> None:
        """Write until nothing is taken, and the rest as it is read: no line is lost or torn."""
        taken = file.write(LINES)
        self.assertTrue(0 < taken < len(LINES))
        self.assertEqual(file.write(LINES[taken:]), 0)
        got = self.read_all(reading)
        while taken < len(LINES):
            taken += file.write(LINES[taken:])
            got += self.read_all(reading)
        self.assertEqual(got.splitlines(keepends=True), LINES)

    def fill_and_lose(self, file: LogFile, reading: int) -> None:
        """Write until nothing is taken, lose the rest: the next line is on a line of its own."""
        taken = file.write(LINES)
        self.read_all(reading)
        self.assertEqual(file.write([b"next\n"]), 1)
        self.assertEqual(self.read_all(reading)[-6:], b"\nnext\n")
        self.assertLess(taken, len(LINES))

    def named(self) -> tuple[str, int]:
        """Make a pipe in the file system, with somebody at its other end."""
        path = self.mktemp()
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reading)
        return path, reading

    def pipe(self) -> tuple[int, int]:
        """Make a pipe as a shell does; whoever else has it waits."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        return reading, writing

    def test_named(self) -> None:
        """It may be one in the file system."""
        path, reading = self.named()
        for check in (self.fill, self.fill_and_lose):
            file = open_file(path, 1)
            check(file, reading)
            file.close()

    def test_nobody(self) -> None:
        """One that nobody reads cannot be had, and that takes no time."""
        path = self.mktemp()
        os.mkfifo(path)
        self.assertRaises(OSError, open_file, path, 1)

    def test_left(self) -> None:
        """Once nobody reads it any more, that is an error."""
        path = self.mktemp()
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        file = open_file(path, 1)
        self.addCleanup(file.close)
        os.close(reading)
        self.assertRaises(BrokenPipeError, file.write, LINES)

    def test_stream(self) -> None:
        """It may be a standard stream; who else has that waits as before."""
        reading, writing = self.pipe()
        for check in (self.fill, self.fill_and_lose):
            file = open_file("-", writing)
            check(file, reading)
            file.close()
        self.assertTrue(os.get_blocking(writing))

    def test_of_another_user(self) -> None:
        """Where the stream cannot be opened once more, it is looked at before it is written to."""
        reading, writing = self.pipe()
        os.fchmod(writing, 0)
        if os.geteuid() == 0:
            os.seteuid(65534)
            self.addCleanup(os.seteuid, 0)
        for check in (self.fill, self.fill_and_lose):
            file = open_file("-", writing)
            check(file, reading)
            file.close()

    def test_stream_left(self) -> None:
        """A standard stream that nobody reads any more is an error as well."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, writing)
        os.close(reading)
        self.assertRaises(BrokenPipeError, open_file("-", writing).write, LINES)

    def test_stream_file(self) -> None:
        """A standard stream that is a file is written where others have left off."""
        path = Path(self.mktemp())
        with path.open("wb", buffering=0) as stream:
            stream.write(b"here\n")
            file = open_file("-", stream.fileno())
            self.assertEqual(file.write(LINES), len(LINES))
            file.close()
            stream.write(b"there\n")
        self.assertEqual(path.read_bytes(), b"here\n" + b"".join(LINES) + b"there\n")

    def test_open_for_others(self) -> None:
        """A standard stream stays open."""
        reading, writing = self.pipe()
        file = open_file("-", writing)
        file.write([b"here\n"])
        file.close()
        os.write(writing, b"there\n")
        self.assertEqual(self.read_all(reading), b"here\nthere\n")

    def test_replaced(self) -> None:
        """What becomes of a standard stream later counts, as of a daemon's."""
        reading, writing = self.pipe()
        others, other = self.pipe()
        file = open_file("-", writing)
        self.addCleanup(file.close)
        file.write([b"here\n"])
        os.dup2(other, writing)
        file.write([b"there\n"])
        self.assertEqual(os.read(reading, 100), b"here\n")
        self.assertEqual(os.read(reading, 100), b"", "nobody writes to it any more")
        self.assertEqual(os.read(others, 100), b"there\n")

    def test_socket(self) -> None:
        """A standard stream may be a socket, as the journal's is."""
        for check in (self.fill, self.fill_and_lose):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                file = open_file("-", ours.fileno())
                check(file, theirs.fileno())
                file.close()
                self.assertTrue(os.get_blocking(ours.fileno()))

    def test_terminal(self) -> None:
        """It may be a terminal, whose user may have stopped it."""
        reading, writing = os.openpty()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        file = open_file("-", writing)
        self.assertLess(file.write(LINES), len(LINES))
        self.assertIn(LINES[0].rstrip(), self.read_all(reading))
