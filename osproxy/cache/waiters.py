"""
Telling several coroutines that something has happened.

Two coroutines that await one Deferred disturb each other: the second gets None, and cancelling
either cancels both. So each gets its own here, and cancelling it only takes it off the list.
"""

from __future__ import annotations

import heapq
from itertools import count

from twisted.internet.defer import Deferred


class Waiters:
    """Those who wait for one event."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []

    def wait(self) -> Deferred[None]:
        """Return a Deferred of one's own that fires at the next `fire`."""
        waiter: Deferred[None] = Deferred(self._forget)
        self._waiting.append(waiter)
        return waiter

    def fire(self) -> None:
        """Let everybody who waits go on."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            # One who goes on may have cancelled another.
            if not waiter.called:
                waiter.callback(None)

    def _forget(self, waiter: Deferred[None]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)


class OffsetWaiters:
    """
    Those who wait for a growing file to reach beyond an offset.

    Growth wakes only those whose offset was passed, so that a hundred readers who are behind cost
    nothing when a block arrives.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Deferred[None]]] = []
        self._order = count()

    def wait(self, offset: int) -> Deferred[None]:
        """Return a Deferred of one's own that fires when ``offset`` is passed, or at the end."""
        waiter: Deferred[None] = Deferred(self._forget)
        heapq.heappush(self._waiting, (offset, next(self._order), waiter))
        return waiter

    def passed(self, available: int) -> None:
        """Let those go on who wait for an offset below ``available``."""
        # A waiter may come back for a further offset at once; it is then beyond ``available``.
        while self._waiting and self._waiting[0][0] < available:
            heapq.heappop(self._waiting)[2].callback(None)

    def end(self) -> None:
        """Let everybody go on: nothing further will come."""
        waiting, self._waiting = self._waiting, []
        for _, _, waiter in waiting:
            if not waiter.called:
                waiter.callback(None)

    def _forget(self, waiter: Deferred[None]) -> None:
        self._waiting = [item for item in self._waiting if item[2] is not waiter]
        heapq.heapify(self._waiting)
