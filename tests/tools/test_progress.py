"""Tests of `osproxy.tools.progress`."""

from __future__ import annotations

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.tools.progress import Counting, Progress, bar_text, state_text

GIB = 1 << 30
octets = st.integers(0, 1 << 60)


class TextTests(SynchronousTestCase):
    """What is written beside a bar, and the bar."""

    def test_states(self) -> None:
        """How far, how fast, how much longer, as far as that can be said."""
        for done, of, took, text in (
            (0, GIB, 0, "  0 %  0 B of 1.0 GiB"),
            (GIB // 4, GIB, 2, " 25 %  256 MiB of 1.0 GiB  128 MiB/s  0:06 left"),
            (GIB, GIB, 8, "100 %  1.0 GiB of 1.0 GiB  128 MiB/s  0:00 left"),
            (0, 0, 1, "100 %  0 B of 0 B"),
        ):
            self.assertEqual(state_text(done, of, took), text)

    def test_bars(self) -> None:
        """A bar fills up from the left."""
        for done, of, full in ((0, 9, 0), (3, 9, 8), (9, 9, 24), (0, 0, 24)):
            self.assertEqual(bar_text(done, of), f"[{'#' * full}{' ' * (24 - full)}]")

    @given(octets, octets, st.floats(0, 1e9))
    def test_any(self, done: int, more: int, took: float) -> None:
        """Whatever the numbers, it is one line with a bar of one width."""
        self.assertEqual(len(bar_text(done, done + more)), 26)
        self.assertEqual(len(state_text(done, done + more, took).splitlines()), 1)


class Terminal(StringIO):
    """Somewhere to draw."""

    def isatty(self) -> bool:
        """Say that this is a terminal."""
        return True


class ProgressTests(SynchronousTestCase):
    """What is shown, and when."""

    def progress(self, *, terminal: bool) -> Progress:
        """Begin."""
        self.clock, self.out = Clock(), Terminal() if terminal else StringIO()
        return Progress(self.out, self.clock.seconds)

    def test_terminal(self) -> None:
        """A bar is drawn over itself, a few times a second, and at the end in any case."""
        progress = self.progress(terminal=True)
        for done in range(101):
            progress.show(done, 100)
            self.clock.advance(0.01)
        drawn = self.out.getvalue().split("\r\x1b[K")
        self.assertEqual(drawn[0], "")
        shares = [int(text.partition("]")[2].partition("%")[0]) for text in drawn[1:]]
        self.assertEqual(shares, sorted(shares))
        self.assertEqual((shares[0], shares[-1]), (0, 100))
        self.assertTrue(8 <= len(shares) <= 13, shares)
        self.assertNotIn("\n", self.out.getvalue())

    def test_cleared(self) -> None:
        """A line of text takes the bar's place; the bar comes back at once."""
        progress = self.progress(terminal=True)
        progress.clear()
        self.assertEqual(self.out.getvalue(), "")
        progress.show(1, 2)
        progress.clear()
        progress.clear()
        progress.show(1, 2)
        self.assertEqual(self.out.getvalue().count("\r\x1b[K"), 3)
        self.assertEqual(self.out.getvalue().count("#]") + self.out.getvalue().count(" ]"), 2)

    def test_elsewhere(self) -> None:
        """Where there is no terminal, a line is written for each tenth."""
        progress = self.progress(terminal=False)
        for done in range(101):
            progress.show(done, 100)
            progress.clear()
            self.clock.advance(1)
        lines = self.out.getvalue().splitlines()
        self.assertEqual(len(lines), 10)
        self.assertEqual(lines[0], "10 %  10 B of 100 B  1 B/s  1:30 left")
        self.assertNotIn("\x1b", self.out.getvalue())

    def test_nothing_to_do(self) -> None:
        """Where there is nothing to do, all of it is done."""
        progress = self.progress(terminal=False)
        progress.show(0, 0)
        progress.show(0, 0)
        self.assertEqual(self.out.getvalue(), "100 %  0 B of 0 B\n")


class CountingTests(SynchronousTestCase):
    """What is counted, on a terminal."""

    def test_terminal(self) -> None:
        """The bar grows with what is done, is drawn anew where that shows, and goes in the end."""
        terminal = Terminal()
        with Counting(terminal, "lru", 1000) as progress:
            for _ in range(500):
                progress.advance(1)
        shown = terminal.getvalue().split("\r\x1b[K")
        self.assertEqual(len(shown), 53)
        self.assertEqual(shown[1], f"[{' ' * 24}]   0 % lru")
        self.assertEqual(shown[51], f"[{'#' * 12}{' ' * 12}]  50 % lru")
        self.assertEqual((shown[0], shown[52]), ("", ""))

    def test_too_much(self) -> None:
        """More than there was to do is all of it; where nothing is known, nothing is claimed."""
        for total, shown in ((10, "100 % x"), (0, "  0 % x")):
            terminal = Terminal()
            with Counting(terminal, "x", total) as progress:
                progress.advance(99)
                self.assertTrue(terminal.getvalue().endswith(shown))

    def test_failure(self) -> None:
        """The bar goes when what it was for fails, or is interrupted."""
        terminal = Terminal()
        with self.assertRaises(KeyboardInterrupt), Counting(terminal, "x", 1):
            raise KeyboardInterrupt
        self.assertTrue(terminal.getvalue().endswith("\r\x1b[K"))

    def test_no_terminal(self) -> None:
        """In a file or a pipe there is no bar."""
        stream = StringIO()
        with Counting(stream, "x", 2) as progress:
            progress.advance(1)
        self.assertEqual(stream.getvalue(), "")
