"""Tests of `osproxy.tools.belady`."""

from __future__ import annotations

from functools import cache
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.tools.belady import Belady, next_uses
from osproxy.tools.trace import Event, Trace


def trace_of(requests: list[tuple[str, int]]) -> Trace:
    """Make a trace of names and sizes."""
    return Trace.of([Event(float(at), key, size) for at, (key, size) in enumerate(requests)])


def misses(trace: Trace, capacity: int) -> int:
    """Count what is missed."""
    belady = Belady(capacity, next_uses(trace))
    return sum(not belady.use(key, octets) for _, key, octets in trace.events())


def fewest(requests: tuple[str, ...], capacity: int) -> int:
    """Find the fewest misses of all ways to keep files of one size."""

    @cache
    def best(place: int, stored: frozenset[str]) -> int:
        if place == len(requests):
            return 0
        there = stored | {requests[place]}
        count = min(capacity, len(there))
        after = min(best(place + 1, frozenset(kept)) for kept in combinations(sorted(there), count))
        return after + (requests[place] not in stored)

    return best(0, frozenset())


class BeladyTests(SynchronousTestCase):
    """Tests of `Belady`."""

    def test_next_uses(self) -> None:
        """Each request knows the next one for the same file; one of another size is for another."""
        trace = Trace.of(
            [
                Event(0.0, "a", 1),
                Event(1.0, "b", 1),
                Event(2.0, "b", None),
                Event(3.0, "a", 1),
                Event(4.0, "a", 2),
                Event(5.0, "b", 1),
            ]
        )
        self.assertEqual(list(next_uses(trace)), [2, 4, 5, 5, 5])

    @given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=9), st.integers(1, 3))
    def test_best(self, names: list[str], capacity: int) -> None:
        """For files of one size nothing is better."""
        trace = trace_of([(name, 1) for name in names])
        self.assertEqual(misses(trace, capacity), fewest(tuple(names), capacity))

    @given(
        st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 12)), min_size=1),
        st.integers(1, 20),
    )
    def test_sizes(self, requests: list[tuple[str, int]], capacity: int) -> None:
        """For files of any size it stays within its bounds."""
        trace = trace_of(requests)
        belady = Belady(capacity, next_uses(trace))
        for _, key, octets in trace.events():
            belady.use(key, octets)
            self.assertLessEqual(belady._used, capacity)
            self.assertEqual(sum(size for size, _ in belady._files.values()), belady._used)

    def test_not_needed(self) -> None:
        """What is not asked for again, or only after all others, is not stored."""
        requests = [("a", 5), ("b", 5), ("x", 5), ("c", 5), ("a", 5), ("b", 5), ("c", 5)]
        self.assertEqual(misses(trace_of(requests), 10), 5)

    def test_too_large(self) -> None:
        """What does not fit drives nothing out."""
        requests = [("a", 5), ("x", 11), ("x", 11), ("a", 5)]
        self.assertEqual(misses(trace_of(requests), 10), 3)
