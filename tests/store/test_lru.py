"""Tests of `osproxy.store.lru`; any sequence of steps is in `tests.store.test_eviction`."""

from __future__ import annotations

from itertools import islice

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.lru import Lru


class LruTests(SynchronousTestCase):
    """The order of files."""

    def test_order(self) -> None:
        """The least recently used is the first, new files and restored ones being used last."""
        lru = Lru()
        lru.restore(1, 10**9, 7)
        lru.insert(2, 1)
        lru.insert(3, 10**9)
        lru.hit(1)
        self.assertEqual(list(lru.victims()), [2, 3, 1])

    def test_named(self) -> None:
        """Who was named comes first again, unless he was used since; who was removed never."""
        lru = Lru()
        for key in (1, 2, 3):
            lru.insert(key, 1)
        self.assertEqual(list(islice(lru.victims(), 2)), [1, 2])
        lru.hit(1)
        victims = lru.victims()
        self.assertEqual(next(victims), 2)
        lru.remove(3)
        self.assertEqual(list(victims), [1])
