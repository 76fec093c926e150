"""
How many questions may wait for their answers at once.

A flood of names that nobody has would make as many questions upstream, and a host that is slow to
answer would hold them all. So many are asked at once of one host, and four times as many of all;
as many again wait for their turn, a short while; the rest is refused at once. What is asked without
need, since somebody asks it already or it is stored, never comes here.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, TimeoutError

from osproxy.shedding import Reason
from osproxy.upstream.reply import Overloaded

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from osproxy.shedding import Shedding

PATIENCE = 5.0
"""Seconds to wait for a turn: dnf gives up after 30 without an octet."""

_HOSTS = 4


class Turns:
    """
    Gives each question its turn.

    :ivar each: questions to one host.
    """

    def __init__(self, clock: IReactorTime, shedding: Shedding, each: int) -> None:
        self._clock = clock
        self._shedding = shedding
        self.each = each
        self._asking: Counter[str] = Counter()
        self._asked = 0
        self._waiting: deque[tuple[str, Deferred[None]]] = deque()
        self._waiting_for: Counter[str] = Counter()

    async def take(self, host: str) -> None:
        """
        Return when a host may be asked; whoever returns from here calls `give`.

        :raises Overloaded: when it will not be soon.
        """
        if self._free(host) and not self._waiting_for[host]:
            self._begin(host)
            return
        if self._waiting_for[host] >= self.each or len(self._waiting) >= _HOSTS * self.each:
            raise self._refused(host)
        waiter: Deferred[None] = Deferred(lambda waiter: self._leave(host, waiter))
        self._waiting.append((host, waiter))
        self._waiting_for[host] += 1
        waiter.addTimeout(PATIENCE, self._clock)
        try:
            await waiter
        except TimeoutError:
            raise self._refused(host) from None

    def give(self, host: str) -> None:
        """Give a turn back, to whoever has waited for longest."""
        self._asked -= 1
        self._asking[host] -= 1
        if not self._asking[host]:
            del self._asking[host]
        for waiting in self._waiting:
            following, waiter = waiting
            if self._free(following):
                self._begin(following)
                self._leave(following, waiter)
                waiter.callback(None)
                return

    def _free(self, host: str) -> bool:
        return self._asking[host] < self.each and self._asked < _HOSTS * self.each

    def _begin(self, host: str) -> None:
        self._asked += 1
        self._asking[host] += 1

    def _leave(self, host: str, waiter: Deferred[None]) -> None:
        self._waiting.remove((host, waiter))
        self._waiting_for[host] -= 1
        if not self._waiting_for[host]:
            del self._waiting_for[host]

    def _refused(self, host: str) -> Overloaded:
        self._shedding.shed(Reason.UPSTREAM, host)
        return Overloaded("", "overloaded", f"{host} is asked too much at once")
