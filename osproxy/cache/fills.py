"""
The fills under way: at most one a target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osproxy.cache.fill import Fill
from osproxy.cache.fillstate import FillState, Means

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.fillstate import Order
    from osproxy.metrics import Metrics
    from osproxy.model import Target
    from osproxy.store.store import Store
    from osproxy.threads import InThread

#: So many fills may go on without readers; nobody's patience limits them.
UNATTENDED = 32


class Fills:
    """Begins fills and finds them again by target."""

    def __init__(
        self, store: Store, in_thread: InThread, clock: IReactorTime, metrics: Metrics
    ) -> None:
        self._running: dict[Target, Fill] = {}
        self._means = Means(store, in_thread, clock, metrics)

    def find(self, target: Target) -> Fill | None:
        """Return the fill of ``target`` that is under way."""
        return self._running.get(target)

    def begin(self, order: Order, decided: Callable[[Fill], None]) -> Fill:
        """
        Start to fetch; there must be no fill of the target.

        :param decided: told what has become of it, before its readers are.
        """
        if order.target in self._running:
            raise AssertionError(f"{order.target} is being filled already")

        def over(fill: Fill) -> None:
            # Before its readers know: one that begins anew must not find what has ended.
            del self._running[order.target]
            decided(fill)

        others = self._running.values()
        fill = Fill(order, self._means, others, lambda: self.unattended <= UNATTENDED, over)
        self._running[order.target] = fill
        fill.begin()
        return fill

    @property
    def unattended(self) -> int:
        """How many fills go on that nobody reads, for the sake of what has yet to come."""
        alone = (fill for fill in self._running.values() if not (fill.readers or fill.whole))
        return sum(fill.state is not FillState.FOLLOWING for fill in alone)

    async def stop(self) -> None:
        """End all fills; their readers are cut, but what has all its octets is kept."""
        for fill in list(self._running.values()):
            await fill.cancel()
