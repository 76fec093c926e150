"""Tests of `osproxy.cache.memory`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.memory import Memory


class MemoryTests(SynchronousTestCase):
    """Names are remembered for a while, and not too many of them."""

    def test_lifetime(self) -> None:
        """A value is remembered for its lifetime and not a second longer."""
        memory: Memory[str, int] = Memory(10, 60.0)
        memory.put("a", 404, 100.0)
        self.assertEqual(memory.get("a", 159.9), 404)
        self.assertIsNone(memory.get("a", 160.0))
        self.assertEqual(len(memory), 0)

    def test_shorter(self) -> None:
        """A value may have a shorter lifetime, but no longer one."""
        for at_most, lifetime in ((10.0, 10.0), (90.0, 60.0)):
            memory: Memory[str, int] = Memory(10, 60.0)
            memory.put("a", 404, 100.0, at_most)
            self.assertEqual(memory.get("a", 99.9 + lifetime), 404)
            self.assertIsNone(memory.get("a", 100.0 + lifetime))

    def test_clock_set_back(self) -> None:
        """A clock that is set back ends a memory rather than prolonging it."""
        memory: Memory[str, int] = Memory(10, 60.0)
        memory.put("a", 404, 100.0)
        self.assertIsNone(memory.get("a", 99.0))

    def test_limit(self) -> None:
        """A flood of names pushes the oldest out."""
        memory: Memory[int, bool] = Memory(3, 60.0)
        for name in range(5):
            memory.put(name, True, 0.0)
        self.assertEqual(len(memory), 3)
        self.assertIsNone(memory.get(1, 0.0))
        self.assertTrue(memory.get(4, 0.0))

    def test_again(self) -> None:
        """What is put in again is young again."""
        memory: Memory[int, int] = Memory(2, 60.0)
        memory.put(1, 1, 0.0)
        memory.put(2, 2, 0.0)
        memory.put(1, 3, 50.0)
        memory.put(4, 4, 50.0)
        self.assertEqual(memory.get(1, 100.0), 3)
        self.assertIsNone(memory.get(2, 50.0))

    def test_forget(self) -> None:
        """What is forgotten is forgotten, known or not."""
        memory: Memory[str, int] = Memory(2, 60.0)
        memory.put("a", 1, 0.0)
        memory.forget("a")
        memory.forget("b")
        self.assertIsNone(memory.get("a", 0.0))
