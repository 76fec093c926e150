"""Tests of `osproxy.tallies`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from osproxy.tallies import Distribution, Tally

BOUNDS = (0.5, 1, 2.5)
LABELS = st.tuples(st.sampled_from("ab"), st.sampled_from("cd"))
COUNTED = st.lists(st.tuples(LABELS, st.integers(0, 100)))


def told(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Read back what is told of a registry, without the moments at which counting began."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


class TallyTests(SynchronousTestCase):
    """Tests of `Tally`."""

    @given(COUNTED)
    def test_as_theirs(self, counted: list[tuple[tuple[str, str], int]]) -> None:
        """It tells what a counter of prometheus_client's tells."""
        ours, theirs = CollectorRegistry(), CollectorRegistry()
        tally = Tally("x_bytes", "X", ("one", "two"), ours)
        counter = Counter("x_bytes", "X", ("one", "two"), registry=theirs)
        for labels, amount in counted:
            tally.add(labels, amount)
            counter.labels(*labels).inc(amount)
        self.assertEqual(told(ours), told(theirs))

    def test_one(self) -> None:
        """Without an amount, one is counted."""
        registry = CollectorRegistry()
        Tally("x", "X", (), registry).add(())
        self.assertEqual(registry.get_sample_value("x_total"), 1)

    def test_name_taken(self) -> None:
        """A name is given once."""
        registry = CollectorRegistry()
        Counter("x", "X", registry=registry)
        self.assertRaises(ValueError, Tally, "x", "X", (), registry)
        Distribution("y", "Y", (), BOUNDS, registry)
        self.assertRaises(ValueError, Distribution, "y", "Y", (), BOUNDS, registry)


class DistributionTests(SynchronousTestCase):
    """Tests of `Distribution`."""

    @given(COUNTED)
    def test_as_theirs(self, counted: list[tuple[tuple[str, str], int]]) -> None:
        """It tells what a histogram of prometheus_client's tells."""
        ours, theirs = CollectorRegistry(), CollectorRegistry()
        distribution = Distribution("x_seconds", "X", ("one", "two"), BOUNDS, ours)
        histogram = Histogram("x_seconds", "X", ("one", "two"), registry=theirs, buckets=BOUNDS)
        for labels, amount in counted:
            distribution.add(labels, amount / 2)
            histogram.labels(*labels).observe(amount / 2)
        self.assertEqual(told(ours), told(theirs))
