"""
Counters that cost next to nothing, for what is counted at each request.

They are collectors of prometheus_client's, whose own counters lock at each step: with labels these
cost a tenth of them. In turn, only the reactor's thread may count.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client import CollectorRegistry


class Tally(Collector):
    """
    A sum for each combination of labels.

    :ivar labels: their names, in order.
    """

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self.labels = tuple(labels)
        self._describes = name, documentation
        self._sums: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def add(self, labels: tuple[str, ...], amount: float = 1) -> None:
        """Count under these labels, given in order."""
        self._sums[labels] = self._sums.get(labels, 0) + amount

    def describe(self) -> Iterable[CounterMetricFamily]:
        """See `prometheus_client.registry.Collector`."""
        return (CounterMetricFamily(*self._describes, labels=self.labels),)

    def collect(self) -> Iterable[CounterMetricFamily]:
        """See `prometheus_client.registry.Collector`."""
        (family,) = self.describe()
        for labels, amount in self._sums.items():
            family.add_metric(labels, amount)
        return (family,)


class Distribution(Collector):
    """
    How values are spread, for each combination of labels.

    :ivar labels: their names, in order.
    :param bounds: up to which values are counted together, in ascending order.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self.labels = tuple(labels)
        self._describes = name, documentation
        self._bounds = bounds
        # How many there are of each part, then beyond all bounds, then the sum of the values.
        self._rows: dict[tuple[str, ...], list[float]] = {}
        registry.register(self)

    def add(self, labels: tuple[str, ...], value: float) -> None:
        """Count a value under these labels, given in order."""
        row = self._rows.get(labels)
        if row is None:
            row = self._rows[labels] = [0] * (len(self._bounds) + 2)
        row[bisect_left(self._bounds, value)] += 1
        row[-1] += value

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """See `prometheus_client.registry.Collector`."""
        return (HistogramMetricFamily(*self._describes, labels=self.labels),)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """See `prometheus_client.registry.Collector`."""
        (family,) = self.describe()
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        for labels, (*parts, total) in self._rows.items():
            below = [sum(parts[: number + 1]) for number in range(len(parts))]
            family.add_metric(labels, list(zip(names, below, strict=True)), total)
        return (family,)
