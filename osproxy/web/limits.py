"""
What a client may ask for now, and how fast it may have it.

Who asks for a little more waits a little: dnf asks again at once, whatever it is told, and soon
gives up. Who asks for more than that is told 503 and when to come again. Not 429: zypper gives the
whole transaction up at that, and waits and asks again at 503.
"""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.defer import Deferred

from osproxy.config.clients import client_of
from osproxy.shedding import RETRY_AFTER, Reason
from osproxy.web.buckets import Buckets
from osproxy.web.routing import Refused

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from osproxy.config.values import Rate
    from osproxy.shedding import Shedding
    from osproxy.web.bandwidth import Bandwidth, Pace
    from osproxy.web.channel import Channel


PATIENCE = 5.0
"""Seconds for which a request waits at most, rather than to be refused."""

WAITING = 1024
"""Requests that wait so at once, at most."""

WAITING_OF_ONE = 16
"""And those of one client: dnf and zypper have as many connections or less."""


@define(eq=False)
class Limits:
    """
    The limits of requests; those of connections are `osproxy.web.connections`'s.

    :ivar total: how often all clients together may ask; None for as often as they like.
    :ivar each: how often one of them may.
    :ivar bandwidth: how fast bodies go out.
    """

    _clock: IReactorTime
    shedding: Shedding
    bandwidth: Bandwidth
    total: Rate | None = None
    each: Rate | None = None
    _asked: Buckets = field(init=False, factory=Buckets)
    _asked_by: Buckets = field(init=False, factory=Buckets)
    _waiting: Counter[str] = field(init=False, factory=Counter)

    async def admit(self, address: str, channel: Channel) -> None:
        """
        Let a request pass once it may, and count it.

        :raises Refused: when it is one too many, or its connection is.
        """
        if not channel.served:
            self.shedding.shed(Reason.CONNECTIONS, address)
            # The place is another's who comes later.
            channel.drain()
            raise Refused(503, "All connections are taken.", retry_after=RETRY_AFTER)
        client = client_of(address)
        wait = self._take(client, address)
        if wait:
            try:
                await self._pause(client, wait)
            except BaseException:
                self._give_back(client)
                raise

    def _take(self, client: str, address: str) -> float:
        """Count a request, and say in how many seconds it may pass."""
        now, patience, wait = self._clock.seconds(), self._patience(client), 0.0
        if self.each is not None:
            wait = self._asked_by.take(client, self.each, now, patience)
            self._refuse(wait, patience, Reason.CLIENT_REQUESTS, client)
        if self.total is not None:
            longer = self._asked.take("", self.total, now, patience)
            if longer > patience and self.each is not None:
                self._asked_by.give_back(client)
            self._refuse(longer, patience, Reason.REQUESTS, address)
            wait = max(wait, longer)
        return wait

    def _give_back(self, client: str) -> None:
        if self.each is not None:
            self._asked_by.give_back(client)
        if self.total is not None:
            self._asked.give_back("")

    def _patience(self, client: str) -> float:
        full = self._waiting[client] >= WAITING_OF_ONE or self._waiting.total() >= WAITING
        return 0 if full else PATIENCE

    async def _pause(self, client: str, seconds: float) -> None:
        timer = self._clock.callLater(seconds, lambda: over.callback(None))
        over: Deferred[None] = Deferred(lambda _: timer.cancel())
        self._waiting[client] += 1
        try:
            await over
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    def take_at_once(self, address: str) -> bool:
        """
        Count a request that may pass now and have its body at any pace, and say whether it may.

        Nothing is counted of one that may not yet, or has no use for it: see `give_back`.
        """
        if self.pace(address) is not None:
            return False
        now, client = self._clock.seconds(), client_of(address)
        if self.each is not None and self._asked_by.take(client, self.each, now):
            return False
        if self.total is not None and self._asked.take("", self.total, now):
            if self.each is not None:
                self._asked_by.give_back(client)
            return False
        return True

    def give_back(self, address: str) -> None:
        """Let a request that was counted not count."""
        self._give_back(client_of(address))

    def pace(self, address: str) -> Pace | None:
        """Give the pace of a body to a client, None where it may have its own."""
        return self.bandwidth.pace(address)

    def _refuse(self, wait: float, patience: float, reason: Reason, subject: str) -> None:
        if wait > patience:
            self.shedding.shed(reason, subject)
            text = "There are more requests than may be."
            raise Refused(503, text, retry_after=max(1, ceil(wait)))
