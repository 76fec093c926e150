"""Tests of `osproxy.store.openfiles`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.openfiles import OpenFiles


class File:
    """A file that counts how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def let_go(self) -> None:
        """Count."""
        self.closed += 1


class OpenFilesTests(SynchronousTestCase):
    """Which files stay open."""

    def setUp(self) -> None:
        """Have three files, and room for two."""
        self.files = [File() for _ in range(3)]
        self.open = OpenFiles(2)

    def closed(self) -> list[int]:
        """How often each file was closed."""
        return [file.closed for file in self.files]

    def test_last_used(self) -> None:
        """One too many closes the one whose last use is the longest ago."""
        first, second, third = self.files
        for file in (first, second, first, third):
            self.open.keep(file)
        self.assertEqual(self.closed(), [0, 1, 0])
        self.assertEqual([file in self.open for file in self.files], [True, False, True])
        self.assertEqual(len(self.open), 2)

    def test_forget(self) -> None:
        """What was left to others is not closed, and was there once."""
        first, *_ = self.files
        self.open.keep(first)
        self.assertTrue(self.open.forget(first))
        self.assertFalse(self.open.forget(first))
        self.open.close()
        self.assertEqual(self.closed(), [0, 0, 0])

    def test_close(self) -> None:
        """At the end all are closed, and so is what comes later."""
        first, second, third = self.files
        self.open.keep(first)
        self.open.keep(second)
        self.open.close()
        self.open.keep(third)
        self.assertEqual(self.closed(), [1, 1, 1])
        self.assertEqual(len(self.open), 0)

    def test_none(self) -> None:
        """Where none may stay open, each is closed at once."""
        none = OpenFiles()
        for file in self.files:
            none.keep(file)
        self.assertEqual(self.closed(), [1, 1, 1])
