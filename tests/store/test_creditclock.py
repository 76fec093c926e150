"""Tests of `osproxy.store.creditclock`; any sequence of steps is in `tests.store.test_eviction`."""

from __future__ import annotations

from itertools import islice

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.creditclock import HIT, MOST, CreditClock, credit

LARGE = 20_000_000
SMALL = 1_000_000


class CreditTests(SynchronousTestCase):
    """Tests of `credit`."""

    def test_table(self) -> None:
        """A quarter of the size is worth one round more."""
        for octets, rounds in (
            (2**62, 0),
            (16_000_001, 0),
            (16_000_000, 0),
            (4_000_001, 0),
            (4_000_000, 1),
            (1_000_001, 1),
            (1_000_000, 2),
            (60_000, 4),
            (977, 6),
            (976, 7),
            (1, 7),
            (0, 7),
        ):
            self.assertEqual(credit(octets), rounds, octets)


class CreditClockTests(SynchronousTestCase):
    """The order of files."""

    def setUp(self) -> None:
        """Have no files."""
        self.clock = CreditClock()

    def next(self, count: int = 1) -> list[int]:
        """Evict so many."""
        named = list(islice(self.clock.victims(), count))
        for key in named:
            self.clock.remove(key)
        return named

    def test_large_before_small(self) -> None:
        """Of files that nobody asked for again, large ones go first, then the older."""
        for key, octets in ((1, SMALL), (2, LARGE), (3, SMALL), (4, LARGE)):
            self.clock.insert(key, octets)
        self.assertEqual(self.next(4), [2, 4, 1, 3])

    def test_stays_a_round(self) -> None:
        """A new file, however large, outlasts those whose turn it is."""
        for key in (1, 2):
            self.clock.insert(key, LARGE)
        self.assertEqual(self.next(), [1])
        self.clock.insert(3, LARGE)
        self.assertEqual(self.next(2), [2, 3])

    def test_credit_runs_out(self) -> None:
        """A small file that nobody asks for outlasts two rounds of large ones, and no more."""
        self.clock.insert(1, SMALL)
        gone = []
        for key in range(2, 8):
            self.clock.insert(key, LARGE)
            gone += self.next()
        self.assertEqual(gone, [2, 3, 1, 4, 5, 6])

    def test_hits(self) -> None:
        """A hit keeps a file for some rounds; many keep it for hardly more."""
        for key, hits in ((1, 0), (2, 1), (3, 5), (4, 50)):
            self.clock.insert(key, LARGE)
            for _ in range(hits):
                self.clock.hit(key)
        self.assertEqual([self.clock.hotness(key) for key in (1, 2, 3, 4)], [0, HIT, MOST, MOST])
        self.assertEqual(self.next(4), [1, 2, 3, 4])

    def test_hit_after_naming(self) -> None:
        """Who is used after all is not named again."""
        for key in (1, 2):
            self.clock.insert(key, LARGE)
        self.assertEqual(list(islice(self.clock.victims(), 1)), [1])
        self.assertEqual(list(islice(self.clock.victims(), 1)), [1])
        self.clock.hit(1)
        self.assertEqual(self.next(2), [2, 1])
