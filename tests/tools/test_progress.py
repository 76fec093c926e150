"""Tests of `osproxy.tools.progress`."""

from __future__ import annotations

import io

from twisted.trial.unittest import SynchronousTestCase

from osproxy.tools.progress import Progress


class Terminal(io.StringIO):
    """Somewhere to draw."""

    def isatty(self) -> bool:
        """Say that this is a terminal."""
        return True


class ProgressTests(SynchronousTestCase):
    """Tests of `Progress`."""

    def test_terminal(self) -> None:
        """The bar grows with what is done, is drawn anew where that shows, and goes in the end."""
        terminal = Terminal()
        with Progress(terminal, "lru", 1000) as progress:
            for _ in range(500):
                progress.advance(1)
        shown = terminal.getvalue().split("\r\x1b[K")
        self.assertEqual(len(shown), 53)
        self.assertEqual(shown[1], f"[{'.' * 30}]   0 % lru")
        self.assertEqual(shown[51], f"[{'#' * 15}{'.' * 15}]  50 % lru")
        self.assertEqual((shown[0], shown[52]), ("", ""))

    def test_too_much(self) -> None:
        """More than there was to do is all of it; where nothing is known, nothing is claimed."""
        for total, shown in ((10, "100 % x"), (0, "  0 % x")):
            terminal = Terminal()
            with Progress(terminal, "x", total) as progress:
                progress.advance(99)
                self.assertTrue(terminal.getvalue().endswith(shown))

    def test_failure(self) -> None:
        """The bar goes when what it was for fails, or is interrupted."""
        terminal = Terminal()
        with self.assertRaises(KeyboardInterrupt), Progress(terminal, "x", 1):
            raise KeyboardInterrupt
        self.assertTrue(terminal.getvalue().endswith("\r\x1b[K"))

    def test_no_terminal(self) -> None:
        """In a file or a pipe there is no bar."""
        stream = io.StringIO()
        with Progress(stream, "x", 2) as progress:
            progress.advance(1)
        self.assertEqual(stream.getvalue(), "")
