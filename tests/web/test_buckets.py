"""Tests of `osproxy.web.buckets`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.values import Rate
from osproxy.web.buckets import Bucket, Buckets

# In eighths, which are exact in binary.
EIGHTHS = st.integers(1, 400).map(lambda eighths: eighths / 8)
RATES = st.builds(Rate, st.sampled_from([0.5, 1.0, 4.0, 16.0]), st.integers(1, 20).map(float))
STEPS = st.lists(st.tuples(EIGHTHS, st.sampled_from("abc")), max_size=60)


class BucketTests(SynchronousTestCase):
    """Tests of `Bucket`."""

    def test_wait(self) -> None:
        """What is not in it is waited for as long as it takes to come."""
        rate, bucket = Rate(2, 10), Bucket(10, 0)
        self.assertEqual(bucket.wait(rate, 10, 0), 0)
        bucket.level -= 10
        self.assertEqual(bucket.wait(rate, 3, 0), 1.5)
        self.assertEqual(bucket.wait(rate, 3, 1), 0.5)
        self.assertEqual(bucket.wait(rate, 3, 1.5), 0)

    def test_more_than_fits(self) -> None:
        """More than fits into it is waited for until it is full, and not for ever."""
        rate = Rate(1, 4)
        self.assertEqual(Bucket(0, 0).wait(rate, 100, 0), 4)

    def test_clock_set_back(self) -> None:
        """A clock that goes back neither fills it nor empties it, and time counts from there."""
        rate, bucket = Rate(1, 10), Bucket(3, 100)
        self.assertEqual(bucket.filled(rate, 50), 3)
        self.assertEqual(bucket.filled(rate, 52), 5)


class BucketsTests(SynchronousTestCase):
    """Tests of `Buckets`."""

    @given(RATES, STEPS)
    def test_bound(self, rate: Rate, steps: list[tuple[float, str]]) -> None:
        """In no stretch of time a client gets more than the burst and what comes meanwhile."""
        buckets, now, got = Buckets(), 0.0, [(0.0, "")]
        for seconds, client in steps:
            now += seconds / 16
            if not buckets.take(client, rate, now):
                got.append((now, client))
        for client in "abc":
            times = [at for at, who in got if who == client]
            for first, begin in enumerate(times):
                for count, end in enumerate(times[first:], 1):
                    self.assertLessEqual(count, rate.burst + (end - begin) * rate.per_second + 1e-6)

    @given(RATES, STEPS)
    def test_patience(self, rate: Rate, steps: list[tuple[float, str]]) -> None:
        """Who waits as long as it is told, and takes nothing before, gets what it asked for."""
        buckets, now = Buckets(), 0.0
        for seconds, client in steps:
            now += seconds / 16
            wait = buckets.take(client, rate, now)
            if wait:
                now += wait
                self.assertLess(buckets.take(client, rate, now), 1e-6)

    @given(RATES, STEPS)
    def test_forgetting_changes_nothing(self, rate: Rate, steps: list[tuple[float, str]]) -> None:
        """A table that forgets full buckets answers as buckets that are never forgotten do."""
        buckets, now = Buckets(), 0.0
        kept = {client: Bucket(rate.burst, 0) for client in "abc"}
        for seconds, client in steps:
            now += seconds
            expected = kept[client].wait(rate, 1, now)
            if not expected:
                kept[client].level -= 1
            self.assertAlmostEqual(buckets.take(client, rate, now), expected)

    def test_taken_ahead(self) -> None:
        """What will be there soon can be taken now, each time later, and be put back."""
        buckets, rate = Buckets(), Rate(2, 1)
        self.assertEqual([buckets.take("a", rate, 0, 1) for _ in range(4)], [0, 0.5, 1, 1.5])
        self.assertEqual(buckets.take("a", rate, 0, 1), 1.5)
        buckets.give_back("a")
        self.assertEqual(buckets.take("a", rate, 0, 1), 1)
        buckets.give_back("b")
        self.assertEqual(len(buckets), 1)

    def test_full_ones_are_forgotten(self) -> None:
        """Clients that were away long enough cost nothing any more."""
        buckets, rate = Buckets(), Rate(1, 5)
        for number in range(100):
            buckets.take(f"192.0.2.{number}", rate, 0)
        self.assertEqual(len(buckets), 100)
        for _ in range(100):
            buckets.take("198.51.100.1", rate, 60)
        self.assertEqual(len(buckets), 1)

    def test_flood_of_addresses(self) -> None:
        """However many clients come at once, only so many are remembered: the latest."""
        buckets, rate = Buckets(at_most=10), Rate(1, 1)
        for number in range(1_000):
            buckets.take(f"client {number}", rate, 0)
        self.assertLessEqual(len(buckets), 10)
        self.assertGreater(buckets.take("client 999", rate, 0), 0)
        self.assertEqual(buckets.take("client 0", rate, 0), 0)
