"""Tests of `osproxy.tools.arc`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.tools.arc import Arc


class PublishedArc:
    """ARC for pages of one size, line by line as it was published (FAST 2003, figure 4)."""

    def __init__(self, c: int) -> None:
        self.c = c
        self.p = 0.0
        self.t1: list[int] = []
        self.t2: list[int] = []
        self.b1: list[int] = []
        self.b2: list[int] = []

    def replace(self, *, in_b2: bool) -> None:
        """Move one page out."""
        t1 = len(self.t1)
        if t1 and (t1 > self.p or (in_b2 and t1 == self.p)):
            self.b1.append(self.t1.pop(0))
        else:
            self.b2.append(self.t2.pop(0))

    def use(self, x: int) -> bool:
        """Ask for a page."""
        for queue in (self.t1, self.t2):
            if x in queue:
                queue.remove(x)
                self.t2.append(x)
                return True
        if x in self.b1:
            self.p = min(self.c, self.p + max(len(self.b2) / len(self.b1), 1))
            self.replace(in_b2=False)
            self.b1.remove(x)
            self.t2.append(x)
            return False
        if x in self.b2:
            self.p = max(0, self.p - max(len(self.b1) / len(self.b2), 1))
            self.replace(in_b2=True)
            self.b2.remove(x)
            self.t2.append(x)
            return False
        l1 = len(self.t1) + len(self.b1)
        total = l1 + len(self.t2) + len(self.b2)
        if l1 == self.c:
            if len(self.t1) < self.c:
                self.b1.pop(0)
                self.replace(in_b2=False)
            else:
                self.t1.pop(0)
        elif total >= self.c:
            if total == 2 * self.c:
                self.b2.pop(0)
            self.replace(in_b2=False)
        self.t1.append(x)
        return False


class ArcTests(SynchronousTestCase):
    """Tests of `Arc`."""

    @given(st.integers(1, 8), st.lists(st.integers(0, 20), max_size=200))
    def test_published(self, capacity: int, keys: list[int]) -> None:
        """For files of one size it does what was published."""
        published, ours = PublishedArc(capacity), Arc(capacity)
        for key in keys:
            self.assertEqual(ours.use(key, 1), published.use(key))

    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12)), max_size=100))
    def test_sizes(self, requests: list[tuple[int, int]]) -> None:
        """For files of any size it stays within its bounds, and a file is there once or not."""
        arc = Arc(20)
        for key, size in requests:
            arc.use(key, size)
            once, often, gone_once, gone_often = (
                arc._once.total, arc._often.total, arc._gone_once.total, arc._gone_often.total
            )  # fmt: skip
            self.assertLessEqual(once + often, 20)
            self.assertLessEqual(once + gone_once, 20)
            self.assertLessEqual(once + often + gone_once + gone_often, 40)
            queues = (arc._once, arc._often, arc._gone_once, arc._gone_often)
            for queue in queues:
                self.assertEqual(sum(queue.sizes.values()), queue.total)
            names = [name for queue in queues for name in queue.sizes]
            self.assertEqual(len(names), len(set(names)))

    def test_too_large(self) -> None:
        """What does not fit is not stored, and drives nothing out."""
        arc = Arc(10)
        arc.use(1, 5)
        self.assertFalse(arc.use(2, 11))
        self.assertFalse(arc.use(2, 11))
        self.assertTrue(arc.use(1, 5))

    def test_other_size(self) -> None:
        """A file of another size is another file."""
        arc = Arc(10)
        arc.use(1, 5)
        self.assertFalse(arc.use(1, 6))
        self.assertTrue(arc.use(1, 6))
