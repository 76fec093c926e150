"""
Bodies wait for their share of the bandwidth, where that is limited.

Who gets what is `osproxy.web.sharing`'s to say; here is who waits for it, and the one timer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from twisted.internet.defer import Deferred

from osproxy.config.clients import client_of
from osproxy.web.sharing import Shares, rate_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from osproxy.web.sharing import Request

# Seconds from one round of grants to the next, at least: finer would cost more than it smooths.
_ROUND = 0.005


class Bandwidth:
    """
    What all clients share.

    :ivar total: octets a second for all of them; 0 for no limit.
    :ivar each: octets a second for one of them.
    """

    def __init__(self, clock: IReactorTime, total: int, each: int) -> None:
        self.total = total
        self.each = each
        self._clock = clock
        self._shares = Shares(rate_of(total), rate_of(each))
        self._waiting: dict[Request, Deferred[int]] = {}
        self._timer: IDelayedCall | None = None
        self._granting = False

    def limit(self, total: int, each: int) -> None:
        """Have other limits from now on, also for those who wait."""
        self.total, self.each = total, each
        self._shares.limit(rate_of(total), rate_of(each), self._clock.seconds())
        self._grant()

    def pace(self, address: str) -> Pace | None:
        """Give the pace of a body to a client, None where it may have its own."""
        if not (self.total or self.each):
            return None
        return Pace(self, client_of(address))

    def take(self, client: str, wanted: int) -> Deferred[int]:
        """Fire with how many octets may be sent now; cancelling it gives the wish up."""

        def withdraw(_: Deferred[int]) -> None:
            del self._waiting[request]
            self._shares.withdraw(request)
            self._arm()

        granted: Deferred[int] = Deferred(withdraw)
        request = self._shares.ask(client, wanted, self._clock.seconds())
        self._waiting[request] = granted
        self._grant()
        return granted

    def give_back(self, client: str, octets: int) -> None:
        """Have octets that were granted and not sent granted to others."""
        self._shares.give_back(client, octets, self._clock.seconds())

    def _grant(self) -> None:
        # Who is granted something may ask again at once; the round that goes on sees to it.
        if self._granting:
            return
        self._granting = True
        try:
            for request, octets in self._shares.grants(self._clock.seconds()):
                self._waiting.pop(request).callback(octets)
        finally:
            self._granting = False
        self._arm()

    def _arm(self) -> None:
        """Have one timer while anybody waits, and none else."""
        if not self._waiting:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return
        now = self._clock.seconds()
        wait = self._shares.wait(now)
        if wait is None:
            return
        wait = max(wait, _ROUND)
        if self._timer is None:
            self._timer = self._clock.callLater(wait, self._round)
        elif self._timer.getTime() > now + wait:
            self._timer.reset(wait)

    def _round(self) -> None:
        self._timer = None
        self._grant()


@define(eq=False)
class Pace:
    """The pace of one body."""

    _bandwidth: Bandwidth
    _client: str

    async def take(self, wanted: int) -> int:
        """Return, once it may be sent, how much of so many octets."""
        return await self._bandwidth.take(self._client, wanted)

    def give_back(self, octets: int) -> None:
        """Say that so many octets were not sent."""
        if octets:
            self._bandwidth.give_back(self._client, octets)

    async def all_of(self, octets: int) -> None:
        """Return once so many octets may be sent."""
        while octets:
            octets -= await self.take(octets)
