"""Tests of `osproxy.tools.amounts`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.tools.amounts import count_text, size_text, time_text

GIB = 2**30


class TextTests(SynchronousTestCase):
    """Numbers as people read them."""

    def test_sizes(self) -> None:
        """Octets are written with three digits or so, and their unit."""
        for octets, text in (
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KiB"),
            (16 * GIB, "16.0 GiB"),
            (337.4 * GIB, "337 GiB"),
            (1023 * GIB, "1.0 TiB"),
            (2.0**70, "1024 EiB"),
        ):
            self.assertEqual(size_text(octets), text)

    def test_times(self) -> None:
        """A time has hours where there are any."""
        for seconds, text in ((0, "0:00"), (65.9, "1:05"), (3599, "59:59"), (36_061, "10:01:01")):
            self.assertEqual(time_text(seconds), text)

    def test_counts(self) -> None:
        """One is not several, and neither is none."""
        self.assertEqual(
            [count_text(count, "entry", "entries") for count in (0, 1, 2)],
            ["0 entries", "1 entry", "2 entries"],
        )
