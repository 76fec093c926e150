"""Tests of `osproxy.tools.replay`."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.kinds import Kind
from osproxy.store.ledger import BLOCK
from osproxy.tools.replay import NAMES, Rules, cache_of, replay
from osproxy.tools.trace import Event, Trace
from osproxy.tools.traffic import profiles, traffic

if TYPE_CHECKING:
    from osproxy.tools.replay import Tally

RULES = Rules(lambda capacity: capacity // 2, 10.0)
EVERYTHING = Rules(lambda capacity: capacity, 10.0)
_requests = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 4 * BLOCK)), min_size=1, max_size=120
)


def run(trace: Trace, name: str, blocks: int, rules: Rules = EVERYTHING) -> Tally:
    """Replay a trace."""
    return replay(trace, cache_of(name, blocks * BLOCK, trace, rules), lambda _: None)


def trace_of(requests: list[tuple[str, int]]) -> Trace:
    """Make a trace of names and sizes."""
    return Trace.of([Event(float(at), key, size) for at, (key, size) in enumerate(requests)])


class ReplayTests(SynchronousTestCase):
    """Tests of `replay`."""

    def test_counts(self) -> None:
        """What is missed is counted in requests and in octets, as it was asked for."""
        trace = trace_of([("a", 100), ("b", 300), ("a", 100), ("b", 300), ("c", 200)])
        tally = run(trace, "lru", 9)
        self.assertEqual((tally.requests, tally.missed), (5, 3))
        self.assertEqual((tally.octets, tally.missed_octets), (1000, 600))
        self.assertEqual((tally.object_misses(), tally.byte_misses()), (0.6, 0.6))

    def test_blocks(self) -> None:
        """Files take whole blocks, under every policy."""
        trace = trace_of([("a", 1), ("b", 1), ("a", 1), ("b", 1)])
        for name in NAMES:
            self.assertEqual(run(trace, name, 2).missed, 2, name)
            self.assertGreater(run(trace, name, 1).missed, 2, name)

    @given(_requests, st.integers(1, 12))
    def test_lru(self, requests: list[tuple[str, int]], blocks: int) -> None:
        """The store's LRU misses what the plainest LRU misses."""
        stored: OrderedDict[str, int] = OrderedDict()
        sizes: dict[str, int] = {}
        missed = 0
        for key, octets in requests:
            taken = -(-octets // BLOCK)
            if stored.pop(key, None) is not None and sizes[key] == taken:
                stored[key] = taken
                continue
            missed += 1
            sizes[key] = taken
            if taken <= blocks:
                while sum(stored.values()) + taken > blocks:
                    stored.popitem(last=False)
                stored[key] = taken
        for name in ("lru", "plain-lru"):
            self.assertEqual(run(trace_of(requests), name, blocks).missed, missed)

    @given(_requests)
    def test_room_for_all(self, requests: list[tuple[str, int]]) -> None:
        """Where everything fits, what is missed is the first request for each file."""
        requests = [(f"{key}{octets}", octets) for key, octets in requests]
        for name in NAMES:
            tally = run(trace_of(requests), name, 9999)
            self.assertEqual(tally.missed, len(set(requests)), name)

    def test_images(self) -> None:
        """Under the store's policies, images have their part of the cache."""
        iso = [Event(float(at), f"/{at % 3}.iso", 2 * BLOCK, Kind.IMAGE) for at in range(9)]
        trace = Trace.of(iso)
        self.assertEqual(run(trace, "lru", 8).missed, 3)
        self.assertEqual(run(trace, "lru", 8, RULES).missed, 9)
        self.assertEqual(run(trace, "plain-lru", 8, RULES).missed, 3)

    def test_superseded(self) -> None:
        """What is superseded goes first under the store's policies, once its grace is over."""
        events = [
            Event(0.0, "a", BLOCK),
            Event(1.0, "b", BLOCK),
            Event(2.0, "b", None),
            Event(3.0, "never-asked-for", None),
        ]
        for at, missed in ((11.0, 4), (12.0, 3)):
            trace = Trace.of([*events, Event(at, "c", BLOCK), Event(at + 1, "a", BLOCK)])
            self.assertEqual(run(trace, "lru", 2).missed, missed)
            self.assertEqual(run(trace, "plain-lru", 2).missed, 4)
            self.assertEqual(run(trace, "arc", 2).missed, 4)

    def test_progress(self) -> None:
        """All events are told of in the end."""
        trace = trace_of([("a", 1)] * 40_000)
        steps: list[int] = []
        replay(trace, cache_of("lru", BLOCK, trace, RULES), steps.append)
        self.assertEqual(sum(steps), 40_000)
        self.assertGreater(len(steps), 2)


class PolicyTests(SynchronousTestCase):
    """What the policies are for, shown on a little traffic of the kind that they are for."""

    def test_house(self) -> None:
        """The default costs fewer requests and fewer octets than LRU, and fewer octets than ARC."""
        profile = profiles()["lan"]
        profile["days"] = 60
        profile["hosts"]["count"] = 20
        for seed in (1, 2):
            trace = Trace.of(traffic(profile, seed))
            blocks = trace.working_set // 25 // BLOCK
            clock = run(trace, "clock", blocks, RULES)
            for name in ("lru", "plain-lru", "arc"):
                other = run(trace, name, blocks, RULES)
                self.assertLess(clock.missed_octets, other.missed_octets)
                self.assertLess(clock.missed, 0.95 * other.missed)
