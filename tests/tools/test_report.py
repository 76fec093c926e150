"""Tests of `osproxy.tools.report`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.tools.replay import Tally
from osproxy.tools.report import Row, table

GIB = 2**30


class TableTests(SynchronousTestCase):
    """Tests of `table`."""

    def test_one_trace(self) -> None:
        """A row has size, policy, misses of both kinds, and what is to be fetched."""
        rows = [
            Row("clock", "64GiB", [64 * GIB], [Tally(1000, 100 * GIB, 250, 30 * GIB)]),
            Row("belady", "1%", [GIB // 2], [Tally(1000, 100 * GIB, 1000, 100 * GIB)]),
        ]
        self.assertEqual(
            table(rows),
            "    size      policy  object misses  byte misses   fetched\n"
            "--------  --  ------  -------------  -----------  --------\n"
            "64.0 GiB      clock        25.000 %     30.000 %  30.0 GiB\n"
            " 512 MiB  1%  belady      100.000 %    100.000 %   100 GiB\n",
        )

    def test_several(self) -> None:
        """Several traces give means with their standard deviations."""
        tallies = [Tally(10, 1000, missed, missed * 100) for missed in (1, 2, 3)]
        row = Row("lru", "16%", [1000, 2000, 3000], tallies)
        self.assertEqual(
            table([row]).splitlines()[2],
            "2.0 KiB  16%  lru     20.000 % ± 10.000  20.000 % ± 10.000    200 B",
        )
        figure = row.figure(Tally.object_misses)
        self.assertAlmostEqual(figure.mean, 0.2)
        self.assertAlmostEqual(figure.spread, 0.1)
