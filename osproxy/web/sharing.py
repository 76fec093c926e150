"""
Who may send how much next, where the bandwidth is limited.

What there is in all is divided fairly among the clients that wait for some of it, however many
connections each has; who wants less leaves its share to the others (max-min fairness). This is
start-time fair queueing (Goyal, Vin, Cheng 1996): each grant moves its client's tag on by what was
granted, and the client with the lowest tag is next. A client that comes back begins where the
others are, so that nobody saves its share up. Nothing here knows the time: it is an argument.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.config.values import Rate
from osproxy.web.buckets import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_AT_ONCE = 1 << 20
"""Octets of one grant at most."""

# What may be sent at once by who has sent nothing for a while, and in how many grants.
_BURST_SECONDS = 0.25
_LEAST_BURST = 16 << 10
_GRANTS_A_BURST = 4


def rate_of(octets: int) -> Rate | None:
    """Give the rate, with its burst, of a limit in octets a second; None for 0, which is none."""
    if not octets:
        return None
    return Rate(octets, max(_LEAST_BURST, octets * _BURST_SECONDS))


@define(eq=False)
class Request:
    """A wish to send: whose it is, and how many octets."""

    client: str
    wanted: int


@define(eq=False)
class _Client:
    """
    A client that waits, or has lately been granted something.

    :ivar tag: where it is, in octets of a service that all clients get alike.
    :ivar queued: whether it is in one of the heaps.
    """

    tag: float
    bucket: Bucket
    waiting: deque[Request] = field(factory=deque)
    queued: bool = False


@define(eq=False)
class Shares:
    """
    Divides a bandwidth.

    :ivar total: what all clients may have together; None for no limit.
    :ivar each: what each of them may have.
    """

    total: Rate | None
    each: Rate | None
    _level: Bucket = field(init=False, factory=lambda: Bucket(0, -inf))
    _clients: OrderedDict[str, _Client] = field(init=False, factory=OrderedDict)
    _served: float = field(init=False, default=0)
    _highest: float = field(init=False, default=0)
    _ready: list[tuple[float, int, str]] = field(init=False, factory=list)
    _resting: list[tuple[float, int, str]] = field(init=False, factory=list)
    _order: Iterator[int] = field(init=False, factory=count)

    @property
    def quantum(self) -> int:
        """Octets of one grant at most, so that many clients have their turn within a moment."""
        bursts = [rate.burst for rate in (self.total, self.each) if rate is not None]
        return int(min([MOST_AT_ONCE, *(burst / _GRANTS_A_BURST for burst in bursts)]))

    def limit(self, total: Rate | None, each: Rate | None, now: float) -> None:
        """Have other limits from now on; who rests does so for as long as these want it."""
        self.total, self.each = total, each
        resting, self._resting = self._resting, []
        for _, _, client in resting:
            self._queue(client, self._clients[client], now)

    def ask(self, client: str, wanted: int, now: float) -> Request:
        """Wait for a grant of at most so many octets."""
        request = Request(client, wanted)
        known = self._clients.pop(client, None)
        if known is None:
            known = _Client(self._served, Bucket(0 if self.each is None else self.each.burst, now))
        self._clients[client] = known
        known.waiting.append(request)
        if not known.queued:
            known.tag = max(known.tag, self._served)
            self._queue(client, known, now)
        self._forget(now)
        return request

    def withdraw(self, request: Request) -> None:
        """Wait no longer."""
        self._clients[request.client].waiting.remove(request)

    def give_back(self, client: str, octets: int, now: float) -> None:
        """Take back what was granted and not sent."""
        known = self._clients.get(client)
        if known is not None:
            known.tag -= octets
            if self.each is not None:
                known.bucket.level += octets
        if self.total is not None:
            self._level.level = min(self.total.burst, self._level.filled(self.total, now) + octets)

    def grants(self, now: float) -> Iterator[tuple[Request, int]]:
        """Grant what may be sent now, in order."""
        while self._resting and self._resting[0][0] <= now:
            _, _, client = heapq.heappop(self._resting)
            self._make_ready(client, self._clients[client])
        while self._ready:
            client = self._ready[0][2]
            known = self._clients[client]
            octets = self._next(known)
            if octets and self.total is not None and self._level.wait(self.total, octets, now):
                return
            heapq.heappop(self._ready)
            known.queued = False
            if octets:
                yield self._grant(client, known, octets, now), octets
        if not self._resting:
            # Nobody waits any more who could be ahead of another.
            self._served = self._highest

    def wait(self, now: float) -> float | None:
        """Say after how many seconds there may be a grant; None while nobody waits for one."""
        waits = [self._resting[0][0] - now] if self._resting else []
        if self._ready:
            octets = self._next(self._clients[self._ready[0][2]])
            waits.append(0 if self.total is None else self._level.wait(self.total, octets, now))
        return max(0.0, min(waits)) if waits else None

    def __len__(self) -> int:
        """Count the clients that are remembered."""
        return len(self._clients)

    def _grant(self, client: str, known: _Client, octets: int, now: float) -> Request:
        self._served = known.tag
        known.tag += octets
        self._highest = max(self._highest, known.tag)
        if self.each is not None:
            known.bucket.level -= octets
        if self.total is not None:
            self._level.level -= octets
        request = known.waiting.popleft()
        if known.waiting:
            self._queue(client, known, now)
        return request

    def _next(self, known: _Client) -> int:
        """Say how much a client would be granted next; 0 where all of its wishes were withdrawn."""
        return min(known.waiting[0].wanted, self.quantum) if known.waiting else 0

    def _queue(self, client: str, known: _Client, now: float) -> None:
        octets = self._next(known)
        wait = 0.0 if self.each is None else known.bucket.wait(self.each, octets, now)
        if wait:
            known.queued = True
            heapq.heappush(self._resting, (now + wait, next(self._order), client))
        else:
            self._make_ready(client, known)

    def _make_ready(self, client: str, known: _Client) -> None:
        known.queued = True
        # Not behind: what it could not be granted meanwhile it does not have to its credit.
        known.tag = max(known.tag, self._served)
        heapq.heappush(self._ready, (known.tag, next(self._order), client))

    def _forget(self, now: float) -> None:
        """Forget those that are like new ones: some at each turn, so that more go than come."""
        for client in [client for client, _ in zip(self._clients, range(2), strict=False)]:
            known = self._clients[client]
            full = self.each is None or known.bucket.filled(self.each, now) >= self.each.burst
            if full and not (known.waiting or known.queued) and known.tag <= self._served:
                del self._clients[client]
