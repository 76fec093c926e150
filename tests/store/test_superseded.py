"""Tests of `osproxy.store.superseded`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.superseded import Superseded


class SupersededTests(SynchronousTestCase):
    """Which files are named by no index, and have had their grace."""

    def test_grace(self) -> None:
        """A file is due when its grace is over, and stays so until it is forgotten."""
        superseded = Superseded()
        superseded.add(1, 20.0)
        superseded.add(2, 10.0)
        self.assertEqual(list(superseded.due(9.0)), [])
        self.assertEqual(list(superseded.due(10.0)), [2])
        self.assertEqual(list(superseded.due(20.0)), [2, 1])
        superseded.discard(2)
        self.assertEqual(list(superseded.due(20.0)), [1])

    def test_named_again(self) -> None:
        """A file that an index names again, and then none, has its grace anew."""
        superseded = Superseded()
        superseded.add(1, 10.0)
        superseded.discard(1)
        superseded.discard(1)
        superseded.add(1, 30.0)
        self.assertEqual(list(superseded.due(29.0)), [])
        self.assertEqual(list(superseded.due(30.0)), [1])
        superseded.add(1, 50.0)
        self.assertEqual(list(superseded.due(49.0)), [])

    @given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.floats(0, 100)))))
    def test_sequences(self, steps: list[tuple[int, float | None]]) -> None:
        """The due are those that were noted last with a time that has come."""
        superseded = Superseded()
        noted: dict[int, float] = {}
        for key, until in steps:
            if until is None:
                superseded.discard(key)
                noted.pop(key, None)
            else:
                superseded.add(key, until)
                noted[key] = until
        for now in (20.0, 50.0, 100.0):
            due = {key for key, until in noted.items() if until <= now}
            self.assertEqual(set(superseded.due(now)), due)
