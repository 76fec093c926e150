"""
Waiting without sharing.

Two coroutines that await one Deferred harm each other: the second gets None, and cancelling the
first cancels the second. What is here gives every waiter a Deferred of its own, and lets work go on
to its end, with its cleaning up, when nobody waits for it any more.
"""

from __future__ import annotations

import heapq
from collections import deque
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Hashable, Iterable

    from twisted.logger import Logger
    from twisted.python.failure import Failure

_T = TypeVar("_T")
_H = TypeVar("_H", bound="Hashable")


@define(eq=False)
class Waiters:
    """Those who wait for something to change; each looks for itself whether it is what it wants."""

    _waiting: deque[Deferred[None]] = field(init=False, factory=deque)

    def wait(self) -> Deferred[None]:
        """Fire at the next `wake`; cancelling it only leaves the queue."""
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def wake(self) -> None:
        """Wake all who wait now, in order."""
        # A new queue first: one that is woken may wait again at once, for the next time.
        waking, self._waiting = self._waiting, deque()
        while waking:
            waking.popleft().callback(None)


@define(eq=False)
class Turns(Generic[_H]):
    """Those who must not be at it at the same time, since they have to do with the same thing."""

    _busy: set[_H] = field(init=False, factory=set)
    _over: Waiters = field(init=False, factory=Waiters)

    @asynccontextmanager
    async def of(self, things: Iterable[_H]) -> AsyncIterator[None]:
        """Wait until none of these is anybody's, and have them all."""
        wanted = set(things)
        while not self._busy.isdisjoint(wanted):
            await self._over.wait()
        self._busy |= wanted
        try:
            yield
        finally:
            self._busy -= wanted
            self._over.wake()


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


def detached(work: Deferred[_T], log: Logger) -> Deferred[_T]:
    """
    Give a Deferred to wait for work that goes on when it is cancelled.

    A failure that nobody waits for any more is logged.
    """
    waiter: Deferred[_T] = Deferred()

    def succeeded(result: _T) -> None:
        if not waiter.called:
            waiter.callback(result)

    def failed(failure: Failure) -> None:
        if waiter.called:
            log.failure("nobody waited for this any more, and it failed", failure)
        else:
            waiter.errback(failure)

    work.addCallbacks(succeeded, failed)
    return waiter


@define(eq=False)
class Tasks:
    """Coroutines that run on their own, and a way to wait until none does."""

    _log: Logger
    _running: int = field(init=False, default=0)
    _ended: Waiters = field(init=False, factory=Waiters)

    def start(self, work: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
        """Run a coroutine to its end; the caller takes its failure, or asks for `unattended`."""
        self._running += 1

        def ended(result: _T | Failure) -> _T | Failure:
            self._running -= 1
            self._ended.wake()
            return result

        return Deferred.fromCoroutine(work).addBoth(ended)

    def unattended(self, work: Coroutine[Deferred[Any], Any, object]) -> None:
        """Run a coroutine that nobody waits for, and log its failure."""
        self.start(work).addErrback(lambda failure: self._log.failure("in the store", failure))

    async def idle(self) -> None:
        """Return once nothing runs."""
        while self._running:
            await self._ended.wait()
