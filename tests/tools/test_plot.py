"""Tests of `osproxy.tools.plot`."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.tools.plot import NoPlot, check, draw
from osproxy.tools.replay import Tally
from osproxy.tools.report import Row

PNG = b"\x89PNG\r\n\x1a\n"


class PlotTests(SynchronousTestCase):
    """Tests of `draw` and `check`."""

    def test_draws(self) -> None:
        """A picture is a PNG, whatever its file is called; another trace gives another picture."""
        pictures = set()
        for missed in (1, 5):
            path = Path(self.mktemp())
            tally = Tally(10, 1000, missed, 100 * missed)
            rows = [
                Row(policy, shown, [size, size], [tally, tally])
                for policy in ("clock", "lru")
                for shown, size in (("1%", 2**30), ("64%", 2**36))
            ]
            draw(rows, path, "a house")
            content = path.read_bytes()
            self.assertTrue(content.startswith(PNG))
            self.assertGreater(len(content), 10_000)
            pictures.add(content)
        self.assertEqual(len(pictures), 2)

    def test_one_size(self) -> None:
        """One size is enough, and nothing missed is no trouble."""
        path = Path(self.mktemp())
        draw([Row("lru", "1%", [4096], [Tally(1, 0)])], path, "little")
        self.assertTrue(path.read_bytes().startswith(PNG))

    def test_without_matplotlib(self) -> None:
        """Where there is nothing to draw with, what to install is said."""
        check()
        known = {name: module for name, module in sys.modules.items() if "matplotlib" in name}
        self.addCleanup(sys.modules.update, known)
        for name in known:
            del sys.modules[name]
        # To Python, this is a module that is not there.
        sys.modules["matplotlib"] = None  # type: ignore[assignment]
        self.assertIn("osproxy[plot]", str(self.assertRaises(NoPlot, check)))
