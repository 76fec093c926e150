"""
What a client may ask for now, and how fast it may have it.

Who asks for more is told 503 and when to come again. Not 429: zypper gives the whole transaction up
at that, and waits and asks again at 503.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.shedding import RETRY_AFTER, Reason
from osproxy.web.buckets import Buckets, client_of
from osproxy.web.routing import Refused

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from osproxy.config.values import Rate
    from osproxy.shedding import Shedding
    from osproxy.web.bandwidth import Bandwidth, Pace
    from osproxy.web.channel import Channel


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

    def judge(self, address: str, channel: Channel) -> None:
        """
        Let a request pass, and count it.

        :raises Refused: when it is one too many, or its connection is.
        """
        if not channel.served:
            self.shedding.shed(Reason.CONNECTIONS, address)
            # The place is another's who comes later.
            channel.drain()
            raise Refused(503, "All connections are taken.", retry_after=RETRY_AFTER)
        now = self._clock.seconds()
        if self.each is not None:
            client = client_of(address)
            wait = self._asked_by.take(client, self.each, now)
            self._refuse(wait, Reason.CLIENT_REQUESTS, client)
        if self.total is not None:
            self._refuse(self._asked.take("", self.total, now), Reason.REQUESTS, address)

    def pace(self, address: str) -> Pace | None:
        """Give the pace of a body to a client, None where it may have its own."""
        return self.bandwidth.pace(address)

    def _refuse(self, wait: float, reason: Reason, subject: str) -> None:
        if wait:
            self.shedding.shed(reason, subject)
            text = "There are more requests than may be."
            raise Refused(503, text, retry_after=max(1, ceil(wait)))
