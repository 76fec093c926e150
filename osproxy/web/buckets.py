"""
How much of something a client may have by now: token buckets, one a client.

A bucket holds ``burst`` at most and is filled with ``per_second`` of it each second. What is asked
for is taken out of it; what is not in it has to be waited for. Nothing here knows the time: it is
an argument, and one that goes back adds nothing and takes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from osproxy.config.values import Rate

CLIENTS_AT_MOST = 16_384
"""Clients that are remembered; a flood of addresses costs no more memory than these."""


@define
class Bucket:
    """
    What one client has left of a rate.

    :ivar level: what was in it at the time ``at``; below zero where more was spent than there was.
    """

    level: float
    at: float

    def filled(self, rate: Rate, now: float) -> float:
        """Bring it up to date, and say what is in it."""
        self.level = min(rate.burst, self.level + max(0.0, now - self.at) * rate.per_second)
        self.at = now
        return self.level

    def wait(self, rate: Rate, amount: float, now: float) -> float:
        """Say for how many seconds ``amount``, or all that fits into it, is not in it yet."""
        missing = min(amount, rate.burst) - self.filled(rate, now)
        return max(0.0, missing / rate.per_second)


@define(eq=False)
class Buckets:
    """
    A bucket for each client that has lately taken something, and for no other.

    One that has become full again is like one that never was, and is forgotten. Beyond so many
    clients those are forgotten that have been away for longest.
    """

    _at_most: int = CLIENTS_AT_MOST
    _known: OrderedDict[str, Bucket] = field(init=False, factory=OrderedDict)

    def take(self, client: str, rate: Rate, now: float, patience: float = 0) -> float:
        """
        Take one out of a client's bucket, and say in how many seconds it will be there.

        What would not be there within ``patience`` is not taken.
        """
        bucket = self._known.pop(client, None) or Bucket(rate.burst, now)
        wait = bucket.wait(rate, 1, now)
        if wait <= patience:
            bucket.level -= 1
        self._known[client] = bucket
        self._forget(rate, now)
        return wait

    def give_back(self, client: str) -> None:
        """Put one back that was taken and is of no use."""
        bucket = self._known.get(client)
        if bucket is not None:
            bucket.level += 1

    def __len__(self) -> int:
        """Count the clients that are remembered."""
        return len(self._known)

    def _forget(self, rate: Rate, now: float) -> None:
        # Two at each turn, so that more go than come.
        for client in [client for client, _ in zip(self._known, range(2), strict=False)]:
            full = self._known[client].filled(rate, now) >= rate.burst
            if full or len(self._known) > self._at_most:
                del self._known[client]
