"""Tests of `osproxy.store.gdsf`; any sequence of steps is in `tests.store.test_eviction`."""

from __future__ import annotations

from itertools import islice

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.gdsf import MOST, Gdsf


class GdsfTests(SynchronousTestCase):
    """The order of files."""

    def setUp(self) -> None:
        """Have no files."""
        self.gdsf = Gdsf()

    def next(self) -> int:
        """Evict one."""
        (named,) = islice(self.gdsf.victims(), 1)
        self.gdsf.remove(named)
        return named

    def test_size_and_hits(self) -> None:
        """Large files go first, but hits make up for size: twice as many for about eight times."""
        for key, octets, hits in ((1, 1000, 0), (2, 7000, 0), (3, 7000, 1), (4, 8000, 1)):
            self.gdsf.insert(key, octets)
            for _ in range(hits):
                self.gdsf.hit(key)
        self.assertEqual([self.next() for _ in range(4)], [2, 4, 1, 3])

    def test_ages(self) -> None:
        """What was hot once goes when others have come and gone for long enough."""
        self.gdsf.insert(0, 1000)
        for _ in range(100):
            self.gdsf.hit(0)
        self.assertEqual(self.gdsf.hotness(0), MOST)
        gone = []
        for key in range(1, 12):
            self.gdsf.insert(key, 1000)
            gone.append(self.next())
        self.assertIn(gone.index(0), range(MOST - 2, MOST + 1))

    def test_replaced(self) -> None:
        """What is removed and not evicted leaves nothing behind, however often that happens."""
        for key in range(10_000):
            self.gdsf.insert(key, 1000)
            self.gdsf.remove(key)
        self.assertLess(len(self.gdsf._heap), 200)
        self.gdsf.insert(10_000, 1000)
        self.assertEqual(list(self.gdsf.victims()), [10_000])
